/// The places of the `count` highest values, from the highest on; of equals the first.
///
/// All of them, if there are fewer.
///
/// # Panics
///
/// If a value, or a part of one, is not a number.
///
/// # Examples
///
/// ```
/// use consistency::selection::highest;
///
/// assert_eq!(highest(&[0.5, 2.0, 0.5, 1.0], 3), [1, 3, 0]);
/// assert_eq!(highest(&[0.5], 3), [0]);
/// // pairs, by the second where the first are equal
/// assert_eq!(highest(&[(1.0, 0.25), (1.0, 0.5), (0.5, 2.0)], 2), [1, 0]);
/// ```
pub fn highest<T: PartialOrd>(values: &[T], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    // the sort keeps the order of equals
    places.sort_by(|&a, &b| {
        values[b].partial_cmp(&values[a]).expect("only numbers are compared")
    });
    places.truncate(count);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_zeros_are_equal() {
        assert_eq!(highest(&[-0.0, 0.0, -1.0], 2), [0, 1]);
    }

    #[test]
    fn nothing_is_chosen_of_nothing() {
        assert!(highest::<f32>(&[], 3).is_empty());
        assert!(highest(&[1.0], 0).is_empty());
    }
}
