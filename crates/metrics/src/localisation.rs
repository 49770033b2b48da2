use crate::{
    Overlap, PixelCurve, energy, miou,
    miou::{mean, mean_over_classes},
    miou_dataset, miou_fgbg, miou_pairs, overlap, pointing,
};

/// A map counts as marking the pixels above this (the paper's section IV-A).
const THRESHOLD: f32 = 0.5;

/// How one explanation map agrees with the mask of the class it explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Row of the image in the pack.
    pub sample: u32,
    /// The class that is in the mask and was explained.
    pub class: usize,
    /// Counts of pixels, the map thresholded at 0.5.
    pub overlap: Overlap,
    /// Whether the map's highest pixel is of the class.
    pub pointing: bool,
    /// Share of the map's sum that is on the class.
    pub energy: f64,
}

/// A measure of some pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Its name in the evaluation table.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Number of pairs it is of.
    pub count: u64,
}

/// Collects the (image, present class) pairs of a data set and measures them.
///
/// An image that shows two classes has two maps, each with the class as its target.
///
/// # Examples
///
/// ```
/// let mut shapes = metrics::Localisation::new(2);
/// shapes.add(7, 1, &[1.0, 0.8, 0.2, 0.0], &[2, 0, 0, 255]);
/// let pair = shapes.pairs()[0];
/// assert_eq!((pair.overlap.intersection, pair.overlap.union), (1, 2));
/// let miou = shapes.all()[0];
/// assert_eq!((miou.name, miou.value, miou.count), ("miou", 0.5, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Localisation {
    pairs: Vec<Pair>,
    curves: Vec<PixelCurve>,
}

impl Localisation {
    /// No pairs yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { pairs: Vec::new(), curves: vec![PixelCurve::default(); classes] }
    }

    /// Adds the map that explains `class` in an image.
    ///
    /// # Shapes
    ///
    /// - `map`: `[H, W]`, at the size of the mask, min-max normalised; for a map that is
    ///   not finite pass zeros
    /// - `mask`: `[H, W]`: 0 background, class index + 1, 255 void
    ///
    /// # Panics
    ///
    /// If `class` is not one of the classes.
    pub fn add(&mut self, sample: u32, class: usize, map: &[f32], mask: &[u8]) {
        self.curves[class].add(map, mask, class);
        self.pairs.push(Pair {
            sample,
            class,
            overlap: overlap(map, mask, class, THRESHOLD),
            pointing: pointing(map, mask, class),
            energy: energy(map, mask, class),
        });
    }

    /// The pairs, as they were added.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The measures of all pairs; none if there are no pairs.
    ///
    /// `pointing` is averaged over the classes, as by its authors; `energy` over the pairs.
    pub fn all(&self) -> Vec<Measure> {
        let mut curve = PixelCurve::default();
        self.curves.iter().for_each(|other| curve.merge(other));
        measures(&self.pairs, &curve, true)
    }

    /// The measures of the pairs of one class; none if it has no pairs.
    ///
    /// Within a class `miou_pairs` is `miou`, and is left out.
    pub fn of_class(&self, class: usize) -> Vec<Measure> {
        let pairs: Vec<Pair> =
            self.pairs.iter().filter(|pair| pair.class == class).copied().collect();
        measures(&pairs, &self.curves[class], false)
    }
}

fn measures(pairs: &[Pair], curve: &PixelCurve, all: bool) -> Vec<Measure> {
    let pointing =
        |pairs: &[&Pair]| mean(pairs.iter().map(|p| f64::from(u8::from(p.pointing))));
    let values = [
        ("miou", miou(pairs)),
        ("miou_pairs", miou_pairs(pairs).filter(|_| all)),
        ("miou_dataset", miou_dataset(pairs)),
        ("miou_fgbg", miou_fgbg(pairs)),
        ("pxap", curve.average_precision()),
        ("pointing", mean_over_classes(pairs, pointing)),
        ("energy", mean(pairs.iter().map(|pair| pair.energy))),
    ];
    let count = pairs.len() as u64;
    let known = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| Measure { name, value, count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(measures: &[Measure], name: &str) -> f64 {
        measures.iter().find(|measure| measure.name == name).unwrap().value
    }

    /// Three pairs of two classes; by hand:
    ///
    /// | sample | class | map marks | mask | I / U | points | energy |
    /// |---|---|---|---|---|---|---|
    /// | 0 | 0 | a b | a   | 1 / 2 | yes | 1.0 / 2.0 |
    /// | 1 | 0 | d   | d   | 1 / 1 | yes | 1.0 / 1.4 |
    /// | 1 | 1 | a   | b c | 0 / 3 | no  | 0.4 / 1.4 |
    fn three_pairs() -> Localisation {
        let mut pairs = Localisation::new(3);
        pairs.add(0, 0, &[1.0, 0.6, 0.4, 0.0], &[1, 0, 0, 0]);
        pairs.add(1, 0, &[0.0, 0.4, 0.0, 1.0], &[0, 2, 2, 1]);
        pairs.add(1, 1, &[1.0, 0.4, 0.0, 0.0], &[0, 2, 2, 1]);
        pairs
    }

    #[test]
    fn the_measures_are_those_worked_out_by_hand() {
        let all = three_pairs().all();
        let close = |name, expected: f64| {
            let value = value(&all, name);
            assert!((value - expected).abs() < 1e-7, "{name}: {value}, not {expected}");
        };
        close("miou", f64::midpoint(0.75, 0.0));
        close("miou_pairs", 0.5);
        close("miou_dataset", f64::midpoint(2.0 / 3.0, 0.0));
        close("miou_fgbg", f64::midpoint(2.0 / 6.0, (12.0 - 6.0) / (12.0 - 2.0)));
        close("pointing", 0.5);
        close("energy", (0.5 + 1.0 / 1.4 + 0.4 / 1.4) / 3.0);
        // values 1.0: 2 of 3 on, 0.6: 0 of 1, 0.4: 1 of 3, 0.0: 1 of 5; 4 are on in all
        close("pxap", 0.5 * 2.0 / 3.0 + 0.25 * 3.0 / 7.0 + 0.25 * 4.0 / 12.0);
        assert!(all.iter().all(|measure| measure.count == 3));
    }

    #[test]
    fn a_class_is_measured_by_its_own_pairs() {
        let of_class = three_pairs().of_class(0);
        assert_eq!(value(&of_class, "miou"), 0.75);
        assert_eq!(value(&of_class, "pointing"), 1.0);
        assert!(of_class.iter().all(|measure| measure.count == 2));
        assert!(of_class.iter().all(|measure| measure.name != "miou_pairs"));
    }

    #[test]
    fn a_class_without_pairs_has_no_measures() {
        assert_eq!(three_pairs().of_class(2), []);
        assert_eq!(Localisation::new(2).all(), []);
    }
}
