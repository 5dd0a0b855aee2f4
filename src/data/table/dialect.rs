//! Detects the dialect of a table's text from its beginning: field separator, decimal mark, and
//! lines above the rows.

use std::borrow::Cow;

use memchr::memchr;

use crate::data::table::cut::Cut;
use crate::data::table::number;
use crate::data::table::number::Decimal;
use crate::data::table::options::{Delimiter, TableOptions};
use crate::data::table::text::letters;

/// Number of records examined.
const RECORDS: usize = 200;

/// Dialect of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dialect {
    pub(super) delimiter: Delimiter,
    pub(super) decimal: Decimal,
    /// Lines before the table.
    pub(super) skipped: usize,
    /// Column names, if they are in a comment above the rows.
    pub(super) names: Option<Vec<String>>,
    /// Notes on the detected format, for the user.
    pub(super) notes: Vec<String>,
}

/// Reason why the dialect is ambiguous: the content found and the content expected.
pub(super) type Unclear = (String, String);

/// Detects the dialect of a text from its beginning.
pub(super) fn dialect(sample: &[u8], options: &TableOptions) -> Result<Dialect, Unclear> {
    let (mut rest, mut skipped, mut notes) = (sample, 0, Vec::new());
    let mut delimiter = options.delimiter;
    if let Some(named) = separator_line(&first_line(rest).0) {
        rest = first_line(rest).1;
        skipped = 1;
        delimiter = delimiter.or(Some(named));
        notes.push(format!("the line `sep=` says: fields are parted by {named}"));
    }
    let (mut comments, mut above) = (0, None);
    loop {
        let (line, behind) = first_line(rest);
        if !line.trim_start().starts_with('#') {
            break;
        }
        (comments, above, rest) = (comments + 1, Some(line), behind);
    }
    let delimiter = delimiter.unwrap_or_else(|| likeliest(rest));
    let text = records(rest, delimiter);
    let lines: Vec<&str> = text.iter().map(|line| &**line).collect();
    let names = above.and_then(|line| names_in_comment(&line, &lines, delimiter));
    if comments > 0 {
        skipped += comments;
        let what = if names.is_some() { "; the last of them names the columns" } else { "" };
        notes.push(format!("{comments} line(s) of comments above the table{what}"));
    }
    let decimal = match options.decimal {
        Some(decimal) => decimal,
        None => decimal_of(&lines, delimiter)?,
    };
    if decimal == Decimal::Comma {
        notes.push("the decimal mark is a comma".into());
    }
    Ok(Dialect { delimiter, decimal, skipped, names, notes })
}

/// The first line of a text without its end, and the rest.
fn first_line(text: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let (line, rest) =
        memchr(b'\n', text).map_or((text, &[][..]), |at| (&text[..at], &text[at + 1..]));
    (letters(line), rest)
}

/// The first records of a text without their ends: lines, several if a quoted field spans them. A
/// quote that is never closed opens no field.
fn records(text: &[u8], delimiter: Delimiter) -> Vec<Cow<'_, str>> {
    let (cut, mut rest, mut found) = (Cut { end: b'\n', delimiter }, text, Vec::new());
    while !rest.is_empty() && found.len() < RECORDS {
        let end = match cut.first_end(rest) {
            Some(end) => end,
            // The sample may end in the middle of a record.
            None if found.len() > 1 => break,
            None => memchr(b'\n', rest).map_or(rest.len(), |at| at + 1),
        };
        let record = &rest[..end];
        found.push(letters(record.strip_suffix(b"\n").unwrap_or(record)));
        rest = &rest[end..];
    }
    found
}

/// Excel's first line: `sep=;`.
fn separator_line(line: &str) -> Option<Delimiter> {
    let named = line.trim_matches('"').strip_prefix("sep=")?;
    match named.trim_matches('"').as_bytes() {
        [byte] => Some(Delimiter::Byte(*byte)),
        _ => None,
    }
}

/// numpy.savetxt writes `# a,b,c` above the rows.
fn names_in_comment(line: &str, rows: &[&str], delimiter: Delimiter) -> Option<Vec<String>> {
    let names: Vec<String> = fields(line.trim_start().trim_start_matches('#').trim(), delimiter)
        .into_iter()
        .map(|name| name.trim().to_string())
        .collect();
    let first = fields(rows.iter().find(|row| !row.trim().is_empty())?, delimiter);
    let fits =
        names.len() > 1 && names.len() == first.len() && names.iter().all(|name| !name.is_empty());
    let is_text = names.iter().all(|name| number::number(name, Decimal::Point).is_none());
    let rows_are_numbers =
        first.iter().any(|field| number::number(field.trim(), Decimal::Point).is_some());
    (fits && is_text && rows_are_numbers).then_some(names)
}

