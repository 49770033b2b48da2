use crate::{Pair, overlap::ratio};

/// Mean of the foreground's and the background's intersection over union, both
/// accumulated over the data set, whatever the class (as in unsupervised and
/// weakly supervised object segmentation).
///
/// ```text
/// foreground = Σ_p intersection_p / Σ_p union_p
/// background = Σ_p (valid_p − union_p) / Σ_p (valid_p − intersection_p)
/// miou_fgbg  = (foreground + background) / 2
/// ```
///
/// The background of a pair is all that is not its class and not void. A map that marks
/// nothing still earns the background's half, so this score is often the highest.
/// Without any background (all pixels of all pairs in map and mask) it is the
/// foreground's alone.
///
/// # Examples
///
/// The foreground overlaps in 1 of 2 pixels, the background in 2 of 3.
///
/// ```
/// use metrics::{Localisation, miou_fgbg};
///
/// let mut shapes = Localisation::new(1);
/// shapes.add(0, 0, &[1.0, 1.0, 0.0, 0.0], &[1, 0, 0, 0]);
/// assert_eq!(miou_fgbg(shapes.pairs()), Some((1.0 / 2.0 + 2.0 / 3.0) / 2.0));
/// ```
pub fn miou_fgbg(pairs: &[Pair]) -> Option<f64> {
    if pairs.is_empty() {
        return None;
    }
    let sum = |of: fn(&Pair) -> u64| pairs.iter().map(of).sum::<u64>();
    let intersection = sum(|pair| pair.overlap.intersection);
    let union = sum(|pair| pair.overlap.union);
    let valid = sum(|pair| pair.overlap.valid);

    let foreground = ratio(intersection, union);
    if valid == intersection {
        return Some(foreground);
    }
    let background = ratio(valid - union, valid - intersection);
    Some(f64::midpoint(foreground, background))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Localisation;

    #[test]
    fn without_background_the_foreground_is_the_score() {
        let mut shapes = Localisation::new(1);
        shapes.add(0, 0, &[1.0, 1.0], &[1, 1]);
        assert_eq!(miou_fgbg(shapes.pairs()), Some(1.0));
    }

    #[test]
    fn an_empty_map_keeps_the_half_of_the_background() {
        let mut shapes = Localisation::new(1);
        shapes.add(0, 0, &[0.0, 0.0, 0.0, 0.0], &[1, 0, 0, 0]);
        // foreground 0 of 1, background 3 of 4
        assert_eq!(miou_fgbg(shapes.pairs()), Some(0.375));
    }
}
