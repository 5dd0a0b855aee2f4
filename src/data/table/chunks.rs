//! A table's text in chunks of whole rows, each of which can be taken apart by itself, on any thread.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::{memchr, memchr_iter, memrchr};

use super::Delimiter;
use super::form::Form;
use super::text::Text;

/// Whole rows.
#[derive(Debug)]
pub(in crate::data) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// It begins with the row that names the columns.
    pub(super) has_header: bool,
    /// Where it begins in the file; none where the file is not read as it lies there.
    pub(super) offset: Option<u64>,
}

/// The chunks of a text in order.
pub(in crate::data) struct Chunks {
    reader: Box<dyn Read + Send>,
    size: usize,
    /// What was read and is not yet given out.
    held: Vec<u8>,
    is_over: bool,
    has_header: bool,
    offset: Option<u64>,
    cut: Cut,
}

/// Where rows end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The last byte of a line.
    pub(super) end: u8,
    pub(super) delimiter: Delimiter,
}

impl Chunks {
    /// Of about `size` bytes each, behind the lines above the table.
    pub(super) fn new(text: Text, form: &Form, size: usize) -> io::Result<Self> {
        let mut chunks = Chunks {
            reader: text.reader,
            size,
            held: Vec::new(),
            is_over: false,
            has_header: form.has_header,
            offset: text.start,
            cut: Cut { end: text.line_end, delimiter: form.delimiter },
        };
        chunks.skip_lines(form.skipped)?;
        Ok(chunks)
    }

    fn skip_lines(&mut self, lines: usize) -> io::Result<()> {
        for _ in 0..lines {
            let end = loop {
                match memchr(self.cut.end, &self.held) {
                    Some(at) => break at + 1,
                    None if self.is_over => break self.held.len(),
                    None => self.read_to(self.held.len() + self.size)?,
                }
            };
            self.held.drain(..end);
            self.offset = self.offset.map(|offset| offset + end as u64);
        }
        Ok(())
    }

    /// Reads on until so many bytes are held.
    fn read_to(&mut self, length: usize) -> io::Result<()> {
        let missing = length.saturating_sub(self.held.len());
        // What a hostile size would ask for is not reserved: the bytes come first.
        self.held.reserve(missing.min(1 << 24));
        let count = self.reader.by_ref().take(missing as u64).read_to_end(&mut self.held)?;
        self.is_over = count < missing;
        Ok(())
    }

    /// The next chunk; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        let mut wanted = self.size.max(self.held.len());
        let end = loop {
            if !self.is_over {
                self.read_to(wanted)?;
            }
            if self.is_over && self.held.len() <= wanted {
                break self.held.len();
            }
            match self.cut.last_end(&self.held) {
                Some(end) => break end,
                None if self.is_over => break self.held.len(),
                // One row is longer: a text of many lines in quotes.
                None => wanted *= 2,
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.held[end..].to_vec();
        let mut bytes = std::mem::replace(&mut self.held, rest);
        bytes.truncate(end);
        let chunk =
            Chunk { bytes, has_header: std::mem::take(&mut self.has_header), offset: self.offset };
        self.offset = self.offset.map(|offset| offset + end as u64);
        Ok(Some(chunk))
    }
}

impl Chunk {
    /// A chunk that lies at a place of a file.
    pub(super) fn read(
        file: &mut File,
        offset: u64,
        length: usize,
        has_header: bool,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(Chunk { bytes, has_header, offset: Some(offset) })
    }

