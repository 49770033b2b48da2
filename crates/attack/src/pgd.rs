use candle_core::Tensor;
use models::Network;
use ops::perturb;

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
    let mut perturbed = images.clone();
    for _ in 0..PGD_STEPS {
        let signs = fgsm(net, &perturbed, target)?;
        perturbed = perturb::pgd_step(images, &perturbed, &signs, epsilon)?;
    }
    Ok(perturbed)
}
