use candle_core::Tensor;
use models::{Mode, Network};
use ops::{Node, perturb};

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
/// - result: `[B, ceil(3HW/8)]`, u8 on the network's device: a bit a pixel, least significant
///   first, 1 for +1
///
/// # Errors
///
/// If the labels do not fit the images or the network, if the network does not compute,
/// or if a gradient is not finite: the message says at which image of the batch.
pub fn fgsm(net: &Network, images: &Tensor, target: Target<'_>) -> Result<Tensor> {
    signs(&gradient(net, images, target)?)
}

/// The signs of the gradient by the pixels of a batch.
///
/// # Shapes
///
/// - `gradient`: `[B, 3, H, W]`
/// - result: as [`fgsm`]'s, on the gradient's device
///
/// # Errors
///
/// [`Error::NotFinite`] says at which image of the batch the gradient is not finite.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let gradient = |last| Tensor::new(&[[[[0.5f32, -2.0]]], [[[-1.0, last]]]], &Device::Cpu);
/// assert_eq!(attack::signs(&gradient(0.0)?)?.to_vec2::<u8>()?, [[0b01], [0b10]]);
/// let error = attack::signs(&gradient(f32::NAN)?).unwrap_err();
/// assert!(error.to_string().starts_with("image 1 of the batch"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn signs(gradient: &Tensor) -> Result<Tensor> {
    let signs = perturb::signs(gradient)?;
    let Some(position) = signs.finite.iter().position(|finite| !finite) else {
        return Ok(signs.bits);
    };
    let image = ops::host(&gradient.narrow(0, position, 1)?)?;
    let found = image.into_iter().find(|component| !component.is_finite());
    Err(Error::NotFinite { position, found: found.unwrap_or(f32::NAN) })
}

/// The gradient by the pixels, up to a positive factor an image; `[B, 3, H, W]`.
fn gradient(net: &Network, images: &Tensor, target: Target<'_>) -> Result<Tensor> {
    let logits = net.forward(&Node::variable(images), Mode::Eval)?;
    let (batch, classes) = logits.dims2()?;
    target.check(batch, classes)?;

    let z = ops::host(logits.tensor())?;
    let c = logit_gradient(&z, classes, &target);
    let c = Tensor::from_vec(c, (batch, classes), logits.device())?;
    let gradients = logits.backward(&c)?;
    Ok(gradients.get(images).expect("the logits depend on the images").clone())
}
