use crate::{Measure, area_under, drop_of, increases, road};

/// What a network says of an explained image as it is and as it was changed: probabilities
/// of the class that the map explains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confidences {
    /// Of the image.
    pub before: f32,
    /// Along [`deleted`](crate::deleted()), from step 0 on.
    pub deletion: Vec<f32>,
    /// Along [`inserted`](crate::inserted()), from step 0 on.
    pub insertion: Vec<f32>,
    /// Of what the map shows, [`shown`](crate::shown()).
    pub shown: f32,
    /// With the most relevant pixels [`removed`](crate::removed()), at each percentile.
    pub morf: Vec<f32>,
    /// With the least relevant pixels removed, at each percentile.
    pub lerf: Vec<f32>,
}

/// Collects the images of a data set and measures how faithful their maps are to the network.
///
/// # Examples
///
/// ```
/// use metrics::{Confidences, Faithfulness};
///
/// let mut images = Faithfulness::default();
/// images.add(&Confidences {
///     before: 0.5,
///     deletion: vec![0.5, 0.0],
///     insertion: vec![0.0, 0.5],
///     shown: 0.25,
///     morf: vec![0.25],
///     lerf: vec![0.5],
/// });
/// let found = images.measures();
/// let of = |name| found.iter().find(|measure| measure.name == name).unwrap().value;
/// assert_eq!((of("deletion"), of("insertion"), of("average_drop")), (0.25, 0.25, 0.5));
/// assert_eq!((of("road_morf"), of("road_lerf"), of("road")), (-0.25, 0.0, 0.125));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faithfulness {
    /// Sum and number of the values of each measure.
    sums: [(f64, u64); NAMES.len()],
}

/// The measures' names in the evaluation table.
const NAMES: [&str; 7] = [
    "insertion",
    "deletion",
    "average_drop",
    "average_increase",
    "road_morf",
    "road_lerf",
    "road",
];

impl Faithfulness {
    /// Adds an image. A curve without points adds nothing to its measure.
    pub fn add(&mut self, image: &Confidences) {
        let Confidences { before, shown, .. } = *image;
        let road = road(before, &image.morf, &image.lerf);
        let values = [
            area_under(&image.insertion),
            area_under(&image.deletion),
            Some(drop_of(before, shown)),
            Some(f64::from(u8::from(increases(before, shown)))),
            road.map(|(morf, _, _)| morf),
            road.map(|(_, lerf, _)| lerf),
            road.map(|(_, _, road)| road),
        ];
        for ((sum, count), value) in self.sums.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum += value;
                *count += 1;
            }
        }
    }

    /// The mean of each measure over the images; none if there are no images.
    pub fn measures(&self) -> Vec<Measure> {
        let measure = |(name, (sum, count))| {
            (count > 0).then(|| Measure { name, value: sum / count as f64, count })
        };
        NAMES.into_iter().zip(self.sums).filter_map(measure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_count_alike() {
        let mut images = Faithfulness::default();
        for (before, shown) in [(0.5, 0.75), (0.5, 0.125), (0.25, 0.25)] {
            images.add(&Confidences { before, shown, ..Confidences::default() });
        }
        let found = images.measures();
        // drops 0, 0.75 and 0; one of three increases
        let expected = [("average_drop", 0.25), ("average_increase", 1.0 / 3.0)];
        let expected = expected.map(|(name, value)| Measure { name, value, count: 3 });
        assert_eq!(found, expected);
    }

    #[test]
    fn no_images_have_no_measures() {
        assert_eq!(Faithfulness::default().measures(), []);
    }
}
