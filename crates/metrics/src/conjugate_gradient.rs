//! The solution of a symmetric, positive definite system of linear equations.

/// The residual's norm at the end, in units of the right-hand side's.
const TOLERANCE: f64 = 1e-8;

/// Solves A x = b by conjugate gradients (Hestenes and Stiefel, 1952), from x = 0.
///
/// `multiply(p, out)` writes A p to `out`. In exact arithmetic as many steps as unknowns
/// suffice; there are never more.
pub(crate) fn solve(multiply: impl Fn(&[f64], &mut [f64]), b: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; b.len()];
    let mut residual = b.to_vec();
    let mut direction = b.to_vec();
    let mut product = vec![0.0; b.len()];
    let mut square = dot(b, b);
    let enough = TOLERANCE * TOLERANCE * square;
    for _ in 0..b.len() {
        if square <= enough {
            break;
        }
        multiply(&direction, &mut product);
        let length = square / dot(&direction, &product);
        for (x, direction) in x.iter_mut().zip(&direction) {
            *x += length * direction;
        }
        for (residual, product) in residual.iter_mut().zip(&product) {
            *residual -= length * product;
        }
        let before = std::mem::replace(&mut square, dot(&residual, &residual));
        for (direction, residual) in direction.iter_mut().zip(&residual) {
            *direction = residual + square / before * *direction;
        }
    }
    x
}

/// Σ a b, in lanes that do not wait for one another.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, last_a) = a.as_chunks::<16>();
    let (b, last_b) = b.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let last = last_a.iter().zip(last_b).map(|(a, b)| a * b);
    lanes.into_iter().chain(last).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_equations_are_solved_in_two_steps() {
        // 4x + y = 1, x + 3y = 2
        let multiply = |p: &[f64], out: &mut [f64]| {
            out[0] = 4.0 * p[0] + p[1];
            out[1] = p[0] + 3.0 * p[1];
        };
        let x = solve(multiply, &[1.0, 2.0]);
        assert!((x[0] - 1.0 / 11.0).abs() < 1e-12 && (x[1] - 7.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn zeros_are_solved_at_once() {
        assert_eq!(solve(|_, _| unreachable!("no step is needed"), &[0.0; 3]), [0.0; 3]);
        assert_eq!(solve(|_, _| unreachable!("no step is needed"), &[]), [0.0; 0]);
    }
}
