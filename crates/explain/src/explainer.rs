use crate::{Error, GradCam, Result, Subject, XGradCam};

/// A method that maps how much each place of an image speaks for a class: the paper's
/// g(f(·)) (section III-A).
///
/// A method gets all that any of them needs; it returns its map as it comes, and
/// [`explain`](crate::explain()) normalises it.
pub trait Explainer: Send + Sync {
    /// Its name on the command line and in files, e.g. `grad-cam`.
    fn name(&self) -> &'static str;

    /// The map of each image for its target, before normalisation.
    ///
    /// # Shapes
    ///
    /// - `target`: `[B]`, a class an image, in the network's range
    ///
    /// # Errors
    ///
    /// If the network does not compute.
    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw>;
}

/// Maps as a method makes them, of any range and sign.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// `[B, h, w]`, row-major.
    pub values: Vec<f32>,
    /// h.
    pub height: usize,
    /// w.
    pub width: usize,
}

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 2] = ["grad-cam", "xgrad-cam"];

/// The method of that name.
///
/// # Errors
///
/// If there is none; the error lists [`NAMES`].
///
/// # Examples
///
/// ```
/// assert_eq!(explain::by_name("grad-cam")?.name(), "grad-cam");
/// let error = explain::by_name("guess").err().unwrap();
/// assert_eq!(error.to_string(), "no explainer `guess`: expected one of grad-cam, xgrad-cam");
/// # Ok::<(), explain::Error>(())
/// ```
pub fn by_name(name: &str) -> Result<Box<dyn Explainer>> {
    match name {
        "grad-cam" => Ok(Box::new(GradCam)),
        "xgrad-cam" => Ok(Box::new(XGradCam)),
        _ => Err(Error::UnknownExplainer {
            found: name.to_owned(),
            expected: NAMES.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_methods() {
        for name in NAMES {
            assert_eq!(by_name(name).unwrap().name(), name);
        }
    }
}
