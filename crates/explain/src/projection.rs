//! The first principal component of an image's channels.

use faer::{Mat, Side};

/// Each place's coordinate along the direction in which the channels vary most.
///
/// ```text
/// X = channels[c, place] - mean over places,    map = Xᵀ v,    v the first eigenvector of X Xᵀ
/// ```
///
/// as pytorch-grad-cam's `get_2d_projection`, which takes v from a singular value decomposition
/// of `Xᵀ`; here from the smaller of the two Gram matrices, in f64. The sign of v means nothing;
/// it is chosen so that |min| ≤ |max| (Chung and Ying, "Seg-Eigen-CAM", 2025, Eq. 13); where
/// the two are equal, so that the first place that has the largest magnitude is positive.
/// Where a value is not finite, no value of the map is (pytorch-grad-cam takes NaN for 0).
///
/// # Shapes
///
/// - `channels`: `[C, area]`
/// - result: `[area]`
pub(crate) fn first(channels: &[f32], area: usize) -> Vec<f32> {
    if channels.iter().any(|value| !value.is_finite()) {
        return vec![f32::NAN; area];
    }
    let count = channels.len() / area;
    let centred: Vec<f64> = channels.chunks_exact(area).flat_map(centre).collect();
    let at = |channel: usize, place: usize| centred[channel * area + place];
    let sum = |n: usize, term: &dyn Fn(usize) -> f64| -> f64 { (0..n).map(term).sum() };
    let mut map: Vec<f64> = if area <= count {
        // u of XᵀX: Xᵀ v = √λ u
        let (u, lambda) = leading(area, |i, j| sum(count, &|c| at(c, i) * at(c, j)));
        u.into_iter().map(|u| u * lambda.max(0.0).sqrt()).collect()
    } else {
        let (v, _) = leading(count, |i, j| sum(area, &|place| at(i, place) * at(j, place)));
        (0..area).map(|place| sum(count, &|c| at(c, place) * v[c])).collect()
    };
    let (low, high) = map.iter().fold((0f64, 0f64), |(l, h), &x| (l.min(x), h.max(x)));
    // equal up to rounding
    let is_tie = (low + high).abs() <= 1e-6 * high.max(-low);
    let first = map.iter().find(|x| x.abs() >= (1.0 - 1e-6) * high.max(-low));
    if is_tie && first.is_some_and(|&x| x < 0.0) || !is_tie && -low > high {
        for x in &mut map {
            *x = -*x;
        }
    }
    map.into_iter().map(|x| x as f32).collect()
}

fn centre(channel: &[f32]) -> impl Iterator<Item = f64> {
    let mean = channel.iter().map(|&x| f64::from(x)).sum::<f64>() / channel.len() as f64;
    channel.iter().map(move |&x| f64::from(x) - mean)
}

/// The unit eigenvector of the largest eigenvalue of a symmetric matrix, and that value.
fn leading(n: usize, at: impl Fn(usize, usize) -> f64) -> (Vec<f64>, f64) {
    // the lower half is all that is read
    let gram = Mat::from_fn(n, n, |i, j| if j <= i { at(i, j) } else { 0.0 });
    let eigen = gram
        .self_adjoint_eigen(Side::Lower)
        .expect("a symmetric matrix of finite numbers has eigenvectors");
    let vector = (0..n).map(|i| eigen.U()[(i, n - 1)]).collect();
    (vector, eigen.S()[n - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_along_the_direction_of_most_variance() {
        // centred, (3, 4) times -1, -1 and 2: a line of direction (3, 4) / 5
        let channels = [1.0, 1.0, 10.0, 2.0, 2.0, 14.0];
        let expected = [-5.0, -5.0, 10.0];
        for (found, expected) in first(&channels, 3).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        // more places than channels, and the other sign
        let channels = [-1.0, -1.0, -10.0, -1.0, -1.0];
        let map = first(&channels, 5);
        assert!((map[2] - 7.2).abs() < 1e-5 && (map[0] + 1.8).abs() < 1e-5, "{map:?}");
    }

    #[test]
    fn of_two_places_the_first_is_positive() {
        for channels in [[1.0, 3.0], [3.0, 1.0]] {
            let map = first(&channels, 2);
            assert!((map[0] - 1.0).abs() < 1e-6 && (map[1] + 1.0).abs() < 1e-6, "{map:?}");
        }
    }

    #[test]
    fn channels_that_do_not_vary_have_a_map_of_zeros() {
        assert_eq!(first(&[2.0, 2.0, 5.0, 5.0], 2), [0.0, 0.0]);
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        assert!(first(&[1.0, f32::NAN, 0.0, 2.0], 2).iter().all(|x| x.is_nan()));
    }
}
