//! From maps to the rows of the table.

use artifact::{Label, Maps, Scores};
use consistency::{Comparison, Prediction, Psi, Reduction, Verdict};
use rayon::prelude::*;
use stage::Stage;

use crate::join::Joined;

/// Status of a map that can be compared.
const OK: u8 = 0;

/// Rows between two looks at the clock and the keyboard.
const CHUNK: usize = 256;

/// One row.
struct Row {
    prediction: Prediction,
    predicted_perturbed: Option<i32>,
    verdict: Verdict,
    status: u8,
}

/// Judges every clean sample, in the order of the clean maps.
pub(crate) fn table(
    clean: &Maps,
    perturbed: Option<&Joined<'_>>,
    psi: Psi,
    reduction: Reduction,
    stage: &Stage,
) -> anyhow::Result<Scores> {
    let samples: Vec<usize> = (0..clean.sample.len()).collect();
    let progress = stage.progress(samples.len() as u64, "samples");
    let mut rows = Vec::with_capacity(samples.len());
    for chunk in samples.chunks(CHUNK) {
        stage.check()?;
        rows.par_extend(
            chunk.par_iter().map(|&i| row(clean, perturbed, i, psi, reduction)),
        );
        progress.inc(chunk.len() as u64);
    }
    Ok(Scores {
        sample: clean.sample.clone(),
        label: rows.iter().map(|row| row.prediction.label as i32).collect(),
        predicted: clean.predicted.iter().map(|&predicted| predicted as i32).collect(),
        predicted_perturbed: rows.iter().map(|row| row.predicted_perturbed).collect(),
        correct: rows.iter().map(|row| row.prediction.correct).collect(),
        loss: rows.iter().map(|row| row.prediction.loss).collect(),
        confidence: rows.iter().map(|row| row.prediction.confidence).collect(),
        entropy: rows.iter().map(|row| row.prediction.entropy).collect(),
        distance: rows.iter().map(|row| row.verdict.distance).collect(),
        inconsistency: rows.iter().map(|row| row.verdict.inconsistency).collect(),
        consistency: rows.iter().map(|row| row.verdict.consistency).collect(),
        status: rows.iter().map(|row| row.status).collect(),
    })
}

/// Judges row `i` of the clean maps.
///
/// A misclassified sample is not compared, even where its perturbed map was made: the
/// paper compares explanations of correct predictions.
fn row(
    clean: &Maps,
    perturbed: Option<&Joined<'_>>,
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
