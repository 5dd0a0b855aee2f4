//! Text output for people: numbers formatted by magnitude, and strings from files and command lines
//! escaped for terminals.
//!
//! All output for people uses this module: messages of [`crate::Error`], tables and notes of the
//! command.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::path::Path;

/// True if a terminal would interpret a character instead of showing it: control characters (ESC
/// begins sequences that move the cursor, rename the window, hide text), line ends, and
/// bidirectional marks.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes text to a single line that a terminal shows verbatim: each control character becomes its
/// escape, `\n` or `\u{1b}`.
///
/// ```
/// use gradus::text::printable;
///
/// assert_eq!(printable("a name"), "a name");
/// assert_eq!(printable("a\nb \u{1b}[31mred"), r"a\nb \u{1b}[31mred");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// As [`printable`], for text of several lines: line ends and tabs are kept.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

/// A path in a message: an empty one is named as such, where nothing would be shown.
///
/// ```
/// use gradus::text::path;
///
/// assert_eq!(path("a.csv".as_ref()), "a.csv");
/// assert_eq!(path("".as_ref()), "the empty path");
/// ```
pub fn path(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => "the empty path".into(),
        false => path.display().to_string(),
    }
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|letter| is_obeyed(letter) && !stays(letter)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_obeyed(letter) && !stays(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

/// A JSON document with all characters that terminals interpret escaped in its strings: JSON itself
/// requires escapes only below U+0020.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(|letter| is_obeyed(letter) && letter != '\n') {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 16);
    for letter in document.chars() {
        if is_obeyed(letter) && letter != '\n' {
            // All of them are in the Basic Multilingual Plane, so four digits are enough.
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

/// A writer that escapes its text to one line as [`printable`] does.
pub(crate) struct OneLine<'f, 'w>(pub &'w mut fmt::Formatter<'f>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&printable(text))
    }
}

/// A number with five significant digits, formatted by magnitude: `0.12345`, `12.345`, `12345`,
/// `6.5496e10`.
///
/// ```
/// use gradus::text::number;
///
/// assert_eq!([0.123_456, 12.3, 65_495_622_397.724_44].map(number), ["0.12346", "12.300", "6.5496e10"]);
/// ```
pub fn number(x: f64) -> String {
    significant(x, 5)
}

/// A number with `digits` significant digits, formatted as by [`number`]. Integers below a million
/// are written in full.
pub fn significant(x: f64, digits: usize) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        return if x == 0.0 { "0".into() } else { x.to_string() };
    }
    let digits = digits.max(1);
    // From the rounded text, not from `x`: 9.99996 is 10.000 with five digits.
    let scientific = format!("{x:.*e}", digits - 1);
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if !(1e-4..999_999.5).contains(&size) {
        return scientific;
    }
    format!("{x:.*}", (digits as i32 - 1 - exponent).max(0) as usize)
}

/// A number with all its digits in the shortest notation: `0.1`, `500001`, `1e300` and not 301
/// digits.
pub(crate) fn exact(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() || (1e-5..1e16).contains(&size) {
        x.to_string()
    } else {
        format!("{x:e}")
    }
}

/// An integer with thousands separators: `41,085`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate per second, with three significant digits and the unit that leaves one to three digits
/// before the point: `41.1 k`, `1.25 M`.
pub fn rate(per_second: f64) -> String {
    let mut value = per_second;
    for unit in ["", " k", " M", " G", " T"] {
        // 999.5 would round to 1000 with three digits.
        if value < 999.5 || unit == " T" {
            return format!("{}{unit}", significant(value, 3));
        }
        value /= 1000.0;
    }
    significant(per_second, 3)
}

/// A duration in a suitable unit: `12.3 µs`, `4.56 ms`, `7.89 s`, `12 min 5 s`, `3 h 20 min`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s == 0.0 => format!("{s} s"),
        s if s < 999.5e-9 => format!("{} ns", significant(s * 1e9, 3)),
        s if s < 999.5e-6 => format!("{} µs", significant(s * 1e6, 3)),
        s if s < 999.5e-3 => format!("{} ms", significant(s * 1e3, 3)),
        s if s < 99.95 => format!("{} s", significant(s, 3)),
        s if s < 3599.5 => format!("{} min {} s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{} h {} min", s.round() as u64 / 3600, s.round() as u64 % 3600 / 60),
    }
}

/// A number of bytes in the largest unit that leaves at least 1: `1023 B`, `128 MiB`.
pub fn bytes(bytes: f64) -> String {
    let (mut number, mut unit) = (bytes, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_by_their_size() {
        for (x, written) in [
            (0.0, "0"),
            (0.5, "0.50000"),
            (9.999_96, "10.000"),
            (1234.56, "1234.6"),
            (54_321.9, "54322"),
            (999_999.0, "999999"),
            (1e6, "1.0000e6"),
            (65_495_622_397.724_44, "6.5496e10"),
            (-0.000_123_456, "-0.00012346"),
            (1.5e-9, "1.5000e-9"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(x), written);
        }
        assert_eq!(
            [0.0, 12.0, 999.6, 41_085.393_6, 1.25e6, 3.1e15].map(rate),
            ["0", "12.0", "1.00 k", "41.1 k", "1.25 M", "3100 T"]
        );
        assert_eq!(
            [3e-8, 4.56e-3, 7.891, 99.96, 725.0, 12_000.0].map(seconds),
            ["30.0 ns", "4.56 ms", "7.89 s", "1 min 40 s", "12 min 5 s", "3 h 20 min"]
        );
        assert_eq!([0.1, 500_001.0, 1e300, -2e-7].map(exact), ["0.1", "500001", "1e300", "-2e-7"]);
        assert_eq!(
            [999, 1000, 41_085, 1_234_567].map(count),
            ["999", "1,000", "41,085", "1,234,567"]
        );
        assert_eq!(
            [1023.0, 134_217_728.0, 2_147_483_647.0].map(bytes),
            ["1023 B", "128 MiB", "2 GiB"]
        );
    }

    #[test]
    fn what_a_terminal_obeys_stands_as_its_escape() {
        assert!(matches!(printable("Kraków 東京 ½"), Cow::Borrowed(_)));
        assert_eq!(printable("\u{1b}]0;x\u{7}\u{9b}31m\u{7f}"), r"\u{1b}]0;x\u{7}\u{9b}31m\u{7f}");
        assert_eq!(printable("a\r\nb\u{202e}c"), r"a\r\nb\u{202e}c");
        assert_eq!(printable_lines("a\tb\n\u{1b}c"), "a\tb\n\\u{1b}c");
        assert_eq!(printable_json("{\n\"a\": \"\u{7f}\u{9b}\"}"), "{\n\"a\": \"\\u007f\\u009b\"}");
    }
}
