//! Decodes a text file to UTF-8: byte order marks, UTF-16.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::{fmt, io};

use memchr::memchr_iter;

use crate::data::source::Source;
use crate::{Error, Result};

/// Bytes at the beginning of a file from which its format is detected; more if they hold too few
/// rows.
const SAMPLE: u64 = 1 << 20;

/// Minimum number of rows in the beginning of a longer file.
const ROWS: usize = 8;

/// This many lines always suffice, whatever is in quotes.
const LINES: usize = 1000;

/// The beginning of a text, and a reader of all of it.
pub(super) struct Text {
    /// Whole lines, unless the file is a single line; each ends with `\n`.
    pub(super) sample: Vec<u8>,
    /// UTF-8 or Latin-1 with the file's own line ends.
    pub(super) reader: Box<dyn Read + Send>,
    /// Note on an encoding other than plain UTF-8, for the user.
    pub(super) note: Option<&'static str>,
    /// Offset in the file; none if the bytes differ from those of the file.
    pub(super) start: Option<u64>,
    /// The last byte of a line.
    pub(super) line_end: u8,
}

impl Text {
    pub(super) fn open(mut source: Source) -> Result<Self> {
        let path = source.path().to_path_buf();
        let mut start = source.up_to(SAMPLE)?;
        let (is_file, inside) = (source.is_plain_file(), source.inside().to_string());
        let (reader, note, begins, is_whole): (Box<dyn Read + Send>, _, _, _) = match utf16(&start)
        {
            Some(form) => {
                let bytes = io::Cursor::new(start.split_off(form.mark)).chain(source.into_reader());
                let mut text = Utf16Reader::new(bytes, &form, inside);
                let more = |count: u64, start: &mut Vec<u8>| {
                    text.by_ref()
                        .take(count)
                        .read_to_end(start)
                        .map_err(|error| broken(&path, 1, &error))
                };
                start = Vec::new();
                let is_whole = read_rows(&mut start, more)?;
                (
                    Box::new(io::Cursor::new(start.clone()).chain(text)),
                    Some("the text is UTF-16"),
                    None,
                    is_whole,
                )
            }
            None => {
                let more = |count: u64, start: &mut Vec<u8>| {
                    let found = source.up_to(count)?;
                    start.extend(&found);
                    Ok(found.len())
                };
                let is_short = (start.len() as u64) < SAMPLE;
                let is_whole = is_short || !holds_rows(&start) && read_rows(&mut start, more)?;
                let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                start.drain(..mark); // the byte order mark would become part of the first name
                let reader = io::Cursor::new(start.clone()).chain(source.into_reader());
                (Box::new(reader), None, is_file.then_some(mark as u64), is_whole)
            }
        };
        // Classic Mac OS ended lines with a carriage return alone.
        let line_end =
            if start.contains(&b'\r') && !start.contains(&b'\n') { b'\r' } else { b'\n' };
        let mut sample = with_plain_ends(&start);
        if is_whole && sample.last().is_some_and(|&byte| byte != b'\n') {
            sample.push(b'\n');
        }
        if let Some(end) = sample.iter().rposition(|&byte| byte == b'\n').filter(|_| !is_whole) {
            sample.truncate(end + 1);
        }
        Ok(Text { sample, reader, note, start: begins, line_end })
    }
}

/// Reads until the text holds enough rows; true if this is all of it. A header of many columns may
/// be longer than [`SAMPLE`].
fn read_rows(
    start: &mut Vec<u8>,
    mut more: impl FnMut(u64, &mut Vec<u8>) -> Result<usize>,
) -> Result<bool> {
    loop {
        let count = SAMPLE.max(start.len() as u64);
        if (more(count, start)? as u64) < count {
            return Ok(true);
        }
        if holds_rows(start) {
            return Ok(false);
        }
    }
}

/// True if the text holds enough rows: line ends preceded by an even number of quotes, or very many
/// line ends.
fn holds_rows(text: &[u8]) -> bool {
    let end = if memchr::memchr(b'\n', text).is_some() { b'\n' } else { b'\r' };
    let (mut quoted, mut lines, mut rows) = (false, 0, 0);
    for at in memchr::memchr2_iter(b'"', end, text) {
        if text[at] == b'"' {
            quoted = !quoted;
        } else {
            lines += 1;
            rows += usize::from(!quoted);
        }
        if rows >= ROWS || lines >= LINES {
            return true;
        }
    }
    false
}

/// A read error near a line. Decompressors report damage as an input error.
pub(super) fn broken(path: &Path, line: u64, error: &io::Error) -> Error {
    if let Some(half) = error.get_ref().and_then(|inner| inner.downcast_ref::<HalfLetter>()) {
        return Error::Data {
            path: path.into(),
            position: format!("byte {}{}", half.byte, half.inside),
            found: half.to_string(),
            expected: "whole UTF-16 letters of two or four bytes; the file may be cut off".into(),
        };
    }
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Data {
                path: path.into(),
                position: format!("line {line} or after it"),
                found: format!("a damaged gzip stream ({error})"),
                expected: "a whole gzip stream".into(),
            }
        }
        io::ErrorKind::FileTooLarge => Error::Data {
            path: path.into(),
            position: format!("line {line} or after it"),
            found: error.to_string(),
            expected: "a table".into(),
        },
        kind => Error::Io { path: path.into(), source: io::Error::new(kind, error.to_string()) },
    }
}

/// Text of a file: UTF-8, or else Latin-1, which maps each byte to a character; owned only for
/// Latin-1.
pub(super) fn letters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

struct Utf16 {
    big: bool,
    /// Length of the byte order mark in bytes.
    mark: usize,
}

