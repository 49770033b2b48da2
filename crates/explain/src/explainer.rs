use std::num::NonZeroUsize;

use crate::{
    AblationCam, EigenCam, EigenGradCam, Error, GradCam, GradCamPlusPlus, Gradient,
    HiResCam, IntegratedGradients, LayerCam, Passes, Result, ScoreCam, Smooth, SmoothGrad,
    Subject, XGradCam, augmented::Augmented, cam::Join,
};

/// A method that maps how much each place of an image speaks for a class: the paper's
/// g(f(·)) (section III-A).
///
/// A method gets all that any of them needs; it returns its map as it comes, and
/// [`explain`](crate::explain()) normalises it.
pub trait Explainer: Send + Sync {
    /// Its name on the command line and in files, e.g. `grad-cam`.
    fn name(&self) -> &'static str;

    /// What it computes for an image whose activation at the tap has so many channels.
    fn passes(&self, channels: usize) -> Passes;

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

/// The names that [`by_name`] knows, each with the passes that an image takes.
pub const METHODS: [(&str, &str); 12] = [
    ("grad-cam", "1 forward, 1 backward through the head"),
    ("xgrad-cam", "1 forward, 1 backward through the head"),
    ("grad-cam++", "1 forward, 1 backward through the head"),
    ("layer-cam", "1 forward, 1 backward through the head"),
    ("hires-cam", "1 forward, 1 backward through the head"),
    ("eigen-cam", "1 forward"),
    ("eigen-grad-cam", "1 forward, 1 backward through the head"),
    ("ablation-cam", "1 forward, 1 through the head for each channel at the tap"),
    ("score-cam", "1 forward, and 1 for each channel at the tap"),
    ("gradient", "2 forward, 1 backward"),
    ("smooth-grad", "51 forward, 50 backward"),
    ("integrated-gradients", "51 forward, 50 backward"),
];

/// The method of that name, with `at_a_time` images or activations in a pass of those that need
/// many for each image; no map depends on it.
///
/// # Errors
///
/// If there is none, which lists [`METHODS`]; or if [`Smooth::Eigen`] is asked of a method that
/// weighs no channels.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
///
/// let at_a_time = NonZeroUsize::MIN;
/// assert_eq!(explain::by_name("grad-cam", None, at_a_time)?.name(), "grad-cam");
/// let error = explain::by_name("guess", None, at_a_time).err().unwrap();
/// assert!(error.to_string().starts_with("no explainer `guess`: expected one of grad-cam, "));
/// # Ok::<(), explain::Error>(())
/// ```
pub fn by_name(
    name: &str,
    smooth: Option<Smooth>,
    at_a_time: NonZeroUsize,
) -> Result<Box<dyn Explainer>> {
    let at_a_time = at_a_time.get();
    let join = if smooth == Some(Smooth::Eigen) { Join::Project } else { Join::Sum };
    let method: Box<dyn Explainer> = match name {
        "grad-cam" => Box::new(GradCam { join }),
        "xgrad-cam" => Box::new(XGradCam { join }),
        "grad-cam++" => Box::new(GradCamPlusPlus { join }),
        "layer-cam" => Box::new(LayerCam { join }),
        "hires-cam" => Box::new(HiResCam { join }),
        "ablation-cam" => Box::new(AblationCam { join, at_a_time }),
        "score-cam" => Box::new(ScoreCam { join, at_a_time }),
        _ if join == Join::Project && is_known(name) => {
            return Err(Error::NoChannels { explainer: name.to_owned() });
        }
        "eigen-cam" => Box::new(EigenCam),
        "eigen-grad-cam" => Box::new(EigenGradCam),
        "gradient" => Box::new(Gradient { at_a_time }),
        "smooth-grad" => Box::new(SmoothGrad { at_a_time }),
        "integrated-gradients" => Box::new(IntegratedGradients { at_a_time }),
        _ => {
            let expected = METHODS.map(|(name, _)| name).join(", ");
            return Err(Error::UnknownExplainer { found: name.to_owned(), expected });
        }
    };
    Ok(match smooth {
        Some(Smooth::Augmentation) => Box::new(Augmented(method)),
        Some(Smooth::Eigen) | None => method,
    })
}

fn is_known(name: &str) -> bool {
    METHODS.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    #[test]
    fn every_name_is_its_methods() {
        for (name, passes) in METHODS {
            let method = by_name(name, None, ONE).unwrap();
            assert_eq!(method.name(), name);
            // of those that do not depend on the channels
            if method.passes(1) == method.passes(2) {
                assert_eq!(method.passes(1).to_string(), passes, "{name}");
            }
        }
    }

    #[test]
    fn copies_take_the_passes_of_each() {
        let passes =
            |smooth| by_name("score-cam", smooth, ONE).unwrap().passes(10).to_string();
        assert_eq!(passes(None), "11 forward");
        // 6 copies of 11, and the image's own
        assert_eq!(passes(Some(Smooth::Augmentation)), "67 forward");
    }

    #[test]
    fn what_weighs_no_channels_cannot_project_them() {
        let error =
            by_name("gradient", Some(Smooth::Eigen), ONE).err().unwrap().to_string();
        assert!(error.starts_with("gradient weighs no channels"), "{error}");
        assert!(by_name("score-cam", Some(Smooth::Eigen), ONE).is_ok());
    }
}
