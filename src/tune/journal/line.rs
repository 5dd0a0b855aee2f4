//! Lines of a journal: JSON as Python writes it, in which NaN and infinities stand bare.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// Parses a line; NaN and infinities become the texts `NaN`, `Infinity` and `-Infinity`.
pub(super) fn parse(line: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(line) {
        return Some(value);
    }
    let (mut text, mut rest, mut inside) = (String::with_capacity(line.len() + 16), line, false);
    'letters: while let Some(letter) = rest.chars().next() {
        if !inside {
            for word in ["-Infinity", "Infinity", "NaN"] {
                if let Some(behind) = rest.strip_prefix(word) {
                    text.push_str(&format!("\"{word}\""));
                    rest = behind;
                    continue 'letters;
                }
            }
        }
        let mut taken = letter.len_utf8();
        match letter {
            '"' => inside = !inside,
            '\\' if inside => taken += rest[taken..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        text.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    serde_json::from_str(&text).ok()
}

/// A number of a parsed line.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A number as Python writes it.
pub(super) fn written(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => serde_json::json!(number).to_string(),
    }
}

/// The time now as ISO 8601 in UTC with microseconds.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    at(since.as_secs(), since.subsec_micros())
}

/// A time in seconds since 1970, by the days of the Gregorian calendar (H. Hinnant,
/// *chrono-compatible low-level date algorithms*: `civil_from_days`).
fn at(seconds: u64, micros: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_read_and_texts_left_alone() {
        let line = r#"{"values":[NaN,-Infinity,1.5],"name":"a \"NaN\" of Infinity"}"#;
        let parsed = parse(line).unwrap();
        assert!(number(&parsed["values"][0]).unwrap().is_nan());
        assert_eq!(number(&parsed["values"][1]), Some(f64::NEG_INFINITY));
        assert_eq!(number(&parsed["values"][2]), Some(1.5));
        assert_eq!(parsed["name"], "a \"NaN\" of Infinity");
        assert_eq!(parse(r#"{"op_code":7,"trial"#), None);
        for value in [0.1, 1e300, -2.0, 1.0 / 3.0] {
            assert_eq!(number(&parse(&written(value)).unwrap()), Some(value));
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000005+00:00");
        assert_eq!(at(1_796_009_818, 0), "2026-11-30T03:36:58.000000+00:00");
    }
}
