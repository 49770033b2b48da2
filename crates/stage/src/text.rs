//! Numbers and durations for people.

use std::time::Duration;

/// The number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The duration in its two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s:02} s"),
        (h, min, _) => format!("{h} h {min:02} min"),
    }
}

/// How many a second, with a decimal where it matters.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{}/s", grouped(per_second.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1200), "1 200");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!(duration(Duration::from_millis(6400)), "6 s");
        assert_eq!(duration(Duration::from_secs(66)), "1 min 06 s");
        assert_eq!(duration(Duration::from_secs(3600 + 5 * 60 + 59)), "1 h 05 min");
    }

    #[test]
    fn slow_rates_have_a_decimal() {
        assert_eq!(rate(1.44), "1.4/s");
        assert_eq!(rate(103.4), "103/s");
    }
}
