//! NumPy's `.npy`: a magic number, a version, a header that is a Python dictionary, then the numbers.
//!
//! The header is read here, so that each message has its offset, and so that a shape which the file cannot hold is refused:
//! a reader that allocates what the header claims ends the process.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayD, IxDyn, ShapeBuilder};

use super::dataset::{Dataset, Target, numbered_classes};
use super::elements::{Element, Order};
use super::finite_in_file;
use super::source::Source;
use crate::text::exact;
use crate::{Error, Result};

/// An array as it stands in a file.
pub(super) struct Npy {
    pub(super) shape: Vec<usize>,
    element: Element,
    order: Order,
    fortran: bool,
    bytes: Vec<u8>,
    /// The words, where it holds text.
    words: Option<Vec<String>>,
    path: PathBuf,
    /// Where in the file the array lies, for messages.
    inside: String,
}

/// Reads features from an `.npy` file and targets from another: `targets`, or the one beside it whose name has `y` for `x` or
/// `targets` for `features` (`x.npy` and `y.npy`, `X_train.npy` and `y_train.npy`). Without such a file there are no targets.
///
/// Booleans, integers, f16, f32 and f64 are read in either byte order; dimensions after the first are joined, and nothing is scaled.
/// Targets of one dimension (or of one column) that are whole by their type and number classes from 0, booleans and text (`U`, `S`) become
/// labels, others values.
///
/// # Errors
/// [`Error::Data`] with the offset if a file is cut off or no `.npy`, or if the rows differ; [`Error::Io`] if one cannot be read.
pub fn read_npy(path: impl AsRef<Path>, targets: Option<&Path>) -> Result<Dataset> {
    let path = path.as_ref();
    let features = Npy::open(path)?;
    let targets = targets.map(PathBuf::from).or_else(|| sibling(path));
    let targets = targets.map(|path| Npy::open(&path)).transpose()?;
    joined(&features, targets.as_ref())
}

/// The file of the targets that belongs to a file of features.
pub(super) fn sibling(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    // A name that is no UTF-8 has its targets beside it too.
    let text = name.to_string_lossy();
    let rest = |start: &str| text.strip_prefix(start).filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let (start, other) = match (rest("x").or(rest("X")), rest("features")) {
        (Some(_), _) => (1, "y"),
        (_, Some(_)) => ("features".len(), "targets"),
        _ => return None,
    };
    let mut sibling = OsString::from(other);
    sibling.push(behind(name, start)?);
    Some(path.with_file_name(sibling)).filter(|path| path.is_file())
}

/// What stands behind the first letters of a name, which are ASCII.
#[cfg(unix)]
fn behind(name: &OsStr, start: usize) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    Some(OsString::from_vec(name.as_bytes().get(start..)?.to_vec()))
}

/// What stands behind the first letters of a name, which are ASCII.
#[cfg(not(unix))]
fn behind(name: &OsStr, start: usize) -> Option<OsString> {
    Some(name.to_str()?.get(start..)?.into())
}

/// Features and targets of as many rows.
pub(super) fn joined(features: &Npy, targets: Option<&Npy>) -> Result<Dataset> {
    let target = match targets {
        None => Target::None,
        Some(targets) if targets.shape[0] != features.shape[0] => {
            let expected =
                format!("{}, one for each row of the features ({})", features.shape[0], features.path.display());
            return Err(targets.wrong(format!("{} targets", targets.shape[0]), &expected));
        }
        Some(targets) => targets.target()?,
    };
    Dataset::new(features.rows()?, target)
}

impl Npy {
    fn open(path: &Path) -> Result<Self> {
        Npy::read(Source::open(path)?)
    }