    /// The text with `\n` at the end of each line, the last one too.
    pub(super) fn lines(self) -> Vec<u8> {
        let mut bytes = self.bytes;
        if memchr(b'\r', &bytes).is_some() {
            bytes = with_plain_ends(&bytes);
        }
        if bytes.last().is_some_and(|&byte| byte != b'\n') {
            bytes.push(b'\n');
        }
        bytes
    }
}

impl Cut {
    /// Where the last row ends that is whole. Quotes are taken as the reader of rows takes them: one opens a text at the beginning of a
    /// field alone.
    pub(super) fn last_end(self, bytes: &[u8]) -> Option<usize> {
        if self.delimiter == Delimiter::Colons {
            return memrchr(self.end, bytes).map(|at| at + 1);
        }
        // The bytes from here on stand in no quotes.
        let (mut outside, mut last) = (0, None);
        while let Some(open) = self.opening(bytes, outside) {
            last = memrchr(self.end, &bytes[outside..open]).map(|at| outside + at + 1).or(last);
            match closing(bytes, open + 1) {
                Some(close) => outside = close + 1,
                None => return last,
            }
        }
        memrchr(self.end, &bytes[outside..]).map(|at| outside + at + 1).or(last)
    }

    /// Where the first row ends, or the bytes do; none where they end within quotes.
    pub(super) fn first_end(self, bytes: &[u8]) -> Option<usize> {
        let line_end =
            |from: usize| memchr(self.end, &bytes[from..]).map_or(bytes.len(), |at| from + at + 1);
        let (mut outside, mut end) = (0, line_end(0));
        if self.delimiter == Delimiter::Colons {
            return Some(end);
        }
        while let Some(open) = self.opening(&bytes[..end], outside) {
            outside = closing(bytes, open + 1)? + 1;
            if outside > end {
                end = line_end(outside);
            }
        }
        Some(end)
    }

    /// The next quote that opens a text.
    fn opening(self, bytes: &[u8], from: usize) -> Option<usize> {
        let begins = |at: usize| {
            at == 0
                || match (bytes[at - 1], self.delimiter) {
                    (b'\n' | b'\r', _) => true,
                    (before, Delimiter::Byte(delimiter)) => before == delimiter,
                    (before, _) => before.is_ascii_whitespace(),
                }
        };
        memchr_iter(b'"', &bytes[from..]).map(|at| from + at).find(|&at| begins(at))
    }
}

/// The quote that closes a text; two of them in a row are one in it.
fn closing(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr(b'"', bytes.get(from..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// `\n` for `\r\n` and for a lone `\r`.
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

    fn chunks(text: &str, size: usize) -> Vec<String> {
        let mut chunks = Chunks {
            reader: Box::new(io::Cursor::new(text.as_bytes().to_vec())),
            size,
            held: Vec::new(),
            is_over: false,
            has_header: false,
            offset: Some(0),
            cut: Cut { end: b'\n', delimiter: Delimiter::Byte(b',') },
        };
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(chunk) = chunks.next().unwrap() {
            assert_eq!(chunk.offset, Some(at));
            at += chunk.bytes.len() as u64;
            found.push(String::from_utf8(chunk.bytes).unwrap());
        }
        found
    }

    #[test]
    fn chunks_end_where_rows_end() {
        let text = "a,b\n1,\"x\ny\"\n2,\"say \"\"hi\"\"\n\"\n3,5\" disk\n4,\n";
        for size in 1..40 {
            let found = chunks(text, size);
            assert_eq!(found.concat(), text, "{size}");
            let starts: Vec<char> =
                found.iter().map(|chunk| chunk.chars().next().unwrap()).collect();
            assert!(starts.iter().all(|start| "a1234".contains(*start)), "{size}: {found:?}");
        }
        assert!(chunks("", 8).is_empty());
        assert_eq!(chunks("a\nb", 2), ["a\n", "b"]);
        assert_eq!(chunks("\"never closed\na\nb\n", 2).len(), 1);
    }

    #[test]
    fn line_ends_of_every_system_become_one() {
        for (text, plain) in
            [("a\r\n\r\nb", "a\n\nb"), ("a\r\rb\r", "a\n\nb\n"), ("a\n\nb\n", "a\n\nb\n"), ("", "")]
        {
            assert_eq!(with_plain_ends(text.as_bytes()), plain.as_bytes(), "{text:?}");
        }
    }
}
