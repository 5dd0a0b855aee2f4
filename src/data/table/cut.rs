//! Row boundaries of a sample cut from a table.

use memchr::{memchr, memchr_iter, memrchr};

use crate::data::table::options::Delimiter;

/// Row boundaries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The last byte of a line.
    pub(super) end: u8,
    pub(super) delimiter: Delimiter,
}

impl Cut {
    /// End of the last complete row. Quotes follow the row parser: only one at the beginning of a
    /// field opens a quoted text.
    pub(super) fn last_end(self, bytes: &[u8]) -> Option<usize> {
        if self.delimiter == Delimiter::Colons {
            return memrchr(self.end, bytes).map(|at| at + 1);
        }
        // Bytes from here on are outside quotes.
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

    /// End of the first row or of the bytes; none if they end within quotes.
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

    /// The next opening quote.
    pub(super) fn opening(self, bytes: &[u8], from: usize) -> Option<usize> {
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

/// Value of [`Fault::lines`] if a quote is never closed.
pub(super) const OPEN: usize = usize::MAX;

/// The closing quote; two in a row are an escaped quote.
pub(super) fn closing(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr(b'"', bytes.get(from..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}
