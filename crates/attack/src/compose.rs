use candle_core::Tensor;
use ops::{bits, perturb, resize};
use rayon::prelude::*;

use crate::Result;

/// Which way each pixel is pushed, `[3, H, W]` row-major.
#[derive(Clone, Copy, Debug)]
pub enum Direction<'a> {
    /// A bit a pixel, least significant first: 1 for +1, 0 for −1.
    Signs(&'a [u8]),
    /// A number in \[−1, 1\] a pixel, in units of ε.
    Delta(&'a [f32]),
    /// No attack: towards a colour, which a pixel without meaning reaches.
    Masking(Masking),
}

/// The colour that takes the place of what is masked (section IV-F).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// Black.
    Zero,
    /// The image's mean, channel by channel.
    Mean,
}

/// The semantic-preserved adversarial example, Eq. (1).
///
/// ```text
/// x̂ = clamp(x + ε_c · s ∘ (1 − g), 0, 1)
/// ```
///
/// With masking, ε plays no part: x̂ = x∘g + c∘(1 − g), c the colour.
///
/// The paper does not clamp; its oracle (`captum.robust.FGSM` with bounds 0..1) does, and
/// x̂ stays an image. The one map g serves all three channels.
///
/// # Shapes
///
/// - `x`, `out`: `[3, H, W]`, pixels in \[0, 1\]
/// - `direction`: as many bits or numbers
/// - `map`: `[H, W]`, in \[0, 1\]
///
/// # Panics
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// use attack::{Direction, compose};
///
/// // one pixel of three channels, pushed up, down, up, with half of it semantic
/// let mut out = [0.0; 3];
/// let direction = Direction::Signs(&[0b101]);
/// compose(&[0.25, 0.5, 1.0], direction, &[0.5], [0.5, 0.5, 0.5], &mut out);
/// assert_eq!(out, [0.5, 0.25, 1.0]); // 1.25 is clamped
/// compose(&[0.25, 0.5, 1.0], Direction::Masking(attack::Masking::Zero), &[0.5], [0.0; 3], &mut out);
/// assert_eq!(out, [0.125, 0.25, 0.5]);
/// ```
pub fn compose(
    x: &[f32],
    direction: Direction<'_>,
    map: &[f32],
    epsilon: [f32; 3],
    out: &mut [f32],
) {
    let pixels = map.len();
    assert_eq!(x.len(), 3 * pixels, "an image is not of its map's size");
    assert_eq!(out.len(), x.len(), "the result is not of the image's size");
    match direction {
        Direction::Signs(signs) => {
            assert_eq!(signs.len(), x.len().div_ceil(8), "not a sign for each pixel");
            perturb::push_one(x, &bits::unpack_signs(signs, x.len()), map, &epsilon, out);
        }
        Direction::Delta(delta) => {
            perturb::push_one(x, delta, map, &epsilon, out);
        }
        Direction::Masking(masking) => {
            for (x, out) in x.chunks_exact(pixels).zip(out.chunks_exact_mut(pixels)) {
                let colour = masking.colour(x);
                for ((x, g), out) in x.iter().zip(map).zip(out) {
                    *out = x * g + colour * (1.0 - g);
                }
            }
        }
    }
}

impl Masking {
    fn colour(self, channel: &[f32]) -> f32 {
        match self {
            Self::Zero => 0.0,
            Self::Mean => {
                let sum: f64 = channel.iter().copied().map(f64::from).sum();
                (sum / channel.len().max(1) as f64) as f32
            }
        }
    }
}

/// Which way the pixels of a batch are pushed.
#[derive(Clone, Debug)]
pub enum Directions<'a> {
    /// By the signs that [`fgsm`](crate::fgsm()) finds.
    Signs(Tensor),
    /// By a [`Direction::Delta`] an image.
    Delta(Vec<&'a [f32]>),
    /// None is pushed by an attack.
    Masking(Masking),
}

/// [`compose`] of some images of a batch, where the batch is.
///
/// # Shapes
///
/// - `x`: `[B, 3, H, W]`, pixels in \[0, 1\]
/// - `rows`: which of them, R
/// - `directions`: of R images
/// - `maps`: `[R, h, w]`, in \[0, 1\], on the CPU; each is brought to the size of its image by
///   [`ops::resize::full_size`], and one of zeros protects nothing
/// - result: `[R, 3, H, W]`
///
/// # Errors
///
/// If the shapes do not fit, or if there is no such row.
///
/// # Panics
///
/// If a dense direction is of another size.
pub fn compose_batch(
    x: &Tensor,
    rows: &[u32],
    directions: &Directions<'_>,
    maps: &Tensor,
    epsilon: [f32; 3],
) -> Result<Tensor> {
    match directions {
        Directions::Signs(signs) => Ok(perturb::push(x, rows, signs, maps, &epsilon)?),
        Directions::Delta(delta) => {
            let each: Vec<_> = delta.iter().map(|delta| Direction::Delta(delta)).collect();
            compose_each(x, rows, &each, maps, epsilon)
        }
        Directions::Masking(masking) => {
            let each = vec![Direction::Masking(*masking); rows.len()];
            compose_each(x, rows, &each, maps, epsilon)
        }
    }
}

