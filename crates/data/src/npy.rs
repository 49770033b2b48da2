//! Boolean and byte matrices in the `.npy` format 1 to 3, as the masks of the backgrounds
//! challenge are published.

/// A matrix of bytes and its height and width.
pub(crate) struct Matrix {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<u8>,
}

/// Reads a matrix of `bool` or `u8` in row order
/// (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
pub(crate) fn read(file: &[u8]) -> Result<Matrix, String> {
    let cut = || "the NumPy file is cut off".to_owned();
    let rest = file.strip_prefix(b"\x93NUMPY").ok_or("not a NumPy file")?;
    // Version 1 counts its header in two bytes, versions 2 and 3 in four.
    let (length, start) = match rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        _ => return Err(cut()),
    };
    let header = rest.get(start..start + length).ok_or_else(cut)?;
    let header = String::from_utf8_lossy(header);

    let kind = entry(&header, "descr")?.trim().trim_matches(['\'', '"']);
    if !["|b1", "|u1"].contains(&kind) {
        return Err(format!("a mask is of type bool or u8, not `{kind}`"));
    }
    if entry(&header, "fortran_order")?.trim() != "False" {
        return Err("the matrix is in column order".to_owned());
    }
    let shape = entry(&header, "shape")?;
    let sides: Vec<usize> = shape
        .trim_matches(['(', ')', ' '])
        .split(',')
        .filter_map(|side| side.trim().parse().ok())
        .collect();
    let &[height, width] = sides.as_slice() else {
        return Err(format!("a mask has two axes, not the shape {shape}"));
    };
    let values = rest[start + length..].to_vec();
    if height.checked_mul(width) != Some(values.len()) || values.is_empty() {
        return Err(format!("{} bytes do not fill the shape {shape}", values.len()));
    }
    Ok(Matrix { height, width, values })
}

/// The value of `key` in the Python dictionary that is the header.
fn entry<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("the NumPy header has no `{key}`");
    let (_, rest) = header.split_once(&format!("'{key}':")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = match rest.find(')') {
        Some(end) if rest.starts_with('(') => end + 1,
        _ => rest.find([',', '}']).ok_or_else(missing)?,
    };
    Ok(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.bytes());
        file.extend(values);
        file
    }

    #[test]
    fn a_boolean_matrix_is_read_by_rows() {
        let header = "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }   \n";
        let matrix = read(&file(header, &[0, 1, 0, 1, 1, 0])).unwrap();
        assert_eq!((matrix.height, matrix.width), (2, 3));
        assert_eq!(matrix.values, [0, 1, 0, 1, 1, 0]);
    }

    #[test]
    fn what_is_no_boolean_matrix_is_said() {
        let said = |header: &str, values: &[u8]| read(&file(header, values)).err().unwrap();
        let whole = "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }\n";
        assert_eq!(said(whole, &[1, 0]), "2 bytes do not fill the shape (2, 3)");
        let float = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        assert_eq!(said(float, &[]), "a mask is of type bool or u8, not `<f4`");
        let line = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(said(line, &[1, 1]), "a mask has two axes, not the shape (2,)");
        assert_eq!(read(b"\x89PNG").err().unwrap(), "not a NumPy file");
        assert_eq!(
            read(b"\x93NUMPY\x01\x00\xff").err().unwrap(),
            "the NumPy file is cut off"
        );
    }
}
