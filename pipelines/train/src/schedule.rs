/// The learning rate of an epoch, counted from 0 over all rounds: step decay, as PyTorch's
/// `StepLR` (paper, section IV-A).
///
/// ```text
/// rate = first · factor^⌊epoch / every⌋
/// ```
///
/// It never decays if `every` is 0.
pub(crate) fn learning_rate(first: f64, every: u32, factor: f64, epoch: u32) -> f64 {
    let decays = epoch.checked_div(every).unwrap_or(0);
    first * factor.powi(decays.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_decays_at_each_step() {
        let rates = [0, 29, 30, 59, 60].map(|epoch| learning_rate(1e-4, 30, 0.5, epoch));
        assert_eq!(rates, [1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5]);
    }

    #[test]
    fn zero_is_never() {
        assert_eq!(learning_rate(0.1, 0, 0.1, 1000), 0.1);
    }
}
