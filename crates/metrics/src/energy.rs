use crate::overlap::inside;

/// Share of a map's sum that lies on the class: the energy-based pointing game (Wang et
/// al., "Score-CAM", CVPR Workshops 2020, section 4.3).
///
/// ```text
/// energy = Σ_{pixels of the class} map / Σ_{pixels not void} map
/// ```
///
/// The original takes the bounding box of the object, this its mask. A map without energy
/// has none in the mask: 0.
///
/// # Shapes
///
/// - `map`: `[H, W]`, non-negative; `mask`: `[H, W]`, see [`overlap`](crate::overlap())
///
/// # Examples
///
/// ```
/// assert_eq!(metrics::energy(&[1.0, 0.5, 0.5, 1.0], &[1, 1, 0, 255], 0), 0.75);
/// assert_eq!(metrics::energy(&[0.0, 0.0], &[1, 0], 0), 0.0);
/// ```
pub fn energy(map: &[f32], mask: &[u8], class: usize) -> f64 {
    let (mut total, mut on_class) = (0.0, 0.0);
    for (&value, &pixel) in map.iter().zip(mask) {
        let Some(inside) = inside(pixel, class) else { continue };
        total += f64::from(value);
        if inside {
            on_class += f64::from(value);
        }
    }
    if total > 0.0 { on_class / total } else { 0.0 }
}