/// Detects UTF-16: by its byte order mark, or by zeros in every other byte of its beginning.
fn utf16(start: &[u8]) -> Option<Utf16> {
    match start {
        [0xff, 0xfe, ..] => return Some(Utf16 { big: false, mark: 2 }),
        [0xfe, 0xff, ..] => return Some(Utf16 { big: true, mark: 2 }),
        _ => {}
    }
    let beginning = &start[..start.len().min(256) & !1];
    let zeros =
        |first: usize| beginning.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), beginning.len() / 2);
    let (big, most, least) = if even > odd { (true, even, odd) } else { (false, odd, even) };
    (half >= 2 && least == 0 && 10 * most >= 9 * half).then_some(Utf16 { big, mark: 0 })
}

/// An incomplete character.
#[derive(Debug)]
struct HalfLetter {
    /// Offset in the text.
    byte: u64,
    /// Location of the text in the file, as [`Source::inside`].
    inside: String,
    /// True if the file ends with it.
    is_last: bool,
}

impl fmt::Display for HalfLetter {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(
            to,
            "half of a UTF-16 letter{}",
            if self.is_last { " at the end of the file" } else { "" }
        )
    }
}

impl std::error::Error for HalfLetter {}

/// Decodes UTF-16 to UTF-8.
struct Utf16Reader<R> {
    inner: R,
    big: bool,
    /// Bytes of an incomplete character, and the offset of the first of them.
    rest: Vec<u8>,
    offset: u64,
    inside: String,
    text: Vec<u8>,
    /// Index of the first byte of `text` not yet returned.
    at: usize,
}

impl<R: Read> Utf16Reader<R> {
    /// Starts after the byte order mark.
    fn new(inner: R, form: &Utf16, inside: String) -> Self {
        let (big, offset) = (form.big, form.mark as u64);
        Utf16Reader { inner, big, rest: Vec::new(), offset, inside, text: Vec::new(), at: 0 }
    }

    /// Reads and decodes more bytes.
    fn fill(&mut self) -> io::Result<()> {
        const CHUNK_LINES: u64 = 1 << 16;
        let count = self.inner.by_ref().take(CHUNK_LINES).read_to_end(&mut self.rest)?;
        let (pairs, _) = self.rest.as_chunks::<2>();
        let unit = |unit: &[u8; 2]| {
            if self.big { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) }
        };
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        // The second half of a surrogate pair may come with the next bytes.
        if units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        let (mut text, mut used) = (String::with_capacity(units.len()), 0);
        for letter in char::decode_utf16(units.iter().copied()) {
            let letter = letter.map_err(|_| self.half(used, false))?;
            text.push(letter);
            used += 2 * letter.len_utf16();
        }
        (self.text, self.at) = (text.into_bytes(), 0);
        if count == 0 && used < self.rest.len() {
            return Err(self.half(used, true));
        }
        self.rest.drain(..used);
        self.offset += used as u64;
        Ok(())
    }

    /// Error: an incomplete character at an index of the held bytes.
    fn half(&self, place: usize, is_last: bool) -> io::Error {
        let half =
            HalfLetter { byte: self.offset + place as u64, inside: self.inside.clone(), is_last };
        io::Error::new(io::ErrorKind::InvalidData, half)
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            let before = self.rest.len();
            self.fill()?;
            if self.text.is_empty() && self.rest.len() == before {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.text.len() - self.at);
        buffer[..count].copy_from_slice(&self.text[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}

/// Replaces `\r\n` and a lone `\r` by `\n`.
pub(super) fn with_plain_ends(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memchr_iter(b'\r', bytes) {
        plain.extend_from_slice(&bytes[from..at]);
        if bytes.get(at + 1) != Some(&b'\n') {
            plain.push(b'\n');
        }
        from = at + 1;
    }
    plain.extend_from_slice(&bytes[from..]);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], big: bool) -> io::Result<String> {
        let mut text = String::new();
        Utf16Reader::new(bytes, &Utf16 { big, mark: 0 }, String::new())
            .read_to_string(&mut text)?;
        Ok(text)
    }

    fn decoded(bytes: &[u8], big: bool) -> String {
        read(bytes, big).unwrap()
    }

    #[test]
    fn utf16_is_recognized_by_its_mark_or_its_zeros() {
        let little: Vec<u8> = "a,b\n1,é\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(!utf16(&little).unwrap().big);
        assert!(utf16(&big).unwrap().big);
        assert_eq!(decoded(&little, false), "a,b\n1,é\n");
        assert_eq!(decoded(&big, true), "a,b\n1,2\n");
        assert!(
            utf16(b"a,b\n1,2\n").is_none() && utf16(b"").is_none() && utf16(&[0; 64]).is_none()
        );
    }

    #[test]
    fn utf16_is_decoded_across_reads() {
        // Surrogate pairs across each boundary between reads.
        let text = "😀é".repeat(30_000);
        for shift in ["", "x"] {
            let bytes: Vec<u8> =
                format!("{shift}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(decoded(&bytes, true), format!("{shift}{text}"));
        }
    }

    #[test]
    fn half_a_letter_is_refused_with_its_place() {
        let place =
            |bytes: &[u8]| broken(Path::new("x"), 1, &read(bytes, true).unwrap_err()).to_string();
        for (bytes, byte) in
            [(&[0, b'a', 0][..], 2), (&[0xd8, 0x3d], 0), (&[0, b'a', 0xd8, 0x3d, 0, b'b'], 2)]
        {
            let report = place(bytes);
            assert!(
                report.contains(&format!("byte {byte}")) && report.contains("UTF-16"),
                "{report}"
            );
        }
        // After the bytes of one read.
        let long: Vec<u8> = "é".repeat(100_001).encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(place(&long[..200_001]).contains("byte 200000"));
    }
}
