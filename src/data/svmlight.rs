//! SVMlight: one row per line, `label qid:1 3:0.5 7:1.25 # comment`, with zero features omitted.
//! Also the format of LIBSVM's, LETOR's and LightGBM's ranking files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};

use crate::data::dataset::{Dataset, Target};
use crate::data::options::ReadOptions;
use crate::data::source::Source;
use crate::{Error, Result};

/// Maximum bytes of dense features for any file, and per byte of its text. One line with a large
/// index makes the table that wide: a small file must not allocate much memory.
const FREE_BYTES: u128 = 48 << 20;
const LARGEST_SHARE: u128 = 10;

/// The same if the caller gives the number of features: in total, or per byte of the stored
/// features as f32.
const ASKED_BYTES: u128 = 1 << 30;
const LARGEST_ASKED_SHARE: u128 = 64;

/// Bytes of a column name: a `String` and a small heap block.
const NAME_BYTES: u128 = 64;

/// Bytes at the beginning of a file used to detect the format.
const START: u64 = 1 << 16;

/// Reads a file in SVMlight's format, plain or gzip: the labels as values, the features dense.
///
/// Each line is a label, optionally `qid:` with the number of the row's query, and features
/// `index:value` with ascending indices; omitted features are 0. `#` begins a comment; comment
/// lines and empty lines are not rows.
///
/// * Indices count from 0 if one of them is 0, else from 1, unless [`ReadOptions::zero_based`] is
///   set. The number of features follows from the largest index, unless [`ReadOptions::features`]
///   is set: set both when reading more rows for a trained model. Columns are named by the indices
///   as written in the file.
/// * The queries are the rows' groups ([`Dataset::groups`]). Without `qid:` they are read from
///   [`ReadOptions::groups`], else from the file with `.query` appended to the name, if present, as
///   in LightGBM: one number of rows per line. If both exist they must agree.
///
/// # Errors
/// [`Error::Data`] with the line (from 1) for NaN, infinities, invalid numbers, indices that are
/// not ascending, do not fit 32 bits or exceed the given number of features, a relevance below 0
/// with queries, a query whose rows are not contiguous, rows with `qid:` mixed with rows without,
/// an empty file, and groups that do not add up to all rows; [`Error::TooLarge`] if the dense
/// features would exceed 48 MiB and ten times the file, or, if [`ReadOptions::features`] is set, 1
/// GiB and 64 times the file's content.
pub fn read_svmlight(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Dataset> {
    let mut source = Source::open(path.as_ref())?;
    let text = source.rest()?;
    let mut rows = Rows::new(path.as_ref(), options);
    rows.bytes = text.len();
    for line in lines(&text) {
        rows.line += 1;
        rows.add(line)?;
    }
    rows.finish(options)
}

/// True if a file begins with a row of this format.
pub(super) fn begins(path: &Path) -> bool {
    let Ok(start) = Source::open(path).and_then(|mut source| source.up_to(START)) else {
        return false;
    };
    let is_feature = |token: &str| {
        let parsed = token
            .split_once(':')
            .map(|(name, value)| (name == "qid" || name.parse::<u32>().is_ok(), value));
        parsed.is_some_and(|(is_name, value)| is_name && value.parse::<f32>().is_ok())
    };
    // The last line may be truncated: ignore its last token.
    let whole = |line: &[u8]| match std::str::from_utf8(uncommented(line)) {
        Ok(text) if !text.trim().is_empty() => {
            Some(text.split_ascii_whitespace().map(String::from).collect::<Vec<_>>())
        }
        _ => None,
    };
    let Some(tokens) = lines(&start).find_map(whole) else { return false };
    let [label, features @ ..] = &tokens[..] else { return false };
    let asked = if features.len() > 1 { &features[..features.len() - 1] } else { features };
    label.parse::<f32>().is_ok() && !asked.is_empty() && asked.iter().all(|token| is_feature(token))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A byte order mark would become part of the first label.
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).split(|&byte| byte == b'\n')
}

fn uncommented(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b'#').next().unwrap_or_default()
}

/// A number that is finite in f32.
fn finite(text: &str) -> Option<f32> {
    text.parse().ok().filter(|value: &f32| value.is_finite())
}

/// Rows under construction, line by line.
struct Rows {
    path: PathBuf,
    /// Length of the text in bytes.
    bytes: usize,
    /// Number of the current line, from 1.
    line: usize,
    labels: Vec<f32>,
    /// The features in the file, and the end of each row among them.
    cells: Vec<(u32, f32)>,
    ends: Vec<usize>,
    /// The queries: number of rows of each, line at which each ended, and the current one.
    sizes: Vec<usize>,
    left: HashMap<u64, usize>,
    query: Option<u64>,
    zero_based: Option<bool>,
    features: Option<usize>,
    /// The largest index and its line.
    widest: (u32, usize),
    has_zero: bool,
    /// The line of the first label below 0.
    negative: Option<usize>,
}

