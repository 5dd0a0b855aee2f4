//! Bytes of a file, plain or gzip, with the offset at hand for messages. What a header claims is never allocated in advance:
//! memory grows with the bytes that are really there.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// DEFLATE writes at most 258 bytes for each 2 bits: no stream grows by more than this factor.
#[cfg(feature = "data")]
const LARGEST_EXPANSION: u64 = 1032;

/// What a compressed file may expand to: so many times its size, and some more for small ones. Tables of text shrink to a tenth, of
/// zeros to a hundredth; a file that claims more is decompressed by hand first, or is a trap for memory.
#[cfg(feature = "data")]
pub(super) fn most_expanded(compressed: u64) -> u64 {
    compressed.saturating_mul(100).saturating_add(32 << 20)
}

/// A compressed file that ends with an error where it expands to more than it may.
#[cfg(feature = "data")]
struct Bounded {
    reader: Box<dyn Read + Send>,
    left: u64,
}

#[cfg(feature = "data")]
impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let text =
                "it expands to more than 100 times the file's size and 32 MiB; decompress it first if it is meant so";
            io::Error::new(io::ErrorKind::FileTooLarge, text)
        })?;
        Ok(count)
    }
}

/// A file that is read from front to back.
pub(super) struct Source {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    /// The offset of the next byte.
    offset: u64,
    /// No more bytes than this can be in it.
    most: u64,
    /// Where offsets count, for messages: ` of the decompressed data`; empty in a plain file.
    inside: String,
}

impl Source {
    /// Opens a file, of the name `-` standard input; gzip is known by its first bytes, not by its name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.into(), source };
        let (file, length): (Box<dyn Read + Send>, u64) = if path == Path::new("-") {
            (Box::new(io::stdin()), u64::MAX)
        } else {
            let file = File::open(path).map_err(io)?;
            let metadata = file.metadata().map_err(io)?;
            // A pipe has no length.
            let length = if metadata.is_file() { metadata.len() } else { u64::MAX };
            (Box::new(file), length)
        };
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut start = Vec::new();
        reader.by_ref().take(2).read_to_end(&mut start).map_err(io)?;
        let gzip = start == [0x1f, 0x8b];
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(reader));
        let plain =
            Source { path: path.into(), reader, offset: 0, most: length, inside: String::new() };
        if gzip { plain.decompressed() } else { Ok(plain) }
    }

    #[cfg(feature = "data")]
    fn decompressed(self) -> Result<Self> {
        Ok(Source {
            reader: Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(self.reader))),
            most: self.most.saturating_mul(LARGEST_EXPANSION).min(most_expanded(self.most)),
            inside: " of the decompressed data".into(),
            ..self
        })
    }

    #[cfg(not(feature = "data"))]
    fn decompressed(self) -> Result<Self> {
        Err(self.wrong(0, "gzip", "a plain file, as gradus was built without its feature `data`"))
    }

    /// Bytes that stand inside another file.
    #[cfg(feature = "data")]
    pub(super) fn part(path: &Path, name: &str, bytes: Vec<u8>) -> Self {
        let most = bytes.len() as u64;
        Source {
            path: path.into(),
            reader: Box::new(Cursor::new(bytes)),
            offset: 0,
            most,
            inside: format!(" of {name}"),
        }
    }

    /// Whether its bytes are those of a file, which can be read again at any place.
    #[cfg(feature = "data")]
    pub(super) fn is_plain_file(&self) -> bool {
        self.inside.is_empty() && self.most < u64::MAX
    }

    /// No more bytes than this can be in it.
    #[cfg(feature = "data")]
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where in the file its bytes lie, for messages: ` of x.npy`; empty in a plain file.
    pub(super) fn inside(&self) -> &str {
        &self.inside
    }

    /// An [`Error::Data`] at a byte of this file.
    pub(super) fn wrong(&self, byte: u64, found: impl ToString, expected: impl ToString) -> Error {
        let position = format!("byte {byte}{}", self.inside);
        Error::Data {
            path: self.path.clone(),
            position,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// The next `count` bytes, fewer at the file's end.
    pub(super) fn up_to(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let room = self.most.saturating_sub(self.offset);
        let outcome =
            self.reader.by_ref().take(count.min(room.saturating_add(1))).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        // A plain file may grow while it is read; a compressed one that expands so far is a trap.
        if bytes.len() as u64 > room && !self.inside.is_empty() {
            let expected = "at most 100 times the file's size and 32 MiB; decompress it first if it is meant so";
            return Err(self.wrong(self.offset, format!("more than {room} bytes"), expected));
        }
        match outcome {
            Ok(_) => Ok(bytes),
            Err(error) if self.inside.is_empty() => {
                Err(Error::Io { path: self.path.clone(), source: error })
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.wrong(self.offset, "the gzip stream breaks off", "a whole gzip stream"))
            }
            Err(error) => Err(self.wrong(
                self.offset,
                format!("a damaged gzip stream ({error})"),
                "a whole gzip stream",
            )),
        }
    }

    /// A reader of all that is left.
    #[cfg(feature = "data")]
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        if self.inside.is_empty() {
            return self.reader;
        }
        Box::new(Bounded { reader: self.reader, left: self.most.saturating_sub(self.offset) })
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>> {
        self.up_to(u64::MAX)
    }

    /// The next `count` bytes, which are `what`: `4 bytes of magic number`.
    pub(super) fn exactly(&mut self, count: usize, what: &str) -> Result<Vec<u8>> {
        let start = self.offset;
        let bytes = self.up_to(count as u64)?;
        if bytes.len() == count {
            return Ok(bytes);
        }
        let found = format!("the file ends after {} more bytes", bytes.len());
        Err(self.wrong(start, found, format!("{count} bytes of {what}")))
    }

    /// The last `count` bytes, which are `what`. A count that cannot be there is refused before anything is read.
    pub(super) fn last(&mut self, count: u128, what: &str) -> Result<Vec<u8>> {
        let start = self.offset;
        let expected = format!("{count} bytes of {what}");
        let room = self.most.saturating_sub(start);
        let count = match usize::try_from(count) {
            Ok(count) if count as u64 <= room => count,
            _ => return Err(self.wrong(start, format!("at most {room} more bytes"), expected)),
        };
        let bytes = self.exactly(count, what)?;
        if self.up_to(1)?.is_empty() {
            Ok(bytes)
        } else {
            Err(self.wrong(self.offset - 1, "more data", "the end of the file"))
        }
    }
}
