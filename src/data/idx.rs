//! IDX files, the format of MNIST: a magic number (0, 0, type, dimensions), each dimension as a
//! big-endian u32, then the numbers.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};

use crate::data::dataset::{Dataset, Target, finite_in_file, numbered_classes};
use crate::data::elements::{Element, Order};
use crate::data::options::Split;
use crate::data::source::Source;
use crate::{Error, Result};

/// Content of one IDX file.
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

/// Reads an IDX file, plain or gzip, with element type u8, i8, i16, i32, f32 or f64.
///
/// # Errors
/// [`Error::Data`] with the offset if the file is truncated, too long or not an IDX file;
/// [`Error::Io`] if it cannot be read.
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
    let shape: Vec<usize> =
        sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    if let Some(empty) = shape.iter().position(|&size| size == 0) {
        return Err(source.wrong(
            4 + 4 * empty as u64,
            format!("dimension {empty} of {shape:?} is 0"),
            "1 or more",
        ));
    }
    // Saturate: a shape whose product overflows must stay larger than any file.
    let count = shape
        .iter()
        .fold(element.size() as u128, |count, &size| count.saturating_mul(size as u128));
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
    /// The size of each dimension; the first one is the number of samples.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// One row per sample, with its dimensions flattened: `[n, h, w]` becomes `[n, h·w]`. Bytes are
    /// scaled by 1/255 to [0, 1], other numbers are unchanged.
    ///
    /// # Errors
    /// [`Error::Data`] if a number is not finite in f32.
    pub fn features(&self) -> Result<Array2<f32>> {
        let mut numbers = self.element.to_f32(&self.bytes, Order::Big);
        if self.element == Element::U8 {
            numbers.iter_mut().for_each(|number| *number /= 255.0);
        }
        let columns = self.shape[1..].iter().product();
        let features =
            Array2::from_shape_vec((self.shape[0], columns), numbers).map_err(|error| {
                self.wrong(
                    4,
                    format!("shape {:?} ({error})", self.shape),
                    "as many numbers as it says",
                )
            })?;
        finite_in_file(&self.path, "", &features)?;
        Ok(features)
    }

    /// Bytes as they are, a row per sample as in [`Idx::features`]: [`crate::Model::fit`] takes
    /// these pixels too, to the same bits and with a byte for each on the device.
    ///
    /// # Errors
    /// [`Error::Data`] if the numbers are no bytes.
    pub fn pixels(&self) -> Result<Array2<u8>> {
        if self.element != Element::U8 {
            return Err(self.wrong(2, format!("{:?}", self.element), "bytes"));
        }
        let shape = (self.shape[0], self.shape[1..].iter().product());
        Array2::from_shape_vec(shape, self.bytes.clone()).map_err(|error| {
            self.wrong(4, format!("shape {:?} ({error})", self.shape), "as many bytes as it says")
        })
    }

    /// One label per sample.
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

    /// The class of each sample: the first column if the labels have several, as in QMNIST.
    fn first_labels(&self) -> Result<Array1<i64>> {
        let [rows, columns] = self.shape[..] else { return self.labels() };
        let all = Idx { shape: vec![rows * columns], ..self.clone() }.labels()?;
        Ok(all.into_iter().step_by(columns).collect())
    }

    fn wrong(&self, byte: usize, found: String, expected: &str) -> Error {
        Error::Data {
            path: self.path.clone(),
            position: format!("byte {byte}"),
            found,
            expected: expected.into(),
        }
    }
}

/// Reads a folder of IDX files with MNIST's names: `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte` and, if present, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`;
/// with or without `.gz`, also spelt `train-images.idx3-ubyte`, with a prefix and `test` for `t10k`
/// (`emnist-letters-train-images-idx3-ubyte`), and with labels of several columns, the first being
/// the class (`qmnist-train-labels-idx2-int`).
///
/// # Errors
/// [`Error::Io`] if the training files are missing; [`Error::Data`] if a file is damaged, if images
/// and labels do not agree, or if there are several sets of images.
pub fn read_idx_folder(path: impl AsRef<Path>) -> Result<Split> {
    let folder = path.as_ref();
    let (features, labels) =
        part(folder, &TRAIN)?.ok_or_else(|| missing(folder, "train-images-idx3-ubyte"))?;
    split(folder, (features, labels), part(folder, &TEST)?)
}

