use std::path::Path;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Provenance, Result,
    contents::{Contents, Elements},
    maps::check_unique,
    model,
    tensors::TensorFile,
};

/// Where each pixel is to be pushed, in units of ε.
#[derive(Clone, Debug, PartialEq)]
pub enum Directions {
    /// One bit a value of the row-major `[3, H, W]`, least significant first: 1 is +1, 0 is
    /// −1; `[N, ⌈3HW/8⌉]`.
    Signs(Vec<u8>),
    /// Any step in \[−1, 1\]; `[N, 3, H, W]`.
    Delta(Vec<f32>),
}

/// Where the pixels of one image are to be pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction<'a> {
    /// Bits; length ⌈3HW/8⌉.
    Signs(&'a [u8]),
    /// Steps, `[3, H, W]`.
    Delta(&'a [f32]),
}

/// Directions of attack, `perturbations.safetensors`: one an image.
///
/// | tensor   | shape            | type       | meaning                                      |
/// |----------|------------------|------------|----------------------------------------------|
/// | `signs`  | `[N, ⌈3HW/8⌉]`   | u8         | see [`Directions::Signs`]                    |
/// | `delta`  | `[N, 3, H, W]`   | f32 or f16 | instead of `signs`, see [`Directions::Delta`] |
/// | `sample` | `[N]`            | u32        | row in the pack; optional, 0 … N−1 without   |
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbations {
    /// The directions.
    pub directions: Directions,
    /// The rows in the pack; length N.
    pub sample: Vec<u32>,
    /// H, the height of the images.
    pub height: usize,
    /// W, the width of the images.
    pub width: usize,
    /// What they were made from, unless they are foreign.
    pub provenance: Option<Provenance>,
}

/// JSON under the metadata key `perturbations`.
#[derive(Serialize, Deserialize)]
struct Meta {
    image_size: [usize; 2],
}

impl Perturbations {
    /// N, the number of directions.
    pub fn len(&self) -> usize {
        self.sample.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sample.is_empty()
    }

    /// Direction `i`, of the image `self.sample[i]`.
    ///
    /// # Panics
    ///
    /// If there is no such direction.
    pub fn direction(&self, i: usize) -> Direction<'_> {
        let values = 3 * self.height * self.width;
        match &self.directions {
            Directions::Signs(bits) => {
                let bytes = values.div_ceil(8);
                Direction::Signs(&bits[i * bytes..(i + 1) * bytes])
            }
            Directions::Delta(delta) => {
                Direction::Delta(&delta[i * values..(i + 1) * values])
            }
        }
    }

    /// Reads the directions at `path` for images of the size `expected`, (H, W).
    ///
    /// # Errors
    ///
    /// If they are for images of another size, a sample occurs twice, or a step is outside
    /// \[−1, 1\].
    pub fn read(path: &Path, expected: (usize, usize)) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let (height, width) = expected;
        if let Some(Meta { image_size }) = file.json(KEY, FORM)?
            && image_size != [height, width]
        {
            return Err(Error::Metadata {
                path: path.to_owned(),
                key: KEY,
                expected: format!("image_size [{height}, {width}]"),
                found: format!("{image_size:?}"),
            });
        }
        let (directions, n) = if file.tensor("delta").is_some() {
            delta(&file, height, width)?
        } else {
            signs(&file, height, width)?
        };
        if n == 0 {
            return Err(Error::Empty { path: path.to_owned(), things: "perturbations" });
        }
        let sample = match file.tensor("sample") {
            Some(_) => file.require("sample", Dtype::U32, &[Some(n)])?.u32(),
            None => (0..n as u32).collect(),
        };
        check_unique(path, &sample)?;
        let provenance = file.provenance()?;
        let read = Self { directions, sample, height, width, provenance };
        read.check(path)?;
        Ok(read)
    }

    /// Writes the directions to `path`, atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (n, height, width) = (self.len(), self.height, self.width);
        let contents = match &self.directions {
            Directions::Signs(bits) => {
                let shape = [n, (3 * height * width).div_ceil(8)];
                Contents::default().tensor("signs", &shape, Elements::U8(bits))
            }
            Directions::Delta(delta) => Contents::default().tensor(
                "delta",
                &[n, 3, height, width],
                Elements::F32(delta),
            ),
        };
        contents
            .tensor("sample", &[n], Elements::U32(&self.sample))
            .json(KEY, &Meta { image_size: [height, width] })
            .provenance(self.provenance.as_ref())
            .write(path)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let Directions::Delta(delta) = &self.directions else { return Ok(()) };
        match delta.iter().position(|step| !(-1.0..=1.0).contains(step)) {
            None => Ok(()),
            Some(i) => {
                let sample = self.sample[i / (3 * self.height * self.width)];
                Err(Error::Value {
                    path: path.to_owned(),
                    expected: "steps in [-1, 1]".into(),
                    found: format!("{} at sample {sample}", delta[i]),
                })
            }
        }
    }
}

