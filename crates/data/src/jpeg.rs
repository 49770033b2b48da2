//! Whether a JPEG file is whole.

/// Is there an end-of-image marker after the last scan (ITU T.81, B.1.1)?
///
/// Decoders commonly fill what a truncated file lacks with grey and say nothing. Segments
/// are walked, so that the marker of an embedded thumbnail does not count.
pub(crate) fn is_whole(jpeg: &[u8]) -> bool {
    const RESTART: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;
    const START_OF_IMAGE: u8 = 0xD8;
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    // A zero after 0xFF means the data byte 0xFF; a further 0xFF is padding.
    let is_data = |code: u8| code == 0 || code == 0xFF || RESTART.contains(&code);

    let mut at = 0;
    let mut in_scan = false;
    while let (Some(&lead), Some(&code)) = (jpeg.get(at), jpeg.get(at + 1)) {
        if lead != 0xFF {
            // nearly all of a file is the data of scans
            at = memchr::memchr(0xFF, &jpeg[at..]).map_or(jpeg.len(), |ahead| at + ahead);
            continue;
        }
        if in_scan && is_data(code) {
            at += 1;
            continue;
        }
        match code {
            END_OF_IMAGE => return true,
            0xFF => at += 1,
            START_OF_IMAGE | 0x01 => at += 2,
            _ => {
                let (Some(&high), Some(&low)) = (jpeg.get(at + 2), jpeg.get(at + 3)) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                in_scan = code == START_OF_SCAN;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn the_end_marker_of_a_thumbnail_does_not_count() {
        // SOI; an application segment of 6 bytes that holds FF D9; a scan with FF 00; EOI.
        let whole = [
            0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 1, 1, 0xFF, 0xDA, 0, 2, 5, 0xFF, 0,
            5, 0xFF, 0xD0, 7, 0xFF, 0xD9, 0, 0,
        ];
        assert!(is_whole(&whole));
        for end in 0..whole.len() - 2 {
            assert!(!is_whole(&whole[..end]) || end == whole.len() - 2, "{end}");
        }
    }
}