/// Reads a pair of IDX files: images, and a label for each.
///
/// # Errors
/// As [`read_idx_folder`].
pub fn read_idx_pair(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Dataset> {
    let images = images.as_ref();
    Ok(split(images, pair(images, labels.as_ref())?, None)?.train)
}

/// Features and labels.
type Pair = (Array2<f32>, Array1<i64>);

fn split(folder: &Path, (features, labels): Pair, test: Option<Pair>) -> Result<Split> {
    if let Some((images, _)) = &test
        && images.ncols() != features.ncols()
    {
        let found = format!("{} pixels an image", images.ncols());
        let expected = format!("{}, as in the training images", features.ncols());
        return Err(Error::Data {
            path: folder.into(),
            position: "the test images".into(),
            found,
            expected,
        });
    }
    let all = labels.iter().chain(test.iter().flat_map(|(_, labels)| labels));
    let classes = numbered_classes(all.copied()).map_err(|(label, expected)| Error::Data {
        path: folder.into(),
        position: "the labels".into(),
        found: format!("label {label}"),
        expected,
    })?;
    let dataset = |(features, labels)| {
        Dataset::new(features, Target::Labels { labels, classes: classes.clone() })
    };
    Ok(Split { test: test.map(dataset).transpose()?, train: dataset((features, labels))? })
}

/// Words in file names that identify the training and the test set.
const TRAIN: [&str; 1] = ["train"];
const TEST: [&str; 2] = ["t10k", "test"];

/// Images and labels of one set; `None` if it has no images.
fn part(folder: &Path, words: &[&str]) -> Result<Option<Pair>> {
    let Some(images) = found(folder, words, "images", &["idx3-ubyte", "idx4-ubyte"])? else {
        return Ok(None);
    };
    let labels = found(folder, words, "labels", &["idx1-ubyte", "idx2-int"])?
        .ok_or_else(|| missing(folder, &format!("{}-labels-idx1-ubyte", words[0])))?;
    pair(&images, &labels).map(Some)
}

fn pair(images_path: &Path, labels_path: &Path) -> Result<Pair> {
    let images = read_idx(images_path)?;
    let labels = read_idx(labels_path)?;
    if labels.shape[0] != images.shape[0] {
        let expected =
            format!("{}, one for each image in {}", images.shape[0], images_path.display());
        return Err(labels.wrong(4, format!("{} labels", labels.shape[0]), &expected));
    }
    Ok((images.features()?, labels.first_labels()?))
}

/// The files of a folder that are read.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let kinds =
        [("images", &["idx3-ubyte", "idx4-ubyte"][..]), ("labels", &["idx1-ubyte", "idx2-int"])];
    let parts = [&TRAIN[..], &TEST]
        .into_iter()
        .flat_map(|words| kinds.map(|(kind, ends)| (words, kind, ends)));
    parts
        .filter_map(|(words, kind, ends)| found(folder, words, kind, ends).ok().flatten())
        .collect()
}

/// The file of a folder with the images or labels of a set; an error if there are several.
fn found(folder: &Path, words: &[&str], kind: &str, ends: &[&str]) -> Result<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let fits = |name: &str| {
        let plain = name.strip_suffix(".gz").unwrap_or(name).replace(".idx", "-idx");
        let wanted = words
            .iter()
            .flat_map(|word| ends.iter().map(move |end| format!("{word}-{kind}-{end}")));
        wanted.into_iter().any(|wanted| {
            plain
                .strip_suffix(&wanted)
                .is_some_and(|before| before.is_empty() || before.ends_with(['-', '_', '.']))
        })
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| fits(name)).collect();
    // A file and its .gz copy count as one.
    names.sort_by_key(|name| (name.strip_suffix(".gz").unwrap_or(name).to_string(), name.len()));
    names.dedup_by_key(|name| name.strip_suffix(".gz").unwrap_or(name).replace(".idx", "-idx"));
    match &names[..] {
        [] => Ok(None),
        [name] => Ok(Some(folder.join(name))),
        [first, second, ..] => Err(Error::Data {
            path: folder.into(),
            position: "its files".into(),
            found: format!("`{first}` and `{second}`"),
            expected: format!(
                "one file of {kind} to {}; name a pair with --images and --labels",
                words[0].replace("t10k", "test")
            ),
        }),
    }
}

fn missing(folder: &Path, name: &str) -> Error {
    let text = if folder.is_dir() {
        format!(
            "the folder holds no `{name}` (nor with .gz, nor with `.idx`); MNIST's names are expected"
        )
    } else {
        "there is no such folder".to_string()
    };
    Error::Io {
        path: folder.into(),
        source: std::io::Error::new(std::io::ErrorKind::NotFound, text),
    }
}
