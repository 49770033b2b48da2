//! Dropout with a mask that depends on nothing but the seed.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Node, map,
    node::{Operator, Way},
    storage,
};

/// Values that share one stream of random numbers.
const CHUNK: usize = 1 << 12;

/// Dropout (Srivastava et al., 2014): each value is zeroed with probability `p`, the
/// others are divided by `1 - p`.
///
/// ```text
/// y_i = m_i x_i / (1 - p),    m_i = 0 with probability p, else 1
/// ```
///
/// The mask is a function of `seed` and of the position in memory alone: block `j` of 4096
/// values takes stream `j` of `ChaCha8`, whatever the number of threads. It is drawn again
/// in the backward pass instead of being kept. For evaluation, leave dropout out; with
/// `p = 0` it is the identity.
///
/// # Shapes
///
/// Any; the result has the shape of `x`.
///
/// # Errors
///
/// If `p` is not in `0..1`.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use ops::Node;
///
/// let x = Node::from(&Tensor::ones(1000, DType::F32, &Device::Cpu)?);
/// let y = ops::dropout(&x, 0.5, 7)?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|&v| v == 0.0 || v == 2.0));
/// assert!((400..600).contains(&y.iter().filter(|&&v| v == 0.0).count()));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout(x: &Node, p: f32, seed: u64) -> Result<Node> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: expected a probability in 0..1, found {p}");
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let operator = Dropout { p, seed };
    let y = operator.apply(&x.dense()?)?;
    Ok(Node::of(y, &[x], operator))
}

#[derive(Debug)]
struct Dropout {
    p: f32,
    seed: u64,
}

impl Dropout {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let scale = 1.0 / (1.0 - self.p);
        // a 32-bit number lies below this with probability p
        let dropped = (f64::from(self.p) * 2f64.powi(32)) as u32;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return cuda::apply(x, self.seed, dropped, scale);
        }
        let values = storage::read(x)?;
        let y = map::pieces(values.len(), CHUNK, |i, y| {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream(i as u64);
            for (y, x) in y.iter_mut().zip(&values[i * CHUNK..]) {
                let keep = u8::from(random.next_u32() >= dropped);
                // a product: there is no branch to predict, and NaN is not dropped
                *y = x * (scale * f32::from(keep));
            }
        });
        storage::tensor(y, x.shape())
    }
}

impl Operator for Dropout {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("dropout")?;
        Ok(vec![Some(self.apply(dy)?)])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_gradient_has_the_mask_of_the_values() -> Result<()> {
        let x = Tensor::ones((3, 2001), DType::F32, &Device::Cpu)?;
        let y = dropout(&Node::variable(&x), 0.3, 5)?;
        let gradients = y.clone().backward(&x)?;
        let dx = gradients.get(&x).unwrap().to_vec2::<f32>()?;
        assert_eq!(dx, y.to_vec2::<f32>()?);
        Ok(())
    }

    #[test]
    fn the_mask_depends_on_the_seed_and_not_on_the_threads() -> Result<()> {
        let x = Tensor::ones(3 * CHUNK + 5, DType::F32, &Device::Cpu)?;
        let mask = |seed| dropout(&Node::from(&x), 0.5, seed)?.to_vec1::<f32>();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| mask(1))?, mask(1)?);
        assert_ne!(mask(1)?, mask(2)?);
        let y = mask(1)?;
        assert_ne!(y[..CHUNK], y[CHUNK..2 * CHUNK]);
        Ok(())
    }

    #[test]
    fn the_mean_is_kept() -> Result<()> {
        let x = Tensor::ones(100_000, DType::F32, &Device::Cpu)?;
        let mean = dropout(&Node::from(&x), 0.2, 0)?.mean_all()?.to_scalar::<f32>()?;
        // five standard deviations of the mean: sqrt(p / (1 - p) / n) = 0.0016
        assert!((mean - 1.0).abs() < 0.008, "{mean}");
        Ok(())
    }

    #[test]
    fn zero_is_the_identity_and_one_is_refused() -> Result<()> {
        let x = Node::from(&Tensor::new(&[1f32, 2.0], &Device::Cpu)?);
        assert_eq!(dropout(&x, 0.0, 0)?.to_vec1::<f32>()?, [1.0, 2.0]);
        for p in [1.0, -0.1, f32::NAN] {
            assert!(dropout(&x, p, 0).is_err());
        }
        Ok(())
    }
}
