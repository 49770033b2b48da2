/// The places of a map, the most relevant first; of equal ones the first in row-major order.
///
/// # Shapes
///
/// - `map`: `[H, W]`, finite
/// - result: `[HW]`, indices into the map
///
/// # Examples
///
/// ```
/// assert_eq!(metrics::by_relevance(&[0.5, 0.0, 1.0, 0.5]), [2, 0, 3, 1]);
/// ```
pub fn by_relevance(map: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    // stable, so that ties stay in their order
    order.sort_by(|&a, &b| map[b].total_cmp(&map[a]));
    order
}

/// An image with these places of it taken from another.
///
/// # Shapes
///
/// - `image`, `other`: `[C, H, W]`; `places`: indices into `[H, W]`
pub(crate) fn replaced(
    image: &[f32],
    other: &[f32],
    area: usize,
    places: &[usize],
) -> Vec<f32> {
    let mut image = image.to_vec();
    for (channel, other) in image.chunks_exact_mut(area).zip(other.chunks_exact(area)) {
        for &place in places {
            channel[place] = other[place];
        }
    }
    image
}
