//! Text as a terminal may show it.

use std::time::Duration;

/// Text from a cluster, a log or a tool, without what could move the cursor or reorder the line:
/// control characters (tab stays) and bidirectional controls become U+FFFD.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\t' && c != '\n')
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time a person feels: `38 ms`, `1.9 s`, `12 min`, `2 h 5 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        _ if seconds < 1.0 => format!("{} ms", time.as_millis()),
        0..=59 => format!("{seconds:.1} s"),
        60..=3599 => format!("{} min", time.as_secs() / 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number in groups of three digits: `1 204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_204, "1 204"), (1_000_000, "1 000 000")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn escape_sequences_and_bidi_do_not_pass() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\td"), "a\u{fffd}[31mb\u{fffd}c\td");
    }

    #[test]
    fn times_are_those_a_person_feels() {
        for (ms, text) in [
            (38, "38 ms"),
            (1_940, "1.9 s"),
            (59_000, "59.0 s"),
            (720_000, "12 min"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
