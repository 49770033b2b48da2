use crate::{Psi, Reduction, distance};

/// What Eq. (2) and (3) compare: a correctly predicted sample before and after the attack.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// g(f(x)), `[h, w]`.
    pub clean: &'a [f32],
    /// g(f(x̂)), `[h, w]`.
    pub perturbed: &'a [f32],
    /// `(h, w)`.
    pub size: (usize, usize),
    /// `[H, W]` of the image.
    pub image_size: [usize; 2],
    /// Neither map is flat or not finite.
    pub maps_are_ok: bool,
    /// f(x̂) ≠ f(x).
    pub flipped: bool,
}

/// How consistent a sample's explanations are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// ‖g(f(x̂)) − g(f(x))‖².
    pub distance: Option<f32>,
    /// D of Eq. (3).
    pub inconsistency: Option<f32>,
    /// E of Eq. (2).
    pub consistency: Option<f32>,
}

/// Judges one correctly predicted sample by Eq. (2) and (3).
///
/// ```text
/// D = ψ(‖g(f(x̂)) − g(f(x))‖²)
/// E = 1 − D    if f(x̂) = f(x)
///     0        otherwise
/// ```
///
/// A flipped sample keeps its distance and its D. Where a map is flat or not finite there
/// is nothing to compare: all three are none, even of a flipped sample. The paper says
/// nothing of such maps; Eq. (4) then gives weight 1 either way.
///
/// # Panics
///
/// If a map is not of the given size.
///
/// # Examples
///
/// ```
/// use consistency::{Comparison, Psi, Reduction, evaluate};
///
/// let kept = Comparison {
///     clean: &[0.0, 1.0],
///     perturbed: &[1.0, 1.0],
///     size: (1, 2),
///     image_size: [2, 4],
///     maps_are_ok: true,
///     flipped: false,
/// };
/// let verdict = evaluate(&kept, Psi::Softsign, Reduction::Grid);
/// assert_eq!(verdict.distance, Some(1.0));
/// assert_eq!(verdict.inconsistency, Some(0.5)); // 1/(1 + 1)
/// assert_eq!(verdict.consistency, Some(0.5));
///
/// let flipped = Comparison { flipped: true, ..kept };
/// let verdict = evaluate(&flipped, Psi::Softsign, Reduction::Grid);
/// assert_eq!(verdict.inconsistency, Some(0.5));
/// assert_eq!(verdict.consistency, Some(0.0));
/// ```
pub fn evaluate(sample: &Comparison<'_>, psi: Psi, reduction: Reduction) -> Verdict {
    if !sample.maps_are_ok {
        return Verdict::default();
    }
    let Comparison { clean, perturbed, size, image_size, .. } = *sample;
    let distance = distance(clean, perturbed, size, image_size, reduction);
    let inconsistency = psi.apply(distance);
    let consistency = if sample.flipped { 0.0 } else { 1.0 - inconsistency };
    Verdict {
        distance: Some(distance as f32),
        inconsistency: Some(inconsistency as f32),
        consistency: Some(consistency as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Comparison<'_> = Comparison {
        clean: &[0.0, 1.0],
        perturbed: &[0.5, 1.0],
        size: (1, 2),
        image_size: [4, 8],
        maps_are_ok: true,
        flipped: false,
    };

    #[test]
    fn consistency_is_what_inconsistency_leaves() {
        for psi in Psi::ALL {
            let verdict = evaluate(&SAMPLE, psi, Reduction::Grid);
            let d = psi.apply(0.25);
            assert_eq!(verdict.distance, Some(0.25));
            assert_eq!(verdict.inconsistency, Some(d as f32));
            assert_eq!(verdict.consistency, Some((1.0 - d) as f32));
        }
    }

    #[test]
    fn equal_maps_are_entirely_consistent() {
        let same = Comparison { perturbed: SAMPLE.clean, ..SAMPLE };
        let verdict = evaluate(&same, Psi::Tanh, Reduction::Sum);
        assert_eq!(verdict.consistency, Some(1.0));
    }

    #[test]
    fn a_flipped_sample_keeps_its_distance() {
        let flipped = Comparison { flipped: true, ..SAMPLE };
        let verdict = evaluate(&flipped, Psi::Tanh, Reduction::Grid);
        assert_eq!(verdict.distance, Some(0.25));
        assert_eq!(verdict.inconsistency, Some(0.25f64.tanh() as f32));
        assert_eq!(verdict.consistency, Some(0.0));
    }

    #[test]
    fn a_map_that_is_not_ok_gives_no_verdict() {
        let blank = Comparison { maps_are_ok: false, ..SAMPLE };
        assert_eq!(evaluate(&blank, Psi::Tanh, Reduction::Grid), Verdict::default());
        let flipped = Comparison { flipped: true, ..blank };
        assert_eq!(evaluate(&flipped, Psi::Tanh, Reduction::Grid), Verdict::default());
    }
}
