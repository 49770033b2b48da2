use crate::{Error, Result};

/// The true labels of a batch, by which the attack raises the loss.
///
/// The paper's Eq. (7) takes the label, not the prediction; the two are equal wherever
/// the perturbed image is used.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// One class an image, `[B]`: cross entropy.
    Single(&'a [i64]),
    /// A set of classes an image: mean binary cross entropy over the classes.
    Multi {
        /// Number of classes, K.
        classes: usize,
        /// 1 where the class is in the set, else 0; `[B, K]`.
        hot: &'a [u8],
    },
}

impl Target<'_> {
    /// Do these label `images` images by `classes` classes?
    pub(crate) fn check(&self, images: usize, classes: usize) -> Result<()> {
        let labels = match *self {
            Self::Single(labels) => {
                if let Some(position) = labels.iter().position(|&y| out_of(classes, y)) {
                    let found = labels[position];
                    return Err(Error::Label { position, expected: classes, found });
                }
                labels.len()
            }
            Self::Multi { classes: found, hot } => {
                if found != classes {
                    return Err(Error::Classes { expected: classes, found });
                }
                hot.len().div_ceil(classes)
            }
        };
        if labels == images {
            Ok(())
        } else {
            Err(Error::Labels { expected: images, found: labels })
        }
    }
}

fn out_of(classes: usize, label: i64) -> bool {
    !usize::try_from(label).is_ok_and(|label| label < classes)
}