/// The fields of a record. A delimiter between quotes does not count; only a quote at the beginning
/// of a field opens a quoted text.
pub(super) fn fields(line: &str, delimiter: Delimiter) -> Vec<&str> {
    match delimiter {
        Delimiter::Byte(byte) => {
            let (mut found, mut start, mut quoted, mut closed) = (Vec::new(), 0, false, None);
            for (at, letter) in line.bytes().enumerate() {
                if letter == b'"' {
                    // Two in a row are an escaped quote.
                    let opens = at == start || closed == Some(at.wrapping_sub(1));
                    closed = quoted.then_some(at);
                    quoted = !quoted && opens;
                }
                if letter == byte && !quoted {
                    found.push(&line[start..at]);
                    start = at + 1;
                }
            }
            found.push(&line[start..]);
            found
        }
        Delimiter::Spaces => line.split_whitespace().collect(),
        Delimiter::Colons => line.split("::").collect(),
    }
}

/// The delimiter with the most even split: the same number of at least two fields in (nearly) all
/// records, including the first; ties go to the one with the most numeric fields, then to the one
/// with the most fields. A comma if none qualifies.
fn likeliest(text: &[u8]) -> Delimiter {
    let candidates = [
        Delimiter::Byte(b','),
        Delimiter::Byte(b';'),
        Delimiter::Byte(b'\t'),
        Delimiter::Byte(b'|'),
        Delimiter::Colons,
        Delimiter::Spaces,
    ];
    let mut best: Option<([f64; 3], Delimiter)> = None;
    for delimiter in candidates {
        // The delimiter determines which quotes open a text, and with them the boundaries of
        // records.
        let records = records(text, delimiter);
        let records: Vec<&str> = records
            .iter()
            .map(|record| &**record)
            .filter(|record| !record.trim().is_empty())
            .collect();
        let Some(score) = score(&records, delimiter) else { continue };
        if best.is_none_or(|(found, _)| score > found) {
            best = Some((score, delimiter));
        }
    }
    best.map_or(Delimiter::Byte(b','), |(_, delimiter)| delimiter)
}

/// Score of a delimiter: the fraction of lines with as many fields as the first, whether the fields
/// are numbers, and the number of fields; none if it splits nothing.
fn score(lines: &[&str], delimiter: Delimiter) -> Option<[f64; 3]> {
    let count = fields(lines.first()?, delimiter).len();
    let fits = lines.iter().filter(|line| fields(line, delimiter).len() == count).count();
    let even = fits as f64 / lines.len() as f64;
    // A single line with a field too many or too few is an error in that line.
    if count < 2 || even < 0.8 && fits + 1 < lines.len() {
        return None;
    }
    // Spaces also separate the words of a sentence.
    if matches!(delimiter, Delimiter::Spaces)
        && lines.iter().any(|line| line.contains(['"', ',', ';', '\t', '|']))
    {
        return None;
    }
    let decimal = if delimiter == Delimiter::Byte(b',') { Decimal::Point } else { Decimal::Comma };
    let is_number = |field: &&str| {
        let field = field.trim().trim_matches('"');
        field.is_empty()
            || [Decimal::Point, decimal]
                .iter()
                .any(|&decimal| number::number(field, decimal).is_some())
    };
    let cells: Vec<&str> = lines.iter().flat_map(|line| fields(line, delimiter)).collect();
    let numbers = cells.iter().filter(|cell| is_number(cell)).count() as f64 / cells.len() as f64;
    Some([(10.0 * even).round(), (10.0 * numbers).round(), count as f64])
}

