//! Bytes of a text file as UTF-8, whatever wrote them: a byte order mark, UTF-16.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;

use super::super::source::Source;
use super::chunks::with_plain_ends;
use crate::{Error, Result};

/// Bytes at the beginning of a file from which its form is told.
const SAMPLE: u64 = 1 << 20;

/// The beginning of a text, and a reader of all of it.
pub(super) struct Text {
    /// Whole lines, unless the file is one line; each ends with `\n`.
    pub(super) sample: Vec<u8>,
    /// UTF-8 or Latin-1 with the file's own line ends.
    pub(super) reader: Box<dyn Read + Send>,
    /// What was not plain UTF-8 about it, to be told.
    pub(super) note: Option<&'static str>,
    /// Where it begins in the file; none where its bytes are not those of a file.
    pub(super) start: Option<u64>,
    /// The last byte of a line.
    pub(super) line_end: u8,
}

impl Text {
    pub(super) fn open(mut source: Source) -> Result<Self> {
        let path = source.path().to_path_buf();
        let mut start = source.up_to(SAMPLE)?;
        let is_file = source.is_plain_file();
        let (reader, note, begins): (Box<dyn Read + Send>, _, _) = match utf16(&start) {
            Some(form) => {
                let bytes = io::Cursor::new(start.split_off(form.mark)).chain(source.into_reader());
                let mut text = Utf16Reader { inner: bytes, big: form.big, rest: Vec::new(), text: Vec::new(), at: 0 };
                start = Vec::new();
                text.by_ref().take(SAMPLE).read_to_end(&mut start).map_err(|error| broken(&path, 1, &error))?;
                (Box::new(io::Cursor::new(start.clone()).chain(text)), Some("the text is UTF-16"), None)
            }
            None => {
                let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                start.drain(..mark); // the byte order mark would become part of the first name
                let reader = io::Cursor::new(start.clone()).chain(source.into_reader());
                (Box::new(reader), None, is_file.then_some(mark as u64))
            }
        };
        let is_whole = start.len() + 3 < SAMPLE as usize;
        // Old Macs ended lines with a return alone.
        let line_end = if start.contains(&b'\r') && !start.contains(&b'\n') { b'\r' } else { b'\n' };
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

/// An error of reading on, near a line. What decompresses reports damage as an error of input.
pub(super) fn broken(path: &Path, line: u64, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Error::Data {
            path: path.into(),
            position: format!("line {line} or after it"),
            found: format!("a damaged gzip stream ({error})"),
            expected: "a whole gzip stream".into(),
        },
        io::ErrorKind::FileTooLarge => Error::Data {
            path: path.into(),
            position: format!("line {line} or after it"),
            found: error.to_string(),
            expected: "a table".into(),
        },
        kind => Error::Io { path: path.into(), source: io::Error::new(kind, error.to_string()) },
    }
}

/// Text of a file: UTF-8, or else Latin-1, of which each byte is a letter; owned only where it is Latin-1.
pub(super) fn letters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

struct Utf16 {
    big: bool,
    /// Bytes of the byte order mark.
    mark: usize,
}

/// Whether text is UTF-16: by its mark, or by a zero in every other byte of its beginning.
fn utf16(start: &[u8]) -> Option<Utf16> {
    match start {
        [0xff, 0xfe, ..] => return Some(Utf16 { big: false, mark: 2 }),
        [0xfe, 0xff, ..] => return Some(Utf16 { big: true, mark: 2 }),
        _ => {}
    }
    let beginning = &start[..start.len().min(256) & !1];
    let zeros = |first: usize| beginning.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), beginning.len() / 2);
    let (big, most, least) = if even > odd { (true, even, odd) } else { (false, odd, even) };
    (half >= 2 && least == 0 && 10 * most >= 9 * half).then_some(Utf16 { big, mark: 0 })
}

/// UTF-16 as UTF-8.
struct Utf16Reader<R> {
    inner: R,
    big: bool,
    /// Bytes that are no whole letter yet.
    rest: Vec<u8>,
    text: Vec<u8>,
    /// The first byte of `text` that is not given out.
    at: usize,
}

impl<R: Read> Utf16Reader<R> {
    /// Reads and decodes some more; an odd byte at the end is left out.
    fn fill(&mut self) -> io::Result<()> {
        const AT_ONCE: u64 = 1 << 16;
        let before = self.rest.len();
        let count = self.inner.by_ref().take(AT_ONCE).read_to_end(&mut self.rest)?;
        let (pairs, _) = self.rest.as_chunks::<2>();
        let unit = |unit: &[u8; 2]| if self.big { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) };
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        // The other half of a letter of two units may come with the next bytes.
        let is_half = |unit: &u16| (0xd800..0xdc00).contains(unit);
        if count > 0 && units.last().is_some_and(is_half) {
            units.pop();
        }
        let letters =
            char::decode_utf16(units.iter().copied()).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        self.text = letters.collect::<String>().into_bytes();
        self.at = 0;
        let used = if count == 0 { before } else { 2 * units.len() };
        self.rest.drain(..used);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], big: bool) -> String {
        let mut text = String::new();
        let inner = bytes;
        let mut reader = Utf16Reader { inner, big, rest: Vec::new(), text: Vec::new(), at: 0 };
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn utf16_is_told_by_its_mark_or_its_zeros() {
        let little: Vec<u8> = "a,b\n1,é\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(!utf16(&little).unwrap().big);
        assert!(utf16(&big).unwrap().big);
        assert_eq!(decoded(&little, false), "a,b\n1,é\n");
        assert_eq!(decoded(&big, true), "a,b\n1,2\n");
        assert!(utf16(b"a,b\n1,2\n").is_none() && utf16(b"").is_none() && utf16(&[0; 64]).is_none());
    }

    #[test]
    fn utf16_is_decoded_across_reads() {
        // Letters of two units at every place of a read's end.
        let text = "😀é".repeat(30_000);
        for shift in ["", "x"] {
            let bytes: Vec<u8> = format!("{shift}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(decoded(&bytes, true), format!("{shift}{text}"));
        }
        assert_eq!(decoded(&[0, b'a', 0], true), "a");
        assert_eq!(decoded(&[0xd8, 0x3d], true), "\u{fffd}");
    }
}
