//! Signs packed into bits, as the `signs` tensor of a perturbation file.

use core::array;

/// Packs the signs of `values`, least significant bit first: 1 for +1, 0 for −1.
///
/// `sign(0) = +1`, as the paper says under its Eq. (1), and so has −0; NaN has no sign and
/// is packed as +1 too. The bits that fill up the last byte are 0.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::bits::pack_signs(&[0.5, -2.0, 0.0, 1.0]), [0b1101]);
/// assert_eq!(ops::bits::pack_signs(&[-1.0; 9]).len(), 2);
/// ```
pub fn pack_signs(values: &[f32]) -> Vec<u8> {
    let pack = |values: &[f32]| {
        values
            .iter()
            .enumerate()
            .fold(0, |byte, (i, v)| byte | u8::from(*v >= 0.0 || v.is_nan()) << i)
    };
    values.chunks(8).map(pack).collect()
}

/// The first `count` of packed signs, +1 or −1 each.
///
/// # Panics
///
/// If there are not so many bytes.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::bits::unpack_signs(&[0b1101], 3), [1.0, -1.0, 1.0]);
/// ```
pub fn unpack_signs(bits: &[u8], count: usize) -> Vec<f32> {
    let bits = &bits[..count.div_ceil(8)];
    let sign = |byte: u8, i: usize| if byte >> i & 1 == 1 { 1.0 } else { -1.0 };
    let mut signs: Vec<f32> = bits
        .iter()
        .flat_map(|&byte| array::from_fn::<_, 8, _>(|i| sign(byte, i)))
        .collect();
    signs.truncate(count);
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_come_back() {
        let values = [1.0, -1.0, -0.0, 0.0, -1e-30, 1e30, -3.0, -4.0, 5.0, -6.0, 7.0];
        let bits = pack_signs(&values);
        assert_eq!(bits, [0b0010_1101, 0b101]);
        let signs = values.map(|v| if v < 0.0 { -1.0 } else { 1.0 });
        assert_eq!(unpack_signs(&bits, values.len()), signs);
    }

    #[test]
    fn what_is_no_number_counts_as_positive() {
        assert_eq!(pack_signs(&[f32::NAN, -f32::NAN]), [0b11]);
        assert!(pack_signs(&[]).is_empty());
    }
}
