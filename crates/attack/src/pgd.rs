use candle_core::Tensor;
use models::Network;
use ops::bits;
use rayon::prelude::*;

use crate::{Result, Target, fgsm};

/// How many steps [`pgd`] takes.
pub const PGD_STEPS: usize = 10;

/// The worst image near by that projected gradient descent finds (Madry et al., "Towards Deep
/// Learning Models Resistant to Adversarial Attacks", ICLR 2018, section 2.1).
///
/// ```text
/// x̂⁰ = x,    x̂ᵗ⁺¹ = Π(x̂ᵗ + ε/4 · sign(∇L(x̂ᵗ, y))),    t = 0 … 9
/// ```
///
/// Π brings every pixel to within ε of x and into \[0, 1\]. Ten steps of 2.5·ε/10 may cross the
/// whole of that box. It starts at x itself and not at random near by, so that nothing is
/// drawn. The signs are those of [`fgsm()`], as exact however certain the network is; it is in
/// evaluation mode, and an image's result does not depend on its batch.
///
/// # Shapes
///
/// - `images`, result: `[B, 3, H, W]`, pixels in \[0, 1\]
///
/// # Errors
///
/// As [`fgsm()`], of the image of any step.
///
/// # Examples
///
/// ```
/// use attack::{Target, pgd};
/// use candle_core::{Device, Tensor};
/// use models::{Arch, Network, Normalization};
///
/// let net = Network::new(Arch::Resnet20, 2, Normalization::IMAGENET, 0)?;
/// let x = Tensor::full(0.5f32, (1, 3, 8, 8), &Device::Cpu)?;
/// let perturbed = pgd(&net, &x, Target::Single(&[1]), 0.25)?;
/// let pixels = perturbed.flatten_all()?.to_vec1::<f32>()?;
/// assert!(pixels.iter().all(|pixel| (0.25..=0.75).contains(pixel)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pgd(
    net: &Network,
    images: &Tensor,
    target: Target<'_>,
    epsilon: f32,
) -> Result<Tensor> {
    let (_, channels, height, width) = images.dims4()?;
    let length = channels * height * width;
    let x = ops::host(images)?;
    let mut pixels = x.clone();
    let mut perturbed = images.clone();
    for _ in 0..PGD_STEPS {
        let signs = fgsm(net, &perturbed, target)?;
        (pixels.par_chunks_exact_mut(length).zip(x.par_chunks_exact(length)))
            .zip(&signs)
            .for_each(|((pixels, x), signs)| pgd_step(x, signs, epsilon, pixels));
        let upload = ops::upload(images.shape(), images.device(), |values| {
            values.copy_from_slice(&pixels);
        })?;
        perturbed = upload.tensor()?;
    }
    Ok(perturbed)
}

/// A step of [`pgd`] and its projection, on one image.
///
/// ```text
/// x̂ ← clamp(x̂ + ε/4 · s, max(x − ε, 0), min(x + ε, 1))
/// ```
///
/// # Shapes
///
/// - `x`, `perturbed`: `[3, H, W]`, pixels in \[0, 1\]
/// - `signs`: as many bits, least significant first: 1 for +1, 0 for −1
///
/// # Panics
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// // up; up, but 0.5 is as far as ε goes; down, but not below 0
/// let (x, mut perturbed) = ([0.5, 0.25, 0.125], [0.5, 0.5, 0.0]);
/// attack::pgd_step(&x, &[0b011], 0.25, &mut perturbed);
/// assert_eq!(perturbed, [0.5625, 0.5, 0.0]);
/// ```
pub fn pgd_step(x: &[f32], signs: &[u8], epsilon: f32, perturbed: &mut [f32]) {
    assert_eq!(perturbed.len(), x.len(), "the images differ in size");
    assert_eq!(signs.len(), x.len().div_ceil(8), "not a sign for each pixel");
    let step = epsilon / 4.0;
    for (i, (pixel, &x)) in perturbed.iter_mut().zip(x).enumerate() {
        let (low, high) = ((x - epsilon).max(0.0), (x + epsilon).min(1.0));
        *pixel = (*pixel + step * bits::sign(signs, i)).clamp(low, high);
    }
}
