//! Bytes of a text file as UTF-8 with `\n` at the end of each line, whatever wrote them: a byte order mark, UTF-16, the line ends of
//! Windows or of old Macs.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;

use super::super::source::Source;
use crate::{Error, Result};

/// Bytes at the beginning of a file from which its form is told.
const SAMPLE: u64 = 1 << 20;

/// The beginning of a text, and a reader of all of it.
pub(super) struct Text {
    /// Whole lines, unless the file is one line.
    pub(super) sample: Vec<u8>,
    pub(super) reader: Box<dyn Read>,
    /// What was not plain UTF-8 about it, to be told.
    pub(super) note: Option<&'static str>,
}

impl Text {
    pub(super) fn open(mut source: Source) -> Result<Self> {
        let path = source.path().to_path_buf();
        let mut start = source.up_to(SAMPLE)?;
        let (reader, note): (Box<dyn Read>, _) = match utf16(&start) {
            Some(order) => {
                start.extend(source.rest()?);
                let text = decoded(&start[order.mark..], order.big);
                start = text.as_bytes()[..text.len().min(SAMPLE as usize)].to_vec();
                (Box::new(io::Cursor::new(text.into_bytes())), Some("the text is UTF-16"))
            }
            None => {
                if start.starts_with(b"\xef\xbb\xbf") {
                    start.drain(..3); // the byte order mark would become part of the first name
                }
                (Box::new(io::Cursor::new(start.clone()).chain(source.into_reader())), None)
            }
        };
        let is_whole = start.len() < SAMPLE as usize;
        let mut sample = Vec::new();
        LineEnds::new(io::Cursor::new(start)).read_to_end(&mut sample).map_err(|error| broken(&path, 1, &error))?;
        if let Some(end) = sample.iter().rposition(|&byte| byte == b'\n').filter(|_| !is_whole) {
            sample.truncate(end + 1);
        }
        Ok(Text { sample, reader: Box::new(LineEnds::new(reader)), note })
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

fn decoded(bytes: &[u8], big: bool) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|&unit| if big { u16::from_be_bytes(unit) } else { u16::from_le_bytes(unit) });
    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Turns `\r\n` and a lone `\r` into `\n`, and ends the last line if nobody did.
struct LineEnds<R> {
    inner: R,
    after_return: bool,
    last: u8,
    is_over: bool,
}

impl<R: Read> LineEnds<R> {
    fn new(inner: R) -> Self {
        LineEnds { inner, after_return: false, last: b'\n', is_over: false }
    }

    /// The bytes in place, those that stay at the front.
    fn normalize(&mut self, bytes: &mut [u8]) -> usize {
        if !self.after_return && !bytes.contains(&b'\r') {
            return bytes.len();
        }
        let mut kept = 0;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if !(byte == b'\n' && self.after_return) {
                bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
            self.after_return = byte == b'\r';
        }
        kept
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && !buffer.is_empty() {
            let count = self.inner.read(buffer)?;
            if count == 0 {
                self.is_over = true;
                if self.last != b'\n' {
                    buffer[0] = b'\n';
                    return Ok(1);
                }
                break;
            }
            let kept = self.normalize(&mut buffer[..count]);
            if kept > 0 {
                self.last = buffer[kept - 1];
                return Ok(kept);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> String {
        let mut text = String::new();
        LineEnds::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn line_ends_of_every_system_become_one() {
        for text in ["a\r\n\r\nb", "a\r\rb\r", "a\n\nb\n"] {
            assert_eq!(lines(text.as_bytes()), "a\n\nb\n", "{text:?}");
        }
        assert_eq!(lines(b""), "");
        // A pair that two reads part.
        let mut text = String::new();
        LineEnds::new((&b"a\r"[..]).chain(&b"\nb"[..])).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
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
}