const KEY: &str = "perturbations";

const FORM: &str = r#"JSON {"image_size": [H, W]}"#;

fn signs(file: &TensorFile, height: usize, width: usize) -> Result<(Directions, usize)> {
    let bytes = (3 * height * width).div_ceil(8);
    let signs = file.require("signs", Dtype::U8, &[None, Some(bytes)])?;
    Ok((Directions::Signs(signs.bytes.to_vec()), signs.shape[0]))
}

fn delta(file: &TensorFile, height: usize, width: usize) -> Result<(Directions, usize)> {
    let shape = [None, Some(3), Some(height), Some(width)];
    let is_half = file.tensor("delta").is_some_and(|view| view.dtype == Dtype::F16);
    let view =
        file.require("delta", if is_half { Dtype::F16 } else { Dtype::F32 }, &shape)?;
    let values = if is_half {
        model::tensor(view)
            .and_then(|tensor| tensor.flatten_all().ok()?.to_vec1().ok())
            .expect("f16 widens to f32")
    } else {
        view.f32()
    };
    Ok((Directions::Delta(values), view.shape[0]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{DType, Device, Tensor};

    use super::*;

    fn signs() -> Perturbations {
        Perturbations {
            directions: Directions::Signs(vec![0b10_1010, 0b01_0101]),
            sample: vec![3, 1],
            height: 1,
            width: 2,
            provenance: Some(Provenance::default()),
        }
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perturbations.safetensors");
        signs().write(&path)?;
        assert_eq!(Perturbations::read(&path, (1, 2))?, signs());
        assert_eq!(signs().direction(1), Direction::Signs(&[0b01_0101]));

        let steps = vec![-1.0, 0.0, 0.5, 1.0, 0.25, -0.5];
        let dense = Perturbations {
            directions: Directions::Delta(steps),
            sample: vec![9],
            ..signs()
        };
        dense.write(&path)?;
        assert_eq!(Perturbations::read(&path, (1, 2))?, dense);
        Ok(())
    }

    #[test]
    fn images_of_another_size_are_refused() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perturbations.safetensors");
        signs().write(&path)?;
        // as many bytes, but another shape
        let error = Perturbations::read(&path, (2, 1)).unwrap_err().to_string();
        assert!(error.contains("[2, 1], found [1, 2]"), "{error}");
        Ok(())
    }

    #[test]
    fn signs_without_metadata_take_the_size_expected() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foreign");
        Contents::default().tensor("signs", &[2, 1], Elements::U8(&[1, 2])).write(&path)?;
        let read = Perturbations::read(&path, (1, 1))?;
        assert_eq!((read.sample, read.height, read.width), (vec![0, 1], 1, 1));
        let error = Perturbations::read(&path, (2, 2)).unwrap_err().to_string();
        assert!(error.contains("U8 [_, 2], found U8 [2, 1]"), "{error}");
        Ok(())
    }

    #[test]
    fn half_precision_is_widened_and_a_step_too_far_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foreign");
        for (last, good) in [(-0.5f32, true), (1.5, false), (f32::NAN, false)] {
            let delta = Tensor::new(&[0.0, 0.5, 1.0, 0.0, 0.25, last], &Device::Cpu)
                .and_then(|delta| delta.reshape((2, 3, 1, 1))?.to_dtype(DType::F16))
                .unwrap();
            candle_core::safetensors::save(&HashMap::from([("delta", delta)]), &path)
                .unwrap();
            match Perturbations::read(&path, (1, 1)) {
                Ok(read) => {
                    assert!(good);
                    assert_eq!(read.direction(1), Direction::Delta(&[0.0, 0.25, -0.5]));
                }
                Err(error) => assert!(!good && error.to_string().contains("at sample 1")),
            }
        }
    }
}
