//! IDX files, the format of MNIST: a magic number (0, 0, type, dimensions), each dimension as a big-endian u32, then the numbers.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};

use super::dataset::{Dataset, Target, numbered_classes};
use super::elements::{Element, Order};
use super::source::Source;
use super::{Split, finite_in_file};
use crate::{Error, Result};

/// The content of one IDX file.
///
/// ```no_run
/// # fn main() -> gradus::Result<()> {
/// let images = gradus::data::read_idx("train-images-idx3-ubyte.gz")?;
/// assert_eq!(images.shape(), [60_000, 28, 28]);
/// assert_eq!(images.features()?.dim(), (60_000, 784));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Idx {
    path: PathBuf,
    shape: Vec<usize>,
    element: Element,
    bytes: Vec<u8>,
}

/// Reads an IDX file, plain or gzip, of the element types u8, i8, i16, i32, f32 and f64.
///
/// # Errors
/// [`Error::Data`] with the offset if the file is cut off, too long or no IDX file; [`Error::Io`] if it cannot be read.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Idx> {
    let mut source = Source::open(path.as_ref())?;
    let magic = source.exactly(4, "magic number")?;
    let element = match magic[..] {
        [0, 0, kind, dimensions] if dimensions > 0 => element(kind),
        _ => None,
    };
    let Some(element) = element else {
        let found = format!("bytes {magic:02x?}");
        let expected = "the magic number of IDX: 00 00, a type (08 09 0b 0c 0d 0e) and the number of dimensions";
        return Err(source.wrong(0, found, expected));
    };
    let sizes = source.exactly(4 * usize::from(magic[3]), "dimensions")?;
    let shape: Vec<usize> = sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    if let Some(empty) = shape.iter().position(|&size| size == 0) {
        return Err(source.wrong(4 + 4 * empty as u64, format!("dimension {empty} of {shape:?} is 0"), "1 or more"));
    }
    // Saturation keeps a shape whose product overflows too large to be there.
    let count = shape.iter().fold(element.size() as u128, |count, &size| count.saturating_mul(size as u128));
    let bytes = source.last(count, &format!("{element:?} numbers of shape {shape:?}"))?;
    Ok(Idx { path: source.path().into(), shape, element, bytes })
}

fn element(kind: u8) -> Option<Element> {
    match kind {
        0x08 => Some(Element::U8),
        0x09 => Some(Element::I8),
        0x0b => Some(Element::I16),
        0x0c => Some(Element::I32),
        0x0d => Some(Element::F32),
        0x0e => Some(Element::F64),
        _ => None,
    }
}

impl Idx {
    /// The size of each dimension; the first counts the samples.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// One row for each sample, its dimensions joined: `[n, h, w]` becomes `[n, h·w]`. Bytes are scaled by 1/255 to [0, 1],
    /// other numbers are left as they are.
    ///
    /// # Errors
    /// [`Error::Data`] if a number is not finite in f32.
    pub fn features(&self) -> Result<Array2<f32>> {
        let mut numbers = self.element.to_f32(&self.bytes, Order::Big);
        if self.element == Element::U8 {
            numbers.iter_mut().for_each(|number| *number /= 255.0);
        }
        let columns = self.shape[1..].iter().product();
        let features = Array2::from_shape_vec((self.shape[0], columns), numbers).map_err(|error| {
            self.wrong(4, format!("shape {:?} ({error})", self.shape), "as many numbers as it says")
        })?;
        finite_in_file(&self.path, "", &features)?;
        Ok(features)
    }

    /// One label for each sample.
    ///
    /// # Errors
    /// [`Error::Data`] if the file has several dimensions or a number that is not whole.
    pub fn labels(&self) -> Result<Array1<i64>> {
        if self.shape.len() != 1 {
            return Err(self.wrong(
                3,
                format!("{} dimensions, shape {:?}", self.shape.len(), self.shape),
                "1 for labels",
            ));
        }
        let labels = self.element.to_i64(&self.bytes, Order::Big).map_err(|(index, number)| {
            self.wrong(8 + index * self.element.size(), format!("label {number}"), "a whole number")
        })?;
        Ok(Array1::from_vec(labels))
    }

    fn wrong(&self, byte: usize, found: String, expected: &str) -> Error {
        Error::Data { path: self.path.clone(), position: format!("byte {byte}"), found, expected: expected.into() }
    }
}

/// Reads a folder of IDX files with MNIST's names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, if they are there,
/// `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`; with `.gz` or without, also spelt `train-images.idx3-ubyte`.
///
/// # Errors
/// [`Error::Io`] if the training files are missing, [`Error::Data`] if a file is damaged or images and labels do not agree.
pub fn read_idx_folder(path: impl AsRef<Path>) -> Result<Split> {
    let folder = path.as_ref();
    let (features, labels) = pair(folder, "train")?.ok_or_else(|| missing(folder, "train-images-idx3-ubyte"))?;
    let test = pair(folder, "t10k")?;
    if let Some((images, _)) = &test
        && images.ncols() != features.ncols()
    {
        let found = format!("{} pixels an image", images.ncols());
        let expected = format!("{}, as in the training images", features.ncols());
        return Err(Error::Data { path: folder.into(), position: "the test images".into(), found, expected });
    }
    let all = labels.iter().chain(test.iter().flat_map(|(_, labels)| labels));
    let classes = numbered_classes(all.copied()).map_err(|(label, expected)| Error::Data {
        path: folder.into(),
        position: "the labels".into(),
        found: format!("label {label}"),
        expected,
    })?;
    let dataset = |(features, labels)| Dataset::new(features, Target::Labels { labels, classes: classes.clone() });
    Ok(Split { test: test.map(dataset).transpose()?, train: dataset((features, labels))? })
}

/// Images and labels of one part; `None` if there are no such images.
fn pair(folder: &Path, part: &str) -> Result<Option<(Array2<f32>, Array1<i64>)>> {
    let Some(images_path) = spelling(folder, &format!("{part}-images"), 3) else {
        return Ok(None);
    };
    let labels_path = spelling(folder, &format!("{part}-labels"), 1)
        .ok_or_else(|| missing(folder, &format!("{part}-labels-idx1-ubyte")))?;
    let images = read_idx(&images_path)?;
    let labels = read_idx(&labels_path)?;
    if labels.shape[0] != images.shape[0] {
        let expected = format!("{}, one for each image in {}", images.shape[0], images_path.display());
        return Err(labels.wrong(4, format!("{} labels", labels.shape[0]), &expected));
    }
    Ok(Some((images.features()?, labels.labels()?)))
}

/// The files of a folder that are read.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let parts = [("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1)];
    parts.into_iter().filter_map(|(name, dimensions)| spelling(folder, name, dimensions)).collect()
}

/// The first spelling of a name that is there.
fn spelling(folder: &Path, name: &str, dimensions: usize) -> Option<PathBuf> {
    let separators = ["-", "."].into_iter().flat_map(|separator| [(separator, ""), (separator, ".gz")]);
    let paths = separators.map(|(separator, end)| folder.join(format!("{name}{separator}idx{dimensions}-ubyte{end}")));
    paths.into_iter().find(|path| path.is_file())
}

fn missing(folder: &Path, name: &str) -> Error {
    let text = if folder.is_dir() {
        format!("the folder holds no `{name}` (nor with .gz, nor with `.idx`); MNIST's names are expected")
    } else {
        "there is no such folder".to_string()
    };
    Error::Io { path: folder.into(), source: std::io::Error::new(std::io::ErrorKind::NotFound, text) }
}
