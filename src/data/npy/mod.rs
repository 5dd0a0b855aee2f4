//! NumPy's `.npy`: a magic number, a version, a header that is a Python dictionary, then the
//! numbers.
//!
//! The header is parsed here, so that each error has its offset, and so that a shape larger than
//! the file is rejected: a reader that allocates the claimed size would abort the process.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayD, IxDyn, ShapeBuilder};

use crate::data::dataset::{Dataset, Target, finite_in_file, numbered_classes};
use crate::data::elements::{Element, Order};
use crate::data::npy::header::Header;
use crate::data::npy::text::Text;
use crate::data::source::Source;
use crate::error::text::exact;
use crate::{Error, Result};

mod header;
mod text;

/// An array as stored in a file.
pub(super) struct Npy {
    pub(super) shape: Vec<usize>,
    element: Element,
    order: Order,
    fortran: bool,
    bytes: Vec<u8>,
    /// The words, if it contains text.
    words: Option<Vec<String>>,
    path: PathBuf,
    /// Location of the array in the file, for messages.
    inside: String,
}

/// Reads features from an `.npy` file and targets from another: `targets`, or the one beside it
/// whose name has `y` for `x` or `targets` for `features` (`x.npy` and `y.npy`, `X_train.npy` and
/// `y_train.npy`). Without a targets file there are no targets.
///
/// Booleans, integers, f16, f32 and f64 are read in either byte order; dimensions after the first
/// are flattened, and nothing is scaled. Targets of one dimension (or of one column) become labels
/// if they have an integer type and number classes from 0, or are booleans or text (`U`, `S`);
/// others become values.
///
/// # Errors
/// [`Error::Data`] with the offset if a file is truncated or not an `.npy` file, or if the numbers
/// of rows differ; [`Error::Io`] if a file cannot be read.
pub fn read_npy(path: impl AsRef<Path>, targets: Option<&Path>) -> Result<Dataset> {
    let path = path.as_ref();
    let features = Npy::open(path)?;
    let targets = targets.map(PathBuf::from).or_else(|| sibling(path));
    let targets = targets.map(|path| Npy::open(&path)).transpose()?;
    joined(&features, targets.as_ref())
}

/// The shape of an `.npy` file: [rows, …].
///
/// # Errors
/// As [`read_npy`].
pub fn npy_shape(path: impl AsRef<Path>) -> Result<Vec<usize>> {
    Npy::open(path.as_ref()).map(|file| file.shape)
}

/// The targets file that belongs to a features file.
pub(super) fn sibling(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    // Also works for a name that is not valid UTF-8.
    let text = name.to_string_lossy();
    let rest = |start: &str| {
        text.strip_prefix(start).filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    };
    let (start, other) = match (rest("x").or(rest("X")), rest("features")) {
        (Some(_), _) => (1, "y"),
        (_, Some(_)) => ("features".len(), "targets"),
        _ => return None,
    };
    let mut sibling = OsString::from(other);
    sibling.push(behind(name, start)?);
    Some(path.with_file_name(sibling)).filter(|path| path.is_file())
}

/// The rest of a name after its first letters, which are ASCII.
#[cfg(unix)]
fn behind(name: &OsStr, start: usize) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    Some(OsString::from_vec(name.as_bytes().get(start..)?.to_vec()))
}

/// The rest of a name after its first letters, which are ASCII.
#[cfg(not(unix))]
fn behind(name: &OsStr, start: usize) -> Option<OsString> {
    Some(name.to_str()?.get(start..)?.into())
}

/// Combines features and targets with equal numbers of rows.
pub(super) fn joined(features: &Npy, targets: Option<&Npy>) -> Result<Dataset> {
    let target = match targets {
        None => Target::None,
        Some(targets) if targets.shape[0] != features.shape[0] => {
            let expected = format!(
                "{}, one for each row of the features ({})",
                features.shape[0],
                features.path.display()
            );
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
        let header = Header::parse(&text).map_err(|(place, found, expected)| {
            source.wrong(offset + place as u64, found, expected)
        })?;
        let described = format!("{} numbers of shape {:?}", header.descr, header.shape);
        let text = Text::of(&header.descr);
        let Some((element, order)) =
            element(&header.descr).or(text.map(|text| (Element::U8, text.order)))
        else {
            let expected = match header.descr.contains('O') {
                true => {
                    "plain numbers or text: objects are pickled Python, save them with .astype(str) or .astype(float)"
                }
                false => "b1, u1 to u8, i1 to i8, f2, f4, f8; for targets also text, U or S",
            };
            return Err(source.wrong(
                offset,
                format!("numbers of type `{}`", header.descr),
                expected,
            ));
        };
        if header.shape.is_empty() || header.shape.contains(&0) {
            return Err(source.wrong(
                offset,
                format!("shape {:?}", header.shape),
                "at least one row and one column",
            ));
        }
        // Saturate: a shape whose product overflows must stay larger than any file.
        let size = text.map_or(element.size(), Text::size);
        let count = header
            .shape
            .iter()
            .fold(size as u128, |count, &size| count.saturating_mul(size as u128));
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

    /// One row per entry of the first dimension, the others flattened.
    pub(super) fn rows(&self) -> Result<Array2<f32>> {
        if self.words.is_some() {
            return Err(self.wrong(
                "text".into(),
                "numbers; text can be targets alone: a table (.csv) takes it as features",
            ));
        }
        if let Some((place, x)) = self.element.first_beyond_f32(&self.bytes, self.order) {
            return Err(Error::Data {
                path: self.path.clone(),
                position: format!("element {place}{}", self.inside),
                found: exact(x),
                expected: "a number within f32, which ends at ±3.4e38; scale such numbers first"
                    .into(),
            });
        }
        let numbers = self.element.to_f32(&self.bytes, self.order);
        let columns: usize = self.shape[1..].iter().product();
        let whole = ArrayD::from_shape_vec(IxDyn(&self.shape).set_f(self.fortran), numbers);
        let rows = whole
            .and_then(|array| {
                array
                    .as_standard_layout()
                    .into_owned()
                    .into_shape_with_order((self.shape[0], columns))
            })
            .map_err(|error| {
                self.wrong(
                    format!("shape {:?} ({error})", self.shape),
                    "as many numbers as it says",
                )
            })?;
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

/// Labels from words, with classes sorted by name.
fn named(words: &[String]) -> Target {
    let mut classes = words.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let labels = words
        .iter()
        .map(|word| classes.binary_search(word).map_or(-1, |place| place as i64))
        .collect();
    Target::Labels { labels, classes }
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
