//! Input of `train`, `predict` and `evaluate`: a table or arrays, and their conversion to a model's
//! numbers.

mod columns;
mod large;
mod memory;
mod prepare;
mod task;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use gradus::data::{
    self, Dataset, Decimal, Delimiter, Encoding, Header, ReadOptions, Split, Table, TableOptions,
};
use gradus::{Error, Model};
use serde_json::{Value, json};

use crate::numbers;
use crate::output::{self, Failure, Outcome};

pub use columns::{columns_as_json, columns_in_words};
pub use large::Large;
pub use prepare::{Asked, Prepared, Rows};
pub use task::{Task, loss_in_unit, target_kind, unfit};

/// Location and format of the rows.
#[derive(Args, Clone)]
pub struct Source {
    /// A folder of IDX files with MNIST's names, a CSV table (`-`: standard input), .npy, .npz, or
    /// SVMlight (.svm, or a file that begins like one)
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "images",
        conflicts_with = "images"
    )]
    data: Option<PathBuf>,
    /// An IDX file of images, with any name
    #[arg(long, value_name = "FILE", requires = "labels")]
    images: Option<PathBuf>,
    /// The IDX file of labels for --images
    #[arg(long, value_name = "FILE", requires = "images")]
    labels: Option<PathBuf>,
    /// The target's column in a table: its name, or its index if there is no header; may be
    /// repeated
    #[arg(long, value_name = "COLUMN")]
    target: Vec<String>,
    /// A column of a table to leave out of the features; may be repeated
    #[arg(long, value_name = "COLUMN")]
    drop: Vec<String>,
    /// The columns of a table to use as features, and no others; may be repeated
    #[arg(long, value_name = "COLUMN", conflicts_with = "drop")]
    columns: Vec<String>,
    /// Header row of a table: auto detects from the first rows if they name the columns
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    header: HeaderName,
    /// The separator between the fields of a table, e.g. `;`, or tab, space, `::` [default:
    /// detected from the first lines]
    #[arg(long, value_name = "MARK", value_parser = delimiter)]
    delimiter: Option<Delimiter>,
    /// The decimal mark of a table, `.` or `,` [default: detected from the first lines]
    #[arg(long, value_name = "MARK", value_parser = decimal)]
    decimal: Option<Decimal>,
    /// The file of the targets, for .npy
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// The file with the number of rows of each query, for .svm [default: `qid:`, or the file with
    /// .query appended to its name]
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// Number of features per row, for .svm [default: from the largest index]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    features: Option<NonZeroUsize>,
    /// True if indices count from 0, for .svm [default: true if an index is 0]
    #[arg(long, value_name = "BOOL")]
    zero_based: Option<bool>,
}

/// Presence of a header row.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum HeaderName {
    /// Detected from the first rows.
    Auto,
    /// The first row names the columns.
    Yes,
    /// The first row is data.
    No,
}

fn delimiter(text: &str) -> Result<Delimiter, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(Delimiter::Byte(b'\t')),
        "space" | "spaces" | " " => Ok(Delimiter::Spaces),
        "::" => Ok(Delimiter::Colons),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(Delimiter::Byte(*byte)),
            _ => Err("it must be one character such as , or ; or |, or tab, space, ::".into()),
        },
    }
}

fn decimal(text: &str) -> Result<Decimal, String> {
    match text {
        "." => Ok(Decimal::Point),
        "," => Ok(Decimal::Comma),
        _ => Err("it must be . or ,".into()),
    }
}

/// The columns that a model was trained on, used to detect the format of other files.
#[derive(Default)]
struct Known {
    names: Vec<String>,
    /// The file had no header: columns are named by their indices.
    are_indices: bool,
}

impl Known {
    fn of_encoding(encoding: &Encoding) -> Self {
        Known { names: encoding.wanted(), are_indices: !encoding.has_header() }
    }

