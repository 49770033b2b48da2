//! A GPU's memory, when it is too small.

use anyhow::{Error, Result, anyhow};

/// What the driver and its libraries say when there is no memory left.
const SIGNS: [&str; 2] = ["OUT_OF_MEMORY", "ALLOC_FAILED"];
/// What our operators say of more values than their kernels count.
const TOO_LARGE: &str = "TOO_LARGE";

/// A result of computing `images` at a time, which `flag` tells: where the memory of the GPU did
/// not do, the error says what to try.
///
/// # Errors
///
/// That of the result, in one line if it is of the memory.
pub fn in_batches_of<T>(images: usize, flag: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let said = format!("{error:#}");
        if said.contains(TOO_LARGE) && images > 1 {
            let half = images / 2;
            return anyhow!(
                "{images} images at a time are too many for a GPU: try {flag} {half}"
            );
        }
        if !SIGNS.iter().any(|sign| said.contains(sign)) {
            return error;
        }
        match images / 2 {
            0 => anyhow!("the memory of the GPU does not do for a single image"),
            half => anyhow!(
                "the memory of the GPU does not do for {images} images at a time: \
                 try {flag} {half}"
            ),
        }
    })
}

/// An error in one line: where the memory of the GPU did not do and nothing is known of a batch,
/// what to do about it.
pub(crate) fn told(error: &Error) -> String {
    let said = format!("{error:#}");
    if !SIGNS.iter().any(|sign| said.contains(sign)) {
        return said;
    }
    "the memory of the GPU does not do for the network and what is kept beside it: end other \
     programs that use the GPU (nvidia-smi lists them), or take one with more memory"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn told(images: usize, error: anyhow::Error) -> String {
        let error = in_batches_of(images, "--batch-size", Err::<(), _>(error)).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn half_the_batch_is_tried_where_memory_is_short() {
        let driver = || anyhow!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        assert_eq!(
            told(100, driver().context("somewhere")),
            "the memory of the GPU does not do for 100 images at a time: try --batch-size 50",
        );
        assert!(told(1, driver()).ends_with("a single image"));
        let large = anyhow!("a batch of 3000000000 values is TOO_LARGE for cuDNN");
        assert!(told(100, large).ends_with("too many for a GPU: try --batch-size 50"));
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let error = Err::<(), _>(anyhow!("the cause")).context("the context").unwrap_err();
        assert_eq!(told(8, error), "the context: the cause");
    }

    #[test]
    fn where_no_batch_is_known_other_programs_are() {
        let driver = anyhow!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        assert!(super::told(&driver).contains("nvidia-smi"));
        assert_eq!(super::told(&anyhow!("else").context("all")), "all: else");
    }
}
