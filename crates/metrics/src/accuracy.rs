/// So many of so many, as in "hits of all samples".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many hold.
    pub hits: u64,
    /// Of how many.
    pub count: u64,
}

impl Share {
    /// `hits / count`; `None` of nothing.
    ///
    /// ```
    /// assert_eq!(metrics::Share { hits: 1, count: 4 }.value(), Some(0.25));
    /// assert_eq!(metrics::Share::default().value(), None);
    /// ```
    pub fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.hits as f64 / self.count as f64)
    }

    fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.count += 1;
    }
}

/// Share of the samples whose predicted class is their label: top-1 accuracy.
///
/// # Shapes
///
/// - `labels`, `predicted`: `[N]`, class indices
///
/// # Examples
///
/// ```
/// let share = metrics::top1(&[0, 1, 1, 2], &[0, 1, 2, 2]);
/// assert_eq!(share.value(), Some(0.75));
/// ```
pub fn top1(labels: &[i64], predicted: &[i64]) -> Share {
    let mut share = Share::default();
    for (label, predicted) in labels.iter().zip(predicted) {
        share.add(label == predicted);
    }
    share
}

/// [`top1`] of the samples of each label apart: the recall of each class.
///
/// A label outside `0..classes` belongs to no class.
///
/// # Examples
///
/// ```
/// let shares = metrics::top1_by_class(&[0, 1, 1], &[0, 1, 0], 3);
/// let values: Vec<_> = shares.iter().map(|share| share.value()).collect();
/// assert_eq!(values, [Some(1.0), Some(0.5), None]);
/// ```
pub fn top1_by_class(labels: &[i64], predicted: &[i64], classes: usize) -> Vec<Share> {
    let mut shares = vec![Share::default(); classes];
    for (label, predicted) in labels.iter().zip(predicted) {
        let class = usize::try_from(*label).ok();
        if let Some(share) = class.and_then(|class| shares.get_mut(class)) {
            share.add(label == predicted);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_shares_add_up_to_the_whole() {
        let (labels, predicted) = ([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 2]);
        let all = top1(&labels, &predicted);
        let by_class = top1_by_class(&labels, &predicted, 3);
        assert_eq!(all, Share { hits: 4, count: 6 });
        assert_eq!(by_class.iter().map(|share| share.hits).sum::<u64>(), all.hits);
        assert_eq!(by_class.iter().map(|share| share.count).sum::<u64>(), all.count);
    }

    #[test]
    fn no_samples_have_no_accuracy() {
        assert_eq!(top1(&[], &[]).value(), None);
    }
}
