use candle_core::Tensor;
use models::{Mode, Network};
use ops::{Node, bits};
use rayon::prelude::*;

use crate::{Error, Result, Target, logit_gradient};

/// The direction in which each image's loss grows, `sign(∇_x L(x, y))` of Eq. (7).
///
/// The loss is cross entropy, or mean binary cross entropy of sets of classes. What is
/// back-propagated is its gradient by the logits less a positive factor an image (`q − e_y`
/// with q the softmax over the other classes), which leaves the signs as they are and
/// keeps them exact however certain the network is. As the paper says, `sign(0) = +1`.
/// The network is in evaluation mode: an image's signs do not depend on its batch.
///
/// # Shapes
///
/// - `images`: `[B, 3, H, W]`, pixels in \[0, 1\]
/// - result: B times `ceil(3HW/8)` bytes, a bit a pixel, least significant first: 1 for +1
///
/// # Errors
///
/// If the labels do not fit the images or the network, if the network does not compute,
/// or if a gradient is not finite: the message says at which image of the batch.
pub fn fgsm(net: &Network, images: &Tensor, target: Target<'_>) -> Result<Vec<Vec<u8>>> {
    let gradient = gradient(net, images, target)?;
    let (batch, ..) = images.dims4()?;
    signs(&gradient, batch)
}

/// The signs of the gradient by the pixels of `images` images.
///
/// # Shapes
///
/// - `gradient`: `[B, 3, H, W]`
/// - result: as [`fgsm`]'s
///
/// # Errors
///
/// [`Error::NotFinite`] says at which image of the batch the gradient is not finite.
///
/// # Examples
///
/// ```
/// let signs = attack::signs(&[0.5, -2.0, -1.0, 0.0], 2)?;
/// assert_eq!(signs, [[0b01], [0b10]]);
/// let error = attack::signs(&[0.5, -2.0, -1.0, f32::NAN], 2).unwrap_err();
/// assert!(error.to_string().starts_with("image 1 of the batch"));
/// # Ok::<(), attack::Error>(())
/// ```
pub fn signs(gradient: &[f32], images: usize) -> Result<Vec<Vec<u8>>> {
    let components = gradient.len() / images.max(1);
    let images = gradient.par_chunks_exact(components.max(1)).enumerate();
    let signs: Vec<Result<Vec<u8>>> = images
        .map(|(position, image)| {
            match image.iter().find(|component| !component.is_finite()) {
                Some(&found) => Err(Error::NotFinite { position, found }),
                None => Ok(bits::pack_signs(image)),
            }
        })
        .collect();
    // of several errors the first
    signs.into_iter().collect()
}

/// The gradient by the pixels, up to a positive factor an image; `[B, 3, H, W]`.
fn gradient(net: &Network, images: &Tensor, target: Target<'_>) -> Result<Vec<f32>> {
    let logits = net.forward(&Node::variable(images), Mode::Eval)?;
    let (batch, classes) = logits.dims2()?;
    target.check(batch, classes)?;

    let z = ops::host(logits.tensor())?;
    let c = logit_gradient(&z, classes, &target);
    let c = Tensor::from_vec(c, (batch, classes), logits.device())?;
    let gradients = logits.backward(&c)?;
    let gradient = gradients.get(images).expect("the logits depend on the images");
    Ok(ops::host(gradient)?)
}
