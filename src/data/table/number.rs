//! Numbers as people write them in tables.

/// The mark of decimals in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal {
    /// `1.5`; commas part thousands.
    Point,
    /// `1,5`; points part thousands.
    Comma,
}

/// A number that was read, and what stood about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Written {
    pub(super) value: f64,
    /// Thousands were parted.
    pub(super) grouped: bool,
    /// `$`, `€`, `%` …, before or behind it.
    pub(super) unit: Option<char>,
}

const UNITS: [char; 5] = ['$', '€', '£', '¥', '%'];

/// The number that a cell holds; infinities are numbers, NaN is none.
pub(super) fn number(cell: &str, decimal: Decimal) -> Option<Written> {
    if decimal == Decimal::Point
        && let Some(value) = plain(cell)
    {
        return Some(Written { value, grouped: false, unit: None });
    }
    let (unit, rest) = without_unit(cell);
    let (text, grouped) = ungrouped(rest, decimal);
    let value = plain(&text)?;
    Some(Written { value, grouped, unit })
}

/// Powers of ten that are exact in f64.
const TENS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A plain number of at most 15 digits, `-1.5`, which says no more than its value; none of anything else, which other functions read. Nearly
/// all cells of most files are such numbers. The digits and the power of ten are exact, so that their quotient is rounded once, to the
/// nearest: W. Clinger, *How to read floating point numbers accurately* (1990).
pub(super) fn clean(cell: &str) -> Option<f64> {
    let bytes = cell.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if digits.len() > 16 || !digits.first()?.is_ascii_digit() {
        return None;
    }
    let (mut value, mut count, mut point) = (0_u64, 0, None);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = 10 * value + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    // `007` is a number and a name.
    if count > 15 || point.is_none() && count > 1 && digits[0] == b'0' {
        return None;
    }
    let number = value as f64 / TENS[count - point.unwrap_or(count)];
    Some(if digits.len() < bytes.len() { -number } else { number })
}

/// A number with a decimal point and nothing about it. Rust would also read `nan` and words that begin with `inf`.
fn plain(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    match digits.as_bytes().first()? {
        b'0'..=b'9' | b'.' => text.parse().ok(),
        b'i' | b'I' if matches!(digits.to_ascii_lowercase().as_str(), "inf" | "infinity") => {
            text.parse().ok()
        }
        _ => None,
    }
}

fn without_unit(cell: &str) -> (Option<char>, &str) {
    let before = cell.chars().next().filter(|letter| UNITS.contains(letter));
    let behind = cell.chars().next_back().filter(|letter| UNITS.contains(letter));
    match (before, behind) {
        (Some(unit), None) => (Some(unit), cell[unit.len_utf8()..].trim_start()),
        (None, Some(unit)) => (Some(unit), cell[..cell.len() - unit.len_utf8()].trim_end()),
        _ => (None, cell),
    }
}

/// The number with a decimal point and without marks of thousands, and whether there were such.
fn ungrouped(text: &str, decimal: Decimal) -> (String, bool) {
    let (mark, group) = match decimal {
        Decimal::Point => ('.', ','),
        Decimal::Comma => (',', '.'),
    };
    let (whole, fraction) = match text.split_once(mark) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    // A point in a fraction behind a decimal comma is no number.
    if fraction.is_some_and(|fraction| fraction.contains(['.', ','])) {
        return (String::new(), false);
    }
    let marks = [group, ' ', '\u{a0}', '\u{202f}', '\''];
    let found = whole.chars().find(|letter| marks.contains(letter));
    let joined = match found {
        None => whole.to_string(),
        Some(mark) => match in_thousands(whole, mark) {
            Some(joined) => joined,
            None => return (String::new(), false),
        },
    };
    let fraction = fraction.map_or(String::new(), |fraction| format!(".{fraction}"));
    (joined + &fraction, found.is_some())
}

/// `1234567` of `1,234,567`; none if the groups are not of three digits each.
fn in_thousands(text: &str, mark: char) -> Option<String> {
    let mut groups = text.split(mark);
    let first = groups.next()?;
    let digits = first.trim_start_matches(['+', '-']);
    let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first_fits = (1..=3).contains(&digits.len()) && is_digits(digits);
    let mut joined = first.to_string();
    for group in groups {
        if group.len() != 3 || !is_digits(group) {
            return None;
        }
        joined += group;
    }
    first_fits.then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str, decimal: Decimal) -> Option<(f64, bool, Option<char>)> {
        number(cell, decimal).map(|found| (found.value, found.grouped, found.unit))
    }

    #[test]
    fn clean_numbers_have_the_bits_that_they_are_read_with_otherwise() {
        let mut random = crate::cpu::random::Random::new(7, 0);
        for _ in 0..20_000 {
            let (digits, places) =
                (1 + random.next_u32() as usize % 16, random.next_u32() as usize % 16);
            let mut text: String =
                (0..digits).map(|_| char::from(b'0' + (random.next_u32() % 10) as u8)).collect();
            if places < digits {
                text.insert(digits - places, '.');
            }
            let text = if random.next_u32().is_multiple_of(2) { text } else { format!("-{text}") };
            if let Some(found) = clean(&text) {
                let expected: f64 = text.parse().unwrap();
                assert_eq!(found.to_bits(), expected.to_bits(), "{text}");
            }
        }
        assert_eq!(
            ["0", "-0.0", "5.", "123456789012345"].map(|text| clean(text).unwrap().to_string()),
            ["0", "-0", "5", "123456789012345"]
        );
        for text in
            ["", "-", ".5", "1e3", "007", "1.2.3", "1234567890123456", "+1", "1,0", "nan", "--1"]
        {
            assert_eq!(clean(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        use Decimal::{Comma, Point};
        for (cell, decimal, expected) in [
            ("1.5", Point, (1.5, false, None)),
            ("-2e3", Point, (-2000.0, false, None)),
            (".5", Point, (0.5, false, None)),
            ("1,234.5", Point, (1234.5, true, None)),
            ("-1,234,567", Point, (-1_234_567.0, true, None)),
            ("1 234", Point, (1234.0, true, None)),
            ("1'234.5", Point, (1234.5, true, None)),
            ("$1,234", Point, (1234.0, true, Some('$'))),
            ("12.5 %", Point, (12.5, false, Some('%'))),
            ("1,5", Comma, (1.5, false, None)),
            ("1.234,50", Comma, (1234.5, true, None)),
            ("3 €", Comma, (3.0, false, Some('€'))),
            ("7", Comma, (7.0, false, None)),
            ("1e-3", Comma, (0.001, false, None)),
            ("-inf", Point, (f64::NEG_INFINITY, false, None)),
        ] {
            assert_eq!(read(cell, decimal), Some(expected), "{cell}");
        }
        for (cell, decimal) in [
            ("1,5", Point),
            ("1,23,4", Point),
            ("12,3456", Point),
            ("1.5", Comma),
            ("1,2,3", Comma),
            ("nan", Point),
            ("info", Point),
            ("", Point),
            ("-", Point),
            ("$", Point),
            ("1 2", Point),
            ("a1", Point),
            ("1.2.3", Point),
        ] {
            assert_eq!(read(cell, decimal), None, "{cell}");
        }
    }
}