    fn of_model(model: &Model) -> Self {
        if let Some(encoding) = model.encoding().filter(|encoding| encoding.takes_tables()) {
            return Self::of_encoding(encoding);
        }
        let names = model.names().features.clone();
        // There is no other evidence; the target is one of the columns.
        let is_index =
            |name: &String| name.parse::<usize>().is_ok_and(|index| index <= names.len());
        Known { are_indices: !names.is_empty() && names.iter().all(is_index), names }
    }
}

/// Content of a path.
pub enum Raw {
    /// Columns, not yet encoded.
    Table(Table),
    /// Numbers, with test rows if the source has its own.
    Arrays(Box<Split>),
}

impl Source {
    /// Reads the rows of --data; `known` are the columns that a model was trained on.
    fn read(&self, known: &Known) -> Outcome<Raw> {
        self.read_as("--data", known)
    }

    fn read_as(&self, flag: &str, known: &Known) -> Outcome<Raw> {
        let failed = |error: Error| {
            let flag = self.flag_of(&error, flag);
            Failure::from(error).of(&flag)
        };
        if let (Some(images), Some(labels)) = (&self.images, &self.labels) {
            self.refuse_options_of_tables()?;
            let train = data::read_idx_pair(images, labels)
                .map_err(|error| Failure::from(error).of("--images"))?;
            return Ok(Raw::Arrays(Box::new(Split { train, test: None })));
        }
        if data::is_table(self.path()) {
            self.refuse_options_of_arrays()?;
            return Table::read(self.path(), &self.table_options(known))
                .map(Raw::Table)
                .map_err(failed);
        }
        self.refuse_options_of_tables()?;
        data::read(self.path(), &self.array_options())
            .map(|split| Raw::Arrays(Box::new(split)))
            .map_err(failed)
    }

    fn array_options(&self) -> ReadOptions {
        let (targets, groups) = (self.targets.clone(), self.groups.clone());
        let features = self.features.map(NonZeroUsize::get);
        let target = self.target.first().cloned();
        ReadOptions { target, targets, groups, features, zero_based: self.zero_based }
    }