impl Rows {
    fn new(path: &Path, options: &ReadOptions) -> Self {
        Rows {
            path: path.into(),
            bytes: 0,
            line: 0,
            labels: Vec::new(),
            cells: Vec::new(),
            ends: Vec::new(),
            sizes: Vec::new(),
            left: HashMap::new(),
            query: None,
            zero_based: options.zero_based,
            features: options.features,
            widest: (0, 0),
            has_zero: false,
            negative: None,
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<()> {
        let line = uncommented(line);
        let text = std::str::from_utf8(line)
            .map_err(|_| self.wrong("bytes that are no text", "label index:value …"))?;
        let mut tokens = text.split_ascii_whitespace().peekable();
        let Some(label) = tokens.next() else { return Ok(()) };
        let Some(label) = finite(label) else {
            return Err(
                self.wrong(quoted(label), "a label in front, a number that is finite in f32")
            );
        };
        let query = tokens.next_if(|token| token.starts_with("qid:"));
        self.add_query(query.map(|token| &token[4..]))?;
        let mut before = None;
        for token in tokens {
            let (index, value) = self.cell(token)?;
            if let Some(before) = before.filter(|&before| index <= before) {
                return Err(self.wrong(
                    format!("index {index} after {before}"),
                    "indices that ascend, each once",
                ));
            }
            before = Some(index);
            self.cells.push((index, value));
        }
        if let Some(index) = before.filter(|&index| self.widest.1 == 0 || index > self.widest.0) {
            self.widest = (index, self.line);
        }
        if label < 0.0 {
            self.negative = self.negative.or(Some(self.line));
        }
        self.labels.push(label);
        self.ends.push(self.cells.len());
        Ok(())
    }

    /// Parses `index:value`.
    fn cell(&mut self, token: &str) -> Result<(u32, f32)> {
        let expected = "index:value, such as 3:0.5";
        let Some((index, value)) = token.split_once(':') else {
            return Err(self.wrong(quoted(token), expected));
        };
        let is_whole = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        let number = match index.parse::<u32>() {
            Ok(number) => number,
            Err(_) if is_whole => {
                return Err(self.wrong(
                    format!("index {}", short(index)),
                    "an index that fits 32 bits, up to 4294967295",
                ));
            }
            Err(_) => return Err(self.wrong(quoted(token), expected)),
        };
        let Some(value) = finite(value) else {
            return Err(
                self.wrong(quoted(token), "a value that is finite in f32; clean or drop such rows")
            );
        };
        if number == 0 && self.zero_based == Some(false) {
            return Err(self.wrong(
                "index 0",
                "an index from 1 on, as it was said that they count from there",
            ));
        }
        self.has_zero |= number == 0;
        Ok((number, value))
    }

    /// Adds the current row to its query.
    fn add_query(&mut self, text: Option<&str>) -> Result<()> {
        let rows = self.labels.len();
        let Some(text) = text else {
            if self.query.is_some() {
                return Err(
                    self.wrong("a row without qid:", "a query in each row, as in those before")
                );
            }
            return Ok(());
        };
        if rows > 0 && self.query.is_none() {
            return Err(
                self.wrong(format!("qid:{}", short(text)), "no query, as in the rows before")
            );
        }
        let Ok(query) = text.parse::<u64>() else {
            return Err(self
                .wrong(format!("`qid:{}`", short(text)), "a whole number from 0 on behind qid:"));
        };
        if self.query == Some(query) {
            if let Some(size) = self.sizes.last_mut() {
                *size += 1;
            }
            return Ok(());
        }
        if let Some(before) = self.query {
            self.left.insert(before, self.line);
        }
        if let Some(line) = self.left.get(&query) {
            let found = format!("query {query} again, whose rows ended before line {line}");
            return Err(
                self.wrong(found, "all rows of a query one behind the other; sort them by qid")
            );
        }
        self.query = Some(query);
        self.sizes.push(1);
        Ok(())
    }

    fn finish(mut self, options: &ReadOptions) -> Result<Dataset> {
        if self.labels.is_empty() {
            return Err(self.wrong("the end of the file", "at least one row, label index:value …"));
        }
        let base = u32::from(!self.zero_based.unwrap_or(self.has_zero));
        let (widest, line) = self.widest;
        let found = if line == 0 { 0 } else { (widest - base.min(widest)) as usize + 1 };
        let width = self.features.unwrap_or(found);
        if found > width {
            let last = (width as u64 + u64::from(base)).saturating_sub(1);
            self.line = line;
            let expected = format!(
                "indices up to {last}, as there are {width} features that count from {base}"
            );
            return Err(self.wrong(format!("index {widest}"), expected));
        }
        if width == 0 {
            return Err(self
                .wrong("no feature in any row", "index:value behind the label of a row at least"));
        }
        let features = self.dense(width, base as usize)?;
        let target = Target::Values(Array2::from_shape_fn((self.labels.len(), 1), |(row, _)| {
            self.labels[row]
        }));
        let names = (0..width).map(|column| (column + base as usize).to_string()).collect();
        let mut dataset = Dataset::with_names(features, target, names)?;
        dataset.groups = self.groups(options)?;
        // Listwise losses treat items with a label below 0 as padding and would silently ignore
        // them.
        if let (Some(line), true) = (self.negative, dataset.groups.is_some()) {
            self.line = line;
            let row = self.labels.iter().position(|label| *label < 0.0).unwrap_or(0);
            let expected = "a relevance from 0 on in a file of queries; leave such rows out, or add to all labels";
            return Err(self.wrong(format!("relevance {}", self.labels[row]), expected));
        }
        Ok(dataset)
    }

    fn dense(&self, width: usize, base: usize) -> Result<Array2<f32>> {
        let rows = self.labels.len();
        let bytes = (4 * rows as u128 + NAME_BYTES) * width as u128;
        let limit = match self.features {
            Some(_) => ASKED_BYTES.max(LARGEST_ASKED_SHARE * 4 * self.cells.len() as u128),
            None => FREE_BYTES + LARGEST_SHARE * self.bytes as u128,
        };
        if bytes > limit {
            let (line, index) = (self.widest.1, self.widest.0);
            return Err(Error::TooLarge {
                name: format!(
                    "{}: dense features [{rows}, {width}] (index {index} in line {line})",
                    self.path.display()
                ),
                bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                limit: u64::try_from(limit).unwrap_or(u64::MAX),
                advice: "renumber the features, keep the frequent ones, or say how many there are"
                    .into(),
            });
        }
        let mut features = Array2::zeros((rows, width));
        let mut begin = 0;
        for (mut row, &end) in features.axis_iter_mut(Axis(0)).zip(&self.ends) {
            for &(index, value) in &self.cells[begin..end] {
                row[index as usize - base] = value;
            }
            begin = end;
        }
        Ok(features)
    }

    /// Number of rows of each query, from `qid:` or from a separate file.
    fn groups(&mut self, options: &ReadOptions) -> Result<Option<Vec<usize>>> {
        let beside = options.groups.clone().or_else(|| companion(&self.path));
        let own = (self.query.is_some()).then(|| std::mem::take(&mut self.sizes));
        let Some(beside) = beside else { return Ok(own) };
        let found = read_groups(&beside, self.labels.len(), &self.path)?;
        let Some(own) = own else { return Ok(Some(found)) };
        let Some(group) =
            (0..own.len().max(found.len())).find(|&group| own.get(group) != found.get(group))
        else {
            return Ok(Some(own));
        };
        let rows =
            |of: &[usize]| of.get(group).map_or("none".to_string(), |rows| format!("{rows} rows"));
        Err(Error::Data {
            path: beside,
            position: format!("query {} (from 1)", group + 1),
            found: rows(&found),
            expected: format!("{}, as qid: says in {}", rows(&own), self.path.display()),
        })
    }

    fn wrong(&self, found: impl ToString, expected: impl ToString) -> Error {
        let position = format!("line {}", self.line);
        Error::Data {
            path: self.path.clone(),
            position,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// Truncates a word for a message.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    cut.escape_debug().to_string()
}

fn quoted(text: &str) -> String {
    format!("`{}`", short(text))
}

/// The group file that belongs to a file of rows.
pub(super) fn companion(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let names = [name, name.trim_end_matches(".gz")]
        .map(|name| [format!("{name}.query"), format!("{name}.query.gz")]);
    names.into_iter().flatten().map(|name| path.with_file_name(name)).find(|path| path.is_file())
}

/// Reads one number of rows per line, without empty lines and comments. The numbers must add up to
/// the rows of the other file.
fn read_groups(path: &Path, rows: usize, of: &Path) -> Result<Vec<usize>> {
    let text = Source::open(path)?.rest()?;
    let wrong = |line: usize, found: String, expected: String| Error::Data {
        path: path.into(),
        position: format!("line {line}"),
        found,
        expected,
    };
    let (mut sizes, mut sum, mut last) = (Vec::new(), 0_usize, 0);
    for (number, line) in lines(&text).enumerate() {
        let line = String::from_utf8_lossy(uncommented(line));
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        last = number + 1;
        let size = line.parse().ok().filter(|&size: &usize| size > 0);
        let size = size.ok_or_else(|| {
            wrong(
                last,
                quoted(line),
                "the number of rows of a query, a whole number from 1 on".into(),
            )
        })?;
        sum = sum.saturating_add(size);
        if sum > rows {
            let expected = format!("{rows} in all, as {} has", of.display());
            return Err(wrong(last, format!("{sum} rows up to here"), expected));
        }
        sizes.push(size);
    }
    if sum != rows {
        let found = format!("{sum} rows in {} queries", sizes.len());
        return Err(wrong(last, found, format!("{rows} in all, as {} has", of.display())));
    }
    Ok(sizes)
}
