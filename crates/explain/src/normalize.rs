use ops::resize::{RANGE_EPSILON, min_max};

/// Whether a map says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// It does.
    Ok = 0,
    /// It is the same everywhere: no place speaks for the class more than another.
    Flat = 1,
    /// It, or the logits it explains, have a value that is infinite or not a number.
    NotFinite = 2,
}

impl Status {
    /// Its code in the files: 0, 1 or 2.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Rectifies a map and stretches it to \[0, 1\], as pytorch-grad-cam 1.5.5 does.
///
/// ```text
/// r = max(map, 0);    r ← r − min r;    r ← r / (1e-7 + max r)
/// ```
///
/// The map is [`Status::Flat`] when `max r − min r ≤ 1e-7` after rectification: then the
/// constant outweighs it, and below 1/2 is all it can reach. That is so where the map is
/// nowhere positive, and of a map of one pixel. It is still normalised by the formula (to
/// zeros if it is constant). A map with a value that is not finite becomes zeros, so that
/// no reader stumbles; its status says so.
///
/// # Examples
///
/// ```
/// use explain::{Status, normalize};
///
/// let mut map = [-1.0, 1.0, 4.0];
/// assert_eq!(normalize(&mut map), Status::Ok);
/// assert_eq!(map, [0.0, 0.25, 1.0]);
///
/// let mut map = [-1.0, -2.0, 0.0];
/// assert_eq!(normalize(&mut map), Status::Flat);
/// assert_eq!(map, [0.0; 3]);
/// ```
pub fn normalize(map: &mut [f32]) -> Status {
    if map.iter().any(|value| !value.is_finite()) {
        map.fill(0.0);
        return Status::NotFinite;
    }
    for value in map.iter_mut() {
        *value = value.max(0.0);
    }
    let range = min_max(map);
    if range > RANGE_EPSILON { Status::Ok } else { Status::Flat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_value_becomes_0() {
        let mut map = [3.0, 5.0, 7.0];
        assert_eq!(normalize(&mut map), Status::Ok);
        assert_eq!(map[0], 0.0);
        assert!((map[1] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_constant_is_added_to_the_range() {
        // in units of 1e-7: 3 / (1 + 3)
        let mut map = [0.0, 3e-7];
        assert_eq!(normalize(&mut map), Status::Ok);
        assert!((map[1] - 0.75).abs() < 1e-6, "{}", map[1]);
    }

    #[test]
    fn a_map_within_the_constant_is_flat() {
        let mut map = [0.0, 1e-7];
        assert_eq!(normalize(&mut map), Status::Flat);
        assert!((map[1] - 0.5).abs() < 1e-6, "{}", map[1]);
    }

    #[test]
    fn a_positive_constant_is_flat() {
        let mut map = [2.5; 4];
        assert_eq!(normalize(&mut map), Status::Flat);
        assert_eq!(map, [0.0; 4]);
    }

    #[test]
    fn what_is_not_finite_is_said_and_becomes_zeros() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut map = [1.0, value, 2.0];
            assert_eq!(normalize(&mut map), Status::NotFinite);
            assert_eq!(map, [0.0; 3]);
        }
    }
}