    /// The input files, each with the flag that names it.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let pair = [("--images", &self.images), ("--labels", &self.labels)];
        let pair = pair.into_iter().filter_map(|(flag, path)| Some((flag, path.clone()?)));
        let data = self
            .data
            .as_ref()
            .map(|path| data::sources(path, &self.array_options()))
            .unwrap_or_default();
        data.into_iter().map(|path| ("--data", path)).chain(pair).collect()
    }

    /// The input files of another path, read with the same options.
    pub fn files_beside(&self, path: &Path) -> Vec<PathBuf> {
        data::sources(path, &self.beside(path).array_options())
    }

    fn table_options(&self, known: &Known) -> TableOptions {
        let header = match self.header {
            HeaderName::Auto if known.are_indices => Header::Indices,
            HeaderName::Auto => Header::Auto,
            HeaderName::Yes => Header::Yes,
            HeaderName::No => Header::No,
        };
        // A row of the numbers 0 and 1 is not the header of a file whose columns have no names.
        let known = if known.are_indices { Vec::new() } else { known.names.clone() };
        TableOptions { header, delimiter: self.delimiter, decimal: self.decimal, known }
    }

    /// Rejects options that tables do not use: ignoring one would train on something other than
    /// requested.
    fn refuse_options_of_arrays(&self) -> Outcome {
        let given = [
            ("--targets", self.targets.is_some(), "a table has its targets in a column: --target"),
            ("--groups", self.groups.is_some(), "it is for SVMlight's lines"),
            ("--features", self.features.is_some(), "it is for SVMlight's lines"),
            ("--zero-based", self.zero_based.is_some(), "it is for SVMlight's lines"),
        ];
        refuse(&given, self.path())
    }

    fn refuse_options_of_tables(&self) -> Outcome {
        let given = [
            ("--drop", !self.drop.is_empty(), "it is for tables"),
            ("--columns", !self.columns.is_empty(), "it is for tables"),
            ("--header", self.header != HeaderName::Auto, "it is for tables"),
            ("--delimiter", self.delimiter.is_some(), "it is for tables"),
            ("--decimal", self.decimal.is_some(), "it is for tables"),
        ];
        refuse(&given, self.path())
    }

    /// The flag responsible for an error; `own` is the flag of the file itself.
    fn flag_of(&self, error: &Error, own: &str) -> String {
        match error {
            Error::Option { owner, name, .. } if owner == "data" => {
                format!("--{}", name.replace('_', "-"))
            }
            Error::Io { path, .. } | Error::Data { path, .. }
                if self.targets.as_ref() == Some(path) =>
            {
                "--targets".into()
            }
            Error::Io { path, .. } | Error::Data { path, .. }
                if self.groups.as_ref() == Some(path) =>
            {
                "--groups".into()
            }
            _ => own.into(),
        }
    }

    /// The target columns as shown in messages, if named.
    pub fn target(&self) -> Option<String> {
        (!self.target.is_empty()).then(|| self.target.join(", "))
    }

    /// The file or folder of the rows.
    pub fn path(&self) -> &Path {
        self.data.as_deref().or(self.images.as_deref()).unwrap_or(Path::new(""))
    }

    /// The source and its options as JSON.
    pub fn as_json(&self) -> Value {
        let target = match &self.target[..] {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        };
        json!({
            "path": output::path(self.path()), "labels": self.labels.as_deref().map(output::path), "target": target,
            "drop": self.drop, "columns": self.columns, "targets": self.targets.as_deref().map(output::path),
            "groups": self.groups.as_deref().map(output::path), "features": self.features, "zero_based": self.zero_based,
        })
    }

    /// Another path with the same options.
    fn beside(&self, path: &Path) -> Self {
        Source {
            data: Some(path.into()),
            images: None,
            labels: None,
            targets: None,
            groups: None,
            ..self.clone()
        }
    }

    /// Reads another file with the columns of the rows read from this one.
    fn read_beside(&self, path: &Path, known: &Known) -> Outcome<Raw> {
        let mut source = self.beside(path);
        if data::is_svmlight(path) {
            source.count_as(&known.names);
        }
        source.read_as("--test", known)
    }

    /// Interprets a file's indices as those of the named features: it may have fewer features, and
    /// no index 0.
    fn count_as(&mut self, names: &[String]) {
        self.features = self.features.or(NonZeroUsize::new(names.len()));
        self.zero_based = self.zero_based.or(names.first().map(|name| name == "0"));
    }

    /// Names saved with a model trained on this source.
    pub fn names(&self, dataset: &Dataset) -> (Vec<String>, Vec<String>, Option<String>) {
        let classes = match &dataset.target {
            data::Target::Labels { classes, .. } => classes.clone(),
            _ => Vec::new(),
        };
        (dataset.feature_names.clone(), classes, self.target())
    }

    /// True for images: they are scaled when read and are already in random order; tables are
    /// neither scaled nor shuffled.
    pub fn is_images(&self) -> bool {
        self.images.is_some() || data::is_idx_folder(self.path())
    }

    /// All rows, encoded for a saved model, with targets if every row has them.
    pub fn read_for(&self, model: &Model) -> Outcome<Rows> {
        prepare::read_for(self, model, false)
    }

    /// The rows with known targets, encoded for a saved model.
    pub fn answered_for(&self, model: &Model) -> Outcome<Rows> {
        prepare::read_for(self, model, true)
    }
}

fn refuse(given: &[(&str, bool, &str)], path: &Path) -> Outcome {
    match given.iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, reason)) => Err(Failure::Failed(format!(
            "{flag}: {} does not take it: {reason}; leave it out",
            path.display()
        ))),
        None => Ok(()),
    }
}
