/// The part of an image that its map shows: what average drop and average increase ask about
/// (Chattopadhay et al., "Grad-CAM++", WACV 2018, section 4.1).
///
/// ```text
/// E = colour + map ∘ (x − colour)
/// ```
///
/// With the mean colour of the network's normalisation this is the product of map and
/// normalised input, as pytorch-grad-cam and torch-cam have it.
///
/// # Shapes
///
/// - `image`: `[C, H, W]`; `colour`: `[C]`; `map`: `[H, W]` in 0..1
/// - result: `[C, H, W]`
///
/// # Examples
///
/// ```
/// assert_eq!(metrics::shown(&[1.0, 1.0, 0.0], &[0.5], &[1.0, 0.5, 0.0]), [1.0, 0.75, 0.5]);
/// ```
pub fn shown(image: &[f32], colour: &[f32], map: &[f32]) -> Vec<f32> {
    let channels = image.chunks_exact(map.len()).zip(colour);
    let mix = |(x, &c): (&f32, &f32), colour: f32| colour + c * (x - colour);
    channels
        .flat_map(|(channel, &colour)| channel.iter().zip(map).map(move |p| mix(p, colour)))
        .collect()
}

/// How much confidence is lost when only what the map shows is left (Chattopadhay et al.,
/// "Grad-CAM++", WACV 2018, section 4.1); average drop is its mean over the images.
///
/// ```text
/// drop = max(0, Y − O) / Y,    Y = p(class | x),  O = p(class | E)
/// ```
///
/// Lower is better. A share, where the paper has per cent; pytorch-grad-cam's
/// `DropInConfidence` leaves out the division. Without confidence none can be lost: 0.
///
/// # Examples
///
/// ```
/// assert_eq!(metrics::drop_of(0.5, 0.125), 0.75);
/// assert_eq!(metrics::drop_of(0.5, 0.75), 0.0);
/// ```
pub fn drop_of(before: f32, after: f32) -> f64 {
    let (before, after) = (f64::from(before), f64::from(after));
    if before > 0.0 { (before - after).max(0.0) / before } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_shows_the_image_and_an_empty_one_the_colour() {
        let image = [0.25, 1.0, 0.0, 0.75];
        assert_eq!(shown(&image, &[0.5, 0.25], &[1.0, 1.0]), image);
        assert_eq!(shown(&image, &[0.5, 0.25], &[0.0, 0.0]), [0.5, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn without_confidence_none_is_lost() {
        assert_eq!(drop_of(0.0, 0.0), 0.0);
    }
}
