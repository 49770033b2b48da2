use crate::overlap::inside;

/// Whether the highest pixel of a map lies on the class: the pointing game (Zhang et al.,
/// "Top-down Neural Attention by Excitation Backprop", IJCV 2018).
///
/// The original also forgives 15 pixels around the object; images here are small and
/// nothing is forgiven. Void pixels are no place to point at: the maximum is taken over
/// the others. Of equal maxima the first in row-major order counts. A map without a
/// maximum (all values equal, or NaN) points nowhere: a miss.
///
/// # Shapes
///
/// - `map`: `[H, W]`; `mask`: `[H, W]`, see [`overlap`](crate::overlap())
///
/// # Examples
///
/// ```
/// assert!(metrics::pointing(&[0.2, 1.0, 0.0], &[0, 1, 0], 0));
/// assert!(!metrics::pointing(&[0.2, 1.0, 0.0], &[1, 0, 0], 0));
/// assert!(metrics::pointing(&[0.2, 1.0, 0.0], &[1, 255, 0], 0));
/// ```
pub fn pointing(map: &[f32], mask: &[u8], class: usize) -> bool {
    let (mut low, mut high, mut hit) = (f32::INFINITY, f32::NEG_INFINITY, false);
    for (&value, &pixel) in map.iter().zip(mask) {
        let Some(inside) = inside(pixel, class) else { continue };
        low = low.min(value);
        if value > high {
            (high, hit) = (value, inside);
        }
    }
    hit && high > low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_map_points_nowhere() {
        assert!(!pointing(&[0.0; 3], &[1, 1, 1], 0));
        assert!(!pointing(&[f32::NAN; 3], &[1, 1, 1], 0));
    }

    #[test]
    fn of_equal_maxima_the_first_counts() {
        assert!(pointing(&[0.0, 1.0, 1.0], &[0, 1, 0], 0));
        assert!(!pointing(&[0.0, 1.0, 1.0], &[0, 0, 1], 0));
    }
}