    pub(super) fn read(mut source: Source) -> Result<Self> {
        let start = source.exactly(8, "magic number and version")?;
        if start[..6] != *b"\x93NUMPY" || !(1..=3).contains(&start[6]) {
            let expected = "the magic number of .npy, 93 4e 55 4d 50 59, and version 1, 2 or 3";
            return Err(source.wrong(0, format!("bytes {start:02x?}"), expected));
        }
        let mut size = source.exactly(if start[6] == 1 { 2 } else { 4 }, "header size")?;
        size.resize(4, 0);
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]);
        let offset = source.offset();
        let text = source.exactly(size as usize, "header")?;
        let header = Header::parse(&text)
            .map_err(|(place, found, expected)| source.wrong(offset + place as u64, found, expected))?;
        let described = format!("{} numbers of shape {:?}", header.descr, header.shape);
        let text = Text::of(&header.descr);
        let Some((element, order)) = element(&header.descr).or(text.map(|text| (Element::U8, text.order))) else {
            let expected = match header.descr.contains('O') {
                true => {
                    "plain numbers or text: objects are pickled Python, save them with .astype(str) or .astype(float)"
                }
                false => "b1, u1 to u8, i1 to i8, f2, f4, f8; for targets also text, U or S",
            };
            return Err(source.wrong(offset, format!("numbers of type `{}`", header.descr), expected));
        };
        if header.shape.is_empty() || header.shape.contains(&0) {
            return Err(source.wrong(offset, format!("shape {:?}", header.shape), "at least one row and one column"));
        }
        // Saturation keeps a shape whose product overflows too large to be there.
        let size = text.map_or(element.size(), Text::size);
        let count = header.shape.iter().fold(size as u128, |count, &size| count.saturating_mul(size as u128));
        let bytes = source.last(count, &described)?;
        Ok(Npy {
            shape: header.shape,
            element,
            order,
            fortran: header.fortran,
            words: text.map(|text| text.words(&bytes)),
            bytes,
            path: source.path().into(),
            inside: source.inside().into(),
        })
    }

    /// One row for each entry of the first dimension, the others joined.
    pub(super) fn rows(&self) -> Result<Array2<f32>> {
        if self.words.is_some() {
            return Err(
                self.wrong("text".into(), "numbers; text can be targets alone: a table (.csv) takes it as features")
            );
        }
        if let Some((place, x)) = self.element.first_beyond_f32(&self.bytes, self.order) {
            return Err(Error::Data {
                path: self.path.clone(),
                position: format!("element {place}{}", self.inside),
                found: exact(x),
                expected: "a number within f32, which ends at ±3.4e38; scale such numbers first".into(),
            });
        }
        let numbers = self.element.to_f32(&self.bytes, self.order);
        let columns: usize = self.shape[1..].iter().product();
        let whole = ArrayD::from_shape_vec(IxDyn(&self.shape).set_f(self.fortran), numbers);
        let rows = whole
            .and_then(|array| array.as_standard_layout().into_owned().into_shape_with_order((self.shape[0], columns)))
            .map_err(|error| self.wrong(format!("shape {:?} ({error})", self.shape), "as many numbers as it says"))?;
        finite_in_file(&self.path, &self.inside, &rows)?;
        Ok(rows)
    }

    fn target(&self) -> Result<Target> {
        let is_column = self.shape.len() == 1 || self.shape.len() == 2 && self.shape[1] == 1;
        if let Some(words) = self.words.as_ref().filter(|_| is_column) {
            return Ok(named(words));
        }
        if is_column && self.element == Element::Bool {
            let labels = self.bytes.iter().map(|&byte| i64::from(byte != 0)).collect();
            return Ok(Target::Labels { labels, classes: vec!["False".into(), "True".into()] });
        }
        if is_column
            && self.element.is_integer()
            && let Ok(labels) = self.element.to_i64(&self.bytes, self.order)
            && let Ok(classes) = numbered_classes(labels.iter().copied())
        {
            return Ok(Target::Labels { labels: Array1::from_vec(labels), classes });
        }
        Ok(Target::Values(self.rows()?))
    }

    fn wrong(&self, found: String, expected: &str) -> Error {
        Error::Data {
            path: self.path.clone(),
            position: format!("the header{}", self.inside),
            found,
            expected: expected.into(),
        }
    }
}

/// Labels of words, classes in order of their names.
fn named(words: &[String]) -> Target {
    let mut classes = words.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let labels = words.iter().map(|word| classes.binary_search(word).map_or(-1, |place| place as i64)).collect();
    Target::Labels { labels, classes }
}

/// Text of a fixed width: `<U5`, of four bytes a letter, or `|S5`, of one.
#[derive(Clone, Copy)]
struct Text {
    order: Order,
    letters: usize,
    wide: bool,
}

impl Text {
    fn of(descr: &str) -> Option<Self> {
        let (order, kind) = descr.split_at_checked(1)?;
        let order = match order {
            ">" => Order::Big,
            "<" | "|" => Order::Little,
            _ => return None,
        };
        let (kind, letters) = kind.split_at_checked(1)?;
        let wide = match kind {
            "U" => true,
            "S" => false,
            _ => return None,
        };
        let letters = letters.parse().ok().filter(|&letters: &usize| (1..=1 << 16).contains(&letters))?;
        Some(Text { order, letters, wide })
    }

    /// Bytes of a word.
    fn size(self) -> usize {
        self.letters * if self.wide { 4 } else { 1 }
    }

