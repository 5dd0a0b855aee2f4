//! Splits a table's text into chunks of whole rows that any thread can parse independently.

use std::fs::File;
use std::io;
use std::io::{Read, Seek, SeekFrom};

use memchr::memchr;

use crate::data::table::cut::Cut;
use crate::data::table::form::Form;
use crate::data::table::text::{Text, with_plain_ends};

/// Whole rows.
#[derive(Debug)]
pub(in crate::data) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// True if it begins with the header row.
    pub(super) has_header: bool,
    /// Offset in the file; none if the bytes differ from those of the file.
    pub(super) offset: Option<u64>,
}

/// The chunks of a text, in order.
pub(in crate::data) struct Chunks {
    reader: Box<dyn Read + Send>,
    size: usize,
    /// Bytes read but not yet returned.
    held: Vec<u8>,
    is_over: bool,
    has_header: bool,
    offset: Option<u64>,
    cut: Cut,
}

impl Chunks {
    /// Chunks of about `size` bytes each, after the lines above the table.
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

    /// Reads until `length` bytes are held.
    fn read_to(&mut self, length: usize) -> io::Result<()> {
        let missing = length.saturating_sub(self.held.len());
        // Do not reserve a hostile size: memory grows with the bytes actually read.
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
                // A single row is longer: a text of many lines in quotes.
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
    /// The chunk at an offset of a file.
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

    /// The text with `\n` at the end of each line, including the last.
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

#[cfg(test)]
mod tests {
    use crate::data::Delimiter;
    use std::io;

    use super::*;
    use crate::data::table::text::with_plain_ends;

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
