//! Measures of the predictions.

use artifact::{Evaluation, Label, Labels, Pack};
use metrics::{Share, average_precision, mean_average_precision, top1, top1_by_class};

/// Accuracy or average precision, and the mean loss.
///
/// A class or group without samples has no row.
pub(crate) fn measure(pack: &Pack, logits: &[f32]) -> Evaluation {
    let mut evaluation = Evaluation::default();
    match &pack.labels {
        Labels::Single(labels) => accuracy(pack, labels, logits, &mut evaluation),
        Labels::Multi { hot, .. } => precision(pack, hot, logits, &mut evaluation),
    }
    let loss = |(i, z): (usize, &[f32])| match pack.labels.row(i) {
        Label::Single(label) => f64::from(ops::softmax::cross_entropy(z, label as usize)),
        Label::Multi(hot) => f64::from(ops::softmax::bce(z, hot)),
    };
    let losses = logits.chunks_exact(pack.classes()).enumerate().map(loss);
    let count = pack.len() as u64;
    evaluation.push("loss", "all", None, losses.sum::<f64>() / count as f64, count);
    evaluation
}

/// `top1` of all images, of each class's and of each group's.
fn accuracy(pack: &Pack, labels: &[i64], logits: &[f32], evaluation: &mut Evaluation) {
    let predicted: Vec<i64> =
        logits.chunks_exact(pack.classes()).map(explain::predicted_class).collect();
    let mut push = |group: &str, share: Share| {
        if let Some(value) = share.value() {
            evaluation.push("top1", group, None, value, share.count);
        }
    };
    push("all", top1(labels, &predicted));
    let shares = top1_by_class(labels, &predicted, pack.classes());
    for (name, share) in pack.meta.classes.iter().zip(shares) {
        push(&format!("class:{name}"), share);
    }
    if pack.has_groups() {
        for group in [0, 1] {
            let members = (0..pack.len()).filter(|&i| pack.group(i) == Some(group));
            let (labels, predicted): (Vec<_>, Vec<_>) =
                members.map(|i| (labels[i], predicted[i])).unzip();
            push(&format!("group:{group}"), top1(&labels, &predicted));
        }
    }
}

/// `map`: average precision of each class over all images, and its mean over the classes;
/// the count is that of the images that have the class.
fn precision(pack: &Pack, hot: &[u8], logits: &[f32], evaluation: &mut Evaluation) {
    let classes = pack.classes();
    let mut by_class = Vec::with_capacity(classes);
    let mut rows = Vec::new();
    for (class, name) in pack.meta.classes.iter().enumerate() {
        let scores: Vec<f32> = logits.chunks_exact(classes).map(|z| z[class]).collect();
        let positive: Vec<bool> =
            hot.chunks_exact(classes).map(|hot| hot[class] != 0).collect();
        let value = average_precision(&scores, &positive);
        by_class.push(value);
        if let Some(value) = value {
            let count = positive.iter().filter(|&&positive| positive).count();
            rows.push((format!("class:{name}"), value, count as u64));
        }
    }
    if let Some(value) = mean_average_precision(&by_class) {
        evaluation.push("map", "all", None, value, pack.len() as u64);
    }
    for (group, value, count) in rows {
        evaluation.push("map", &group, None, value, count);
    }
}