/// [`compose_batch`] of directions that the processor has.
fn compose_each(
    x: &Tensor,
    rows: &[u32],
    directions: &[Direction<'_>],
    maps: &Tensor,
    epsilon: [f32; 3],
) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let (count, h, w) = maps.dims3()?;
    let is_there = |&row: &u32| (row as usize) < batch;
    if [directions.len(), count] != [rows.len(); 2]
        || !rows.iter().all(is_there)
        || h * w == 0
    {
        let (rows, x) = (rows.len(), x.shape());
        let (directions, maps) = (directions.len(), maps.shape());
        let said = format!(
            "{rows} rows of {x:?} do not fit {directions} directions and maps {maps:?}"
        );
        return Err(candle_core::Error::Msg(said).into());
    }
    let length = channels * height * width;
    let (pixels, maps) = (ops::host(x)?, ops::host(maps)?);
    let shape = (rows.len(), channels, height, width);
    let perturbed = ops::upload(shape, x.device(), |perturbed| {
        (perturbed.par_chunks_exact_mut(length).zip(rows))
            .zip(directions.par_iter().zip(maps.par_chunks_exact(h * w)))
            .for_each(|((out, &row), (&direction, map))| {
                let x = &pixels[row as usize * length..][..length];
                let map = resize::full_size(map, (h, w), (height, width));
                compose(x, direction, &map, epsilon, out);
            });
    })?;
    Ok(perturbed.tensor()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Two pixels of three channels.
    const X: [f32; 6] = [0.5, 0.5, 0.5, 0.5, 0.0, 1.0];

    fn composed(direction: Direction<'_>, map: [f32; 2], epsilon: [f32; 3]) -> [f32; 6] {
        let mut out = [f32::NAN; 6];
        compose(&X, direction, &map, epsilon, &mut out);
        out
    }

    #[test]
    fn a_semantic_pixel_is_left_alone() {
        let pushed = composed(Direction::Signs(&[0b11_1111]), [1.0, 0.0], [0.25; 3]);
        assert_eq!(pushed, [0.5, 0.75, 0.5, 0.75, 0.0, 1.0]);
    }

    #[test]
    fn each_channel_has_its_step() {
        let pushed = composed(Direction::Signs(&[0b01_1001]), [0.0; 2], [0.125, 0.25, 0.5]);
        assert_eq!(pushed, [0.625, 0.375, 0.25, 0.75, 0.5, 0.5]);
    }

    #[test]
    fn a_dense_direction_scales_the_step() {
        let delta = [1.0, -1.0, 0.5, -0.5, 0.0, -0.25];
        let pushed = composed(Direction::Delta(&delta), [0.0, 0.5], [0.5; 3]);
        assert_eq!(pushed, [1.0, 0.25, 0.75, 0.375, 0.0, 0.9375]);
    }

    #[test]
    fn each_image_of_a_batch_has_its_direction_and_its_map() -> Result<()> {
        let x = Tensor::from_vec([[9.0; 6], X].concat(), (2, 3, 1, 2), &Device::Cpu)?;
        let maps = [[0.75, 0.25], [0.0, 0.0]];
        let signs = Tensor::new(&[[0b11_1111u8], [0b01_1001]], &Device::Cpu)?;
        let delta = [[-1.0; 6], [0.5, 0.0, 0.25, -0.25, 1.0, -0.5]];
        let black = Masking::Zero;
        let both = [
            (
                Directions::Signs(signs),
                [Direction::Signs(&[0b11_1111]), Direction::Signs(&[0b01_1001])],
            ),
            (
                Directions::Delta(delta.iter().map(<[f32; 6]>::as_slice).collect()),
                [Direction::Delta(&delta[0]), Direction::Delta(&delta[1])],
            ),
            (Directions::Masking(black), [Direction::Masking(black); 2]),
        ];
        for (directions, alone) in both {
            let native = Tensor::new(&maps, &Device::Cpu)?.reshape((2, 1, 2))?;
            let found = compose_batch(&x, &[1, 1], &directions, &native, [0.25; 3])?;
            let expected: Vec<f32> = (alone.into_iter().zip(&maps))
                .flat_map(|(direction, map)| {
                    let map = resize::full_size(map, (1, 2), (1, 2));
                    composed(direction, [map[0], map[1]], [0.25; 3])
                })
                .collect();
            assert_eq!(found.dims(), x.dims());
            assert_eq!(found.flatten_all()?.to_vec1::<f32>()?, expected);
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let x = Tensor::from_vec(X.to_vec(), (1, 3, 1, 2), &Device::Cpu)?;
        let maps =
            |count| Tensor::zeros((count, 1, 2), candle_core::DType::F32, &Device::Cpu);
        let delta = Directions::Delta(vec![&X]);
        let masking = Directions::Masking(Masking::Mean);
        for (directions, rows, maps) in [
            (&delta, &[0, 0][..], maps(2)?),
            (&masking, &[0, 0], maps(1)?),
            (&masking, &[0], maps(2)?),
            (&masking, &[1], maps(1)?),
        ] {
            let refusal = compose_batch(&x, rows, directions, &maps, [0.1; 3]).unwrap_err();
            assert!(refusal.to_string().contains("do not fit"), "{refusal}");
        }
        Ok(())
    }

    #[test]
    fn what_is_masked_has_the_colour_and_what_is_semantic_its_own() {
        let masked = |masking| composed(Direction::Masking(masking), [1.0, 0.0], [0.5; 3]);
        assert_eq!(masked(Masking::Zero), [0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
        // means 0.5, 0.5, 0.5
        assert_eq!(masked(Masking::Mean), [0.5, 0.5, 0.5, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn no_step_changes_nothing() {
        assert_eq!(composed(Direction::Signs(&[0b10_1010]), [0.0; 2], [0.0; 3]), X);
    }
}
