use std::ops::Range;

use artifact::{Label, Maps, Scores};
use consistency::{Comparison, Prediction, Psi, Reduction, Verdict};
use rayon::prelude::*;

use crate::Perturbed;

/// Status of a map that can be compared.
const OK: u8 = 0;

/// One row.
struct Row {
    prediction: Prediction,
    predicted_perturbed: Option<i32>,
    verdict: Verdict,
    status: u8,
}

/// Judges these rows of the clean maps, in their order.
///
/// A row depends on its own maps alone.
///
/// # Panics
///
/// If there are no such rows, or a perturbed map is of another size than the clean one.
pub fn table(
    clean: &Maps,
    perturbed: Option<&Perturbed<'_>>,
    rows: Range<usize>,
    psi: Psi,
    reduction: Reduction,
) -> Scores {
    let judged: Vec<Row> = rows
        .clone()
        .into_par_iter()
        .map(|i| row(clean, perturbed, i, psi, reduction))
        .collect();
    Scores {
        sample: clean.sample[rows.clone()].to_vec(),
        label: judged.iter().map(|row| row.prediction.label as i32).collect(),
        predicted: clean.predicted[rows].iter().map(|&class| class as i32).collect(),
        predicted_perturbed: judged.iter().map(|row| row.predicted_perturbed).collect(),
        correct: judged.iter().map(|row| row.prediction.correct).collect(),
        loss: judged.iter().map(|row| row.prediction.loss).collect(),
        confidence: judged.iter().map(|row| row.prediction.confidence).collect(),
        entropy: judged.iter().map(|row| row.prediction.entropy).collect(),
        distance: judged.iter().map(|row| row.verdict.distance).collect(),
        inconsistency: judged.iter().map(|row| row.verdict.inconsistency).collect(),
        consistency: judged.iter().map(|row| row.verdict.consistency).collect(),
        status: judged.iter().map(|row| row.status).collect(),
    }
}

/// Judges row `i` of the clean maps.
///
/// A misclassified sample is not compared, even where its perturbed map was made: the
/// paper compares explanations of correct predictions.
fn row(
    clean: &Maps,
    perturbed: Option<&Perturbed<'_>>,
    i: usize,
    psi: Psi,
    reduction: Reduction,
) -> Row {
    let label = match clean.labels.row(i) {
        Label::Single(label) => consistency::Label::Single(label as usize),
        Label::Multi(hot) => consistency::Label::Multi(hot),
    };
    let prediction =
        consistency::judge(clean.logits(i), clean.predicted[i] as usize, label);
    let pair = perturbed.filter(|_| prediction.correct);
    let Some((maps, j)) = pair.and_then(|p| Some((p.maps, p.row(clean.sample[i])?))) else {
        return Row {
            prediction,
            predicted_perturbed: None,
            verdict: Verdict::default(),
            status: clean.status[i],
        };
    };
    // the worse of the two: not finite is 2, flat 1
    let status = clean.status[i].max(maps.status[j]);
    let sample = Comparison {
        clean: clean.map(i),
        perturbed: maps.map(j),
        size: (clean.height, clean.width),
        image_size: clean.meta.image_size,
        maps_are_ok: status == OK,
        flipped: maps.predicted[j] != clean.predicted[i],
    };
    Row {
        prediction,
        predicted_perturbed: Some(maps.predicted[j] as i32),
        verdict: consistency::evaluate(&sample, psi, reduction),
        status,
    }
}
