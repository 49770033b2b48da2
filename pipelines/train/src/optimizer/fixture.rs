//! The steps that tests/parity/optimizers.py takes.

pub(super) const START: [f32; 4] = [1.0, -2.0, 0.5, 0.0];
pub(super) const GRADIENTS: [[f32; 4]; 3] =
    [[0.1, -0.2, 0.0, 3.0], [-0.3, 0.4, 1e-4, 2.0], [0.05, 0.6, -1e-4, -1.0]];
pub(super) const RATES: [f64; 3] = [0.1, 0.1, 0.01];

pub(super) fn assert_close(found: [[f32; 4]; 3], expected: [[f32; 4]; 3]) {
    for (f, e) in found.as_flattened().iter().zip(expected.as_flattened()) {
        assert!((f - e).abs() <= 2e-7 * e.abs().max(1.0), "{found:?}\n{expected:?}");
    }
}
