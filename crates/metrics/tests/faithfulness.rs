//! Faithfulness and rank correlation as other libraries have them, of
//! `tests/parity/faithfulness.py`: two images, a map each, and a linear network.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::HashMap;

use candle_core::{Device, Tensor, safetensors::load_buffer};
use metrics::{
    CURVE_STEPS, Confidences, Faithfulness, First, PERCENTILES, blurred, by_relevance,
    deleted, imputed, inserted, removed, shown, spearman,
};

const FIXTURE: &[u8] = include_bytes!("fixtures/faithfulness.safetensors");
const SIZE: (usize, usize) = (8, 10);
const AREA: usize = 80;

struct Fixture(HashMap<String, Tensor>);

impl Fixture {
    fn new() -> Self {
        Self(load_buffer(FIXTURE, &Device::Cpu).unwrap())
    }

    fn get(&self, name: &str) -> Vec<f32> {
        self.0[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The row of an image.
    fn of(&self, name: &str, image: usize) -> Vec<f32> {
        self.0[name].get(image).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// What the linear network says of pixels.
    fn probabilities(&self, pixels: &[f32]) -> Vec<f32> {
        let (mean, std) = (self.get("mean"), self.get("std"));
        let logit = |weight: &[f32]| {
            let terms = pixels.iter().zip(weight).enumerate().map(|(i, (x, w))| {
                f64::from((x - mean[i / AREA]) / std[i / AREA]) * f64::from(*w)
            });
            terms.sum::<f64>().exp()
        };
        let weight = self.get("weight");
        let exps: Vec<f64> = weight.chunks_exact(3 * AREA).map(logit).collect();
        exps.iter().map(|e| (e / exps.iter().sum::<f64>()) as f32).collect()
    }

    /// The images as they are changed along the map, and what is said of them.
    fn confidences(&self, image: usize) -> Confidences {
        let (x, map, mean) =
            (self.of("pixels", image), self.of("maps", image), self.get("mean"));
        let (order, blur) = (by_relevance(&map), blurred(&x, SIZE));
        let before = self.probabilities(&x);
        let class =
            (0..before.len()).max_by(|&a, &b| before[a].total_cmp(&before[b])).unwrap();
        let p = |x: Vec<f32>| self.probabilities(&x)[class];
        let road = |first| {
            let at = |percentile| p(imputed(&x, SIZE, &removed(&order, first, percentile)));
            PERCENTILES.into_iter().map(at).collect()
        };
        Confidences {
            before: before[class],
            deletion: (0..=CURVE_STEPS).map(|s| p(deleted(&x, &mean, &order, s))).collect(),
            insertion: (0..=CURVE_STEPS)
                .map(|s| p(inserted(&x, &blur, &order, s)))
                .collect(),
            shown: p(shown(&x, &mean, &map)),
            morf: road(First::MostRelevant),
            lerf: road(First::LeastRelevant),
        }
    }
}

fn assert_close(ours: f64, theirs: f32, tolerance: f64) {
    assert!((ours - f64::from(theirs)).abs() <= tolerance, "{ours}, not {theirs}");
}

#[test]
fn the_measures_are_those_of_torchcam_and_pytorch_grad_cam() {
    let fixture = Fixture::new();
    for image in 0..2 {
        let mut images = Faithfulness::default();
        images.add(&fixture.confidences(image));
        let theirs =
            ["curves", "shares", "road"].map(|name| fixture.of(name, image)).concat();
        let names = images.measures();
        assert_eq!(names.len(), theirs.len());
        for (ours, theirs) in names.iter().zip(theirs) {
            assert_close(ours.value, theirs, 2e-6);
        }
    }
    assert_eq!([fixture.of("shares", 0)[1], fixture.of("shares", 1)[1]], [0.0, 1.0]);
}

#[test]
fn pixels_are_removed_and_imputed_as_by_pytorch_grad_cam() {
    let fixture = Fixture::new();
    for image in 0..2 {
        let x = fixture.of("pixels", image);
        let order = by_relevance(&fixture.of("maps", image));
        for (name, first) in [("morf", First::MostRelevant), ("lerf", First::LeastRelevant)]
        {
            let theirs = fixture.of(name, image);
            for (percentile, theirs) in
                PERCENTILES.iter().zip(theirs.chunks_exact(3 * AREA))
            {
                let ours = imputed(&x, SIZE, &removed(&order, first, *percentile));
                for (a, &b) in ours.iter().zip(theirs) {
                    assert_close(f64::from(*a), b, 2e-6);
                }
            }
        }
    }
}

#[test]
fn the_blur_is_scipys() {
    let fixture = Fixture::new();
    for image in 0..2 {
        let ours = blurred(&fixture.of("pixels", image), SIZE);
        for (a, b) in ours.into_iter().zip(fixture.of("blurred", image)) {
            assert_close(f64::from(a), b, 1e-6);
        }
    }
}

#[test]
fn the_rank_correlation_is_scipys() {
    let fixture = Fixture::new();
    let theirs = fixture.get("spearman");
    for (name, theirs) in ["maps", "coarse"].into_iter().zip(theirs) {
        let ours = spearman(&fixture.of(name, 0), &fixture.of(name, 1)).unwrap();
        assert_close(ours, theirs, 1e-7);
    }
}