    fn words(self, bytes: &[u8]) -> Vec<String> {
        let word = |bytes: &[u8]| {
            let text: String = if self.wide {
                let letter = |bytes: &[u8; 4]| match self.order {
                    Order::Big => u32::from_be_bytes(*bytes),
                    Order::Little => u32::from_le_bytes(*bytes),
                };
                let letters = bytes.as_chunks::<4>().0.iter().map(letter);
                letters.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            } else {
                String::from_utf8_lossy(bytes).into_owned()
            };
            text.trim_end_matches('\0').replace(char::is_control, " ")
        };
        bytes.chunks_exact(self.size()).map(word).collect()
    }
}

/// `<f4`, `|u1`, `>i8`.
fn element(descr: &str) -> Option<(Element, Order)> {
    let (order, kind) = match descr.split_at_checked(1)? {
        ("<", kind) => (Order::Little, kind),
        (">", kind) => (Order::Big, kind),
        ("|", kind @ ("b1" | "u1" | "i1")) => (Order::Little, kind),
        _ => return None,
    };
    let element = match kind {
        "b1" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => return None,
    };
    Some((element, order))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
#[derive(Default)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Where in the header something is wrong, what stands there and what should.
type Wrong = (usize, String, &'static str);

impl Header {
    fn parse(text: &[u8]) -> Result<Self, Wrong> {
        let mut cursor = Cursor { text, place: 0 };
        let mut header = Header::default();
        let mut keys = Vec::new();
        cursor.expect("{", "`{` of the header's dictionary")?;
        while !cursor.accept("}") {
            let key = cursor.string("a key: 'descr', 'fortran_order' or 'shape'")?;
            cursor.expect(":", "`:` after a key")?;
            match key.as_str() {
                "descr" => header.descr = cursor.string("a plain type as '<f4', no structure")?,
                "shape" => header.shape = cursor.shape()?,
                "fortran_order" if cursor.accept("True") => header.fortran = true,
                "fortran_order" => cursor.expect("False", "True or False")?,
                _ => return Err((cursor.place, format!("key `{key}`"), "only 'descr', 'fortran_order' and 'shape'")),
            }
            keys.push(key);
            if !cursor.accept(",") {
                cursor.expect("}", "`,` or `}`")?;
                break;
            }
        }
        keys.sort();
        match keys.join(" ") == "descr fortran_order shape" {
            true => Ok(header),
            false => Err((0, format!("keys {keys:?}"), "'descr', 'fortran_order' and 'shape', each once")),
        }
    }
}

/// A place in the header's text.
struct Cursor<'a> {
    text: &'a [u8],
    place: usize,
}

impl Cursor<'_> {
    /// Steps over spaces and then over `word`, if it stands there.
    fn accept(&mut self, word: &str) -> bool {
        self.place += self.text[self.place..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let found = self.text[self.place..].starts_with(word.as_bytes());
        self.place += if found { word.len() } else { 0 };
        found
    }

    fn expect(&mut self, word: &str, expected: &'static str) -> Result<(), Wrong> {
        if self.accept(word) { Ok(()) } else { Err(self.wrong(expected)) }
    }

    fn wrong(&self, expected: &'static str) -> Wrong {
        let rest = &self.text[self.place..];
        let start = String::from_utf8_lossy(&rest[..rest.len().min(16)]);
        (self.place, if rest.is_empty() { "the header's end".into() } else { format!("{start:?}") }, expected)
    }

    fn string(&mut self, expected: &'static str) -> Result<String, Wrong> {
        let quote = if self.accept("\"") { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect("'", expected)?;
        }
        let length = self.text[self.place..]
            .iter()
            .position(|&byte| byte == quote)
            .ok_or_else(|| self.wrong("a closing quote"))?;
        let found = String::from_utf8_lossy(&self.text[self.place..self.place + length]).into_owned();
        self.place += length + 1;
        Ok(found)
    }

    fn shape(&mut self) -> Result<Vec<usize>, Wrong> {
        let mut shape = Vec::new();
        self.expect("(", "`(` of a shape")?;
        while !self.accept(")") {
            let digits = self.text[self.place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let size = std::str::from_utf8(&self.text[self.place..self.place + digits])
                .ok()
                .and_then(|size| size.parse().ok());
            shape.push(size.ok_or_else(|| self.wrong("a size"))?);
            self.place += digits;
            if !self.accept(",") {
                self.expect(")", "`,` or `)`")?;
                break;
            }
        }
        Ok(shape)
    }
}