/// The decimal mark: a comma if numbers are written with one and none with a point.
fn decimal_of(lines: &[&str], delimiter: Delimiter) -> Result<Decimal, Unclear> {
    // With comma separators a comma is not a decimal mark; in quotes it separates thousands.
    if delimiter == Delimiter::Byte(b',') {
        return Ok(Decimal::Point);
    }
    let cells = lines
        .iter()
        .flat_map(|line| fields(line, delimiter))
        .map(|cell| cell.trim().trim_matches('"'));
    let (mut comma, mut point, mut either) = (None, None, None);
    for cell in cells.filter(|cell| cell.contains([',', '.'])) {
        let [with_point, with_comma] =
            [Decimal::Point, Decimal::Comma].map(|decimal| number::number(cell, decimal));
        match (with_point, with_comma) {
            (Some(_), None) => point = point.or(Some(cell)),
            (None, Some(_)) => comma = comma.or(Some(cell)),
            (Some(_), Some(_)) => either = either.or(Some(cell)),
            (None, None) => {}
        }
    }
    match (point, comma, either) {
        (Some(point), Some(comma), _) => Err((
            format!(
                "numbers with a decimal point (`{point}`) and with a decimal comma (`{comma}`)"
            ),
            "one decimal mark in all of the file; --decimal says which".into(),
        )),
        (None, Some(_), _) => Ok(Decimal::Comma),
        // `1.234` alone is a decimal point, as usual; `1,234` alone is ambiguous.
        (None, None, Some(cell)) if cell.contains(',') => Err((
            format!("`{cell}`, which is a decimal comma or a mark of thousands"),
            "numbers of a clear form; --decimal , or --decimal . says which".into(),
        )),
        _ => Ok(Decimal::Point),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Dialect {
        dialect(text.as_bytes(), &TableOptions::default()).unwrap()
    }

    #[test]
    fn delimiters_are_recognized_by_what_parts_all_lines() {
        use Delimiter::{Byte, Colons, Spaces};
        for (text, delimiter) in [
            ("a,b\n1,2\n", Byte(b',')),
            ("a;b\n1,5;2,5\n", Byte(b';')),
            ("0,1;0,2\n0,3;0,4\n", Byte(b';')),
            ("a\tb c\n1\t2 3\n", Byte(b'\t')),
            ("a|b\n1|2\n", Byte(b'|')),
            ("1::2::5::978300760\n1::3::4::978300761\n", Colons),
            ("5.1  3.5 0\n4.9  3.0 1\n", Spaces),
            ("  1   2.5\n 10  3.5\n", Spaces),
            ("name\nlong name\nother\n", Byte(b',')),
            ("a,\"b;c;d\",e\n1,2,3\n", Byte(b',')),
            ("text,y\n\"one; two; three\",1\n\"four; five; six\",2\n", Byte(b',')),
            ("text;y\n\"one, two\nthree, four\nfive\";1\n\"a, b\n\";2\n", Byte(b';')),
            ("y\ttext\n1\t\"one, two\n\nthree, \"\"four\"\"\n\"\n2\t\"a, b; c\nd\"\n", Byte(b'\t')),
            ("id|text|y\n1|\"a,b,c\n\na,b,c\na,b,c\"|2\n2|\"a,b,c\na,b,c\"|3\n", Byte(b'|')),
            ("text,y\n\"one; two\nthree; four\",1\n\"five; six\n\",2\n", Byte(b',')),
            ("disk;y\n5\" disk;1\n3;2\n", Byte(b';')),
            ("a;b\n\"never closed;1\n2;3\n", Byte(b';')),
            ("1\n2\n", Byte(b',')),
            ("", Byte(b',')),
        ] {
            assert_eq!(found(text).delimiter, delimiter, "{text:?}");
        }
    }

    #[test]
    fn lines_above_the_table_are_recognized() {
        let excel = found("sep=;\na;b\n1;2\n");
        assert_eq!(
            (excel.delimiter, excel.skipped, excel.notes.len()),
            (Delimiter::Byte(b';'), 1, 1)
        );
        let numpy = found("# a,b\n1,2\n3,4\n");
        assert_eq!((numpy.skipped, numpy.names), (1, Some(vec!["a".into(), "b".into()])));
        let plain = found("# made on a Monday\na,b\n1,2\n");
        assert_eq!((plain.skipped, plain.names), (1, None));
    }

    #[test]
    fn decimal_marks_are_recognized_or_asked_for() {
        assert_eq!(found("a;b\n1,5;2\n").decimal, Decimal::Comma);
        assert_eq!(found("a;b\n1.234,5;2\n").decimal, Decimal::Comma);
        assert_eq!(found("a;b\n1.5;2\n").decimal, Decimal::Point);
        assert_eq!(found("a;b\n1,234.5;2\n").decimal, Decimal::Point);
        assert_eq!(found("a,b\n\"1,234\",2\n").decimal, Decimal::Point);
        for (text, word) in [("a;b\n1,234;2\n", "thousands"), ("a;b\n1,5;2.5\n", "decimal comma")] {
            let (found, _) = dialect(text.as_bytes(), &TableOptions::default()).unwrap_err();
            assert!(found.contains(word), "{found}");
        }
    }
}
