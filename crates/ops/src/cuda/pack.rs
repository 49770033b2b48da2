//! How many neighbouring values a thread takes at a time.

use super::Arg;

/// Values of a pack: 16 bytes of f32.
const WIDTH: usize = 4;

/// The `V` of a kernel's packs, 4 or 1: rows of `row` values are divided into them, and each
/// buffer among its arguments begins where one may.
pub(crate) fn width(row: usize, args: &[Arg]) -> usize {
    let aligned =
        |arg: &Arg| !matches!(arg, Arg::Pointer(place) if !place.is_multiple_of(16));
    if row.is_multiple_of(WIDTH) && args.iter().all(aligned) { WIDTH } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_begin_at_multiples_of_their_size() {
        let args = [Arg::Pointer(0), Arg::Pointer(512), Arg::Long(7)];
        assert_eq!(width(12, &args), 4);
        assert_eq!(width(10, &args), 1);
        assert_eq!(width(12, &[Arg::Pointer(8)]), 1);
    }
}
