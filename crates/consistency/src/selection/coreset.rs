use rayon::prelude::*;

/// Samples that are compared with a centre while it is in the cache.
const CHUNK: usize = 64;
/// Sums beside each other, so that they fit vectors.
const LANES: usize = 16;

/// Adds the samples that are farthest from all others, by k-center greedy
/// (Sener and Savarese 2018, Algorithm 1).
///
/// ```text
/// count times:  u = argmax over i not in s of min over j in s of ‖x_i − x_j‖²,   s = s ∪ {u}
/// ```
///
/// Of equally far ones the first is taken, so that with nothing selected sample 0 is. No two
/// samples are compared twice and no table of them is made: each keeps its distance to the
/// nearest that is in, which takes N numbers beside the features. The result, in the order
/// of the choice, does not depend on the number of threads; it is shorter than `count` where
/// all samples are in.
///
/// # Shapes
///
/// - `features`: `[N, D]`, row-major, finite
/// - `selected`: `[N]`, what s is at first
///
/// # Panics
///
/// If `features` is not of N rows of at least one number.
///
/// # Examples
///
/// ```
/// use consistency::selection::coreset;
///
/// // on a line: 0 is in; 10 is farthest from it, then 4, which is 4 from 0 and 6 from 10
/// let features = [0.0, 1.0, 4.0, 9.0, 10.0];
/// let selected = [true, false, false, false, false];
/// assert_eq!(coreset(&features, &selected, 2), [4, 2]);
/// ```
pub fn coreset(features: &[f32], selected: &[bool], count: usize) -> Vec<usize> {
    let samples = selected.len();
    if samples == 0 {
        return Vec::new();
    }
    let width = features.len() / samples;
    assert!(width > 0 && features.len() == samples * width, "features are not of N rows");
    let mut nearest = vec![f32::INFINITY; samples];
    let (centres, mut open): (Vec<usize>, Vec<usize>) =
        (0..samples).partition(|&i| selected[i]);
    approach(&mut nearest, features, &centres);
    let mut chosen = Vec::new();
    while chosen.len() < count && !open.is_empty() {
        let farther = |best: usize, place: usize| {
            if nearest[open[place]] > nearest[open[best]] { place } else { best }
        };
        let place = (0..open.len()).fold(0, farther);
        let farthest = open.remove(place);
        chosen.push(farthest);
        approach(&mut nearest, features, &[farthest]);
    }
    chosen
}

/// Lowers each sample's squared distance to the nearest centre by these centres.
fn approach(nearest: &mut [f32], features: &[f32], centres: &[usize]) {
    let width = features.len() / nearest.len();
    let chunks = features.par_chunks(CHUNK * width);
    nearest.par_chunks_mut(CHUNK).zip(chunks).for_each(|(nearest, samples)| {
        for centre in centres {
            let centre = &features[centre * width..][..width];
            for (nearest, sample) in nearest.iter_mut().zip(samples.chunks_exact(width)) {
                *nearest = nearest.min(squared_distance(sample, centre));
            }
        }
    });
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features of no symmetry, whole numbers whose distances are exact.
    fn features(samples: usize, width: usize) -> Vec<f32> {
        (0..samples * width).map(|i| ((i * i + 7 * i) % 101) as f32).collect()
    }

    /// Algorithm 1 as it is written, from a table of all distances.
    fn by_table(features: &[f32], selected: &[bool], count: usize) -> Vec<usize> {
        let n = selected.len();
        let rows: Vec<&[f32]> = features.chunks_exact(features.len() / n).collect();
        let distance = |i: usize, j: usize| -> f32 {
            rows[i].iter().zip(rows[j]).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut selected = selected.to_vec();
        let mut chosen = Vec::new();
        for _ in 0..count {
            let from_set = |i: usize| {
                (0..n)
                    .filter(|&j| selected[j])
                    .map(|j| distance(i, j))
                    .fold(f32::MAX, f32::min)
            };
            let mut open: Vec<usize> = (0..n).filter(|&i| !selected[i]).collect();
            open.sort_by(|&a, &b| from_set(b).total_cmp(&from_set(a)).then(a.cmp(&b)));
            chosen.push(open[0]);
            selected[open[0]] = true;
        }
        chosen
    }

    #[test]
    fn the_choice_is_that_of_the_whole_table() {
        for (samples, width) in [(150, 3), (70, 16), (65, 37)] {
            let features = features(samples, width);
            let selected: Vec<bool> = (0..samples).map(|i| i % 7 == 2).collect();
            let expected = by_table(&features, &selected, 20);
            assert_eq!(coreset(&features, &selected, 20), expected, "{samples} {width}");
        }
    }

    #[test]
    fn of_equally_far_samples_the_first_is_taken() {
        // the corners of a square and its centre, which is in
        let corners = [0.0, 0.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
        let selected = [true, false, false, false, false];
        assert_eq!(coreset(&corners, &selected, 4), [1, 2, 3, 4]);
        assert_eq!(coreset(&[5.0; 3], &[false; 3], 2), [0, 1]);
    }

    #[test]
    fn no_more_are_chosen_than_there_are() {
        assert_eq!(coreset(&[1.0, 2.0], &[true, false], 5), [1]);
        assert!(coreset(&[1.0], &[true], 1).is_empty());
        assert!(coreset(&[], &[], 1).is_empty());
        assert!(coreset(&[1.0], &[false], 0).is_empty());
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let features = features(300, 33);
        let selected: Vec<bool> = (0..300).map(|i| i == 17).collect();
        let in_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| coreset(&features, &selected, 40))
        };
        assert_eq!(in_threads(1), in_threads(4));
    }
}
