//! What `train`, `predict` and `evaluate` read: a table or arrays, and the way from them to the numbers of a model.

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

/// Where the rows are.
#[derive(Args, Clone)]
pub struct Source {
    /// A folder of IDX files with MNIST's names, a CSV table (`-`: standard input), .npy, .npz, or SVMlight's lines (.svm, or what begins so)
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "images",
        conflicts_with = "images"
    )]
    data: Option<PathBuf>,
    /// A file of images in IDX form, of any name
    #[arg(long, value_name = "FILE", requires = "labels")]
    images: Option<PathBuf>,
    /// The labels of --images
    #[arg(long, value_name = "FILE", requires = "images")]
    labels: Option<PathBuf>,
    /// The target's column in a table: its name, or its index where there is no header; may be repeated
    #[arg(long, value_name = "COLUMN")]
    target: Vec<String>,
    /// A column of a table that is no feature; may be repeated
    #[arg(long, value_name = "COLUMN")]
    drop: Vec<String>,
    /// The columns of a table that are features, and no others; may be repeated
    #[arg(long, value_name = "COLUMN", conflicts_with = "drop")]
    columns: Vec<String>,
    /// Whether the first row of a table names the columns
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    header: HeaderName,
    /// What parts the fields of a table, such as `;`, or tab, space, `::`; without it the first lines say
    #[arg(long, value_name = "MARK", value_parser = delimiter)]
    delimiter: Option<Delimiter>,
    /// The decimal mark of a table, `.` or `,`; without it the first lines say
    #[arg(long, value_name = "MARK", value_parser = decimal)]
    decimal: Option<Decimal>,
    /// The file of the targets, for .npy
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// The file of the number of rows of each query, for .svm; without it `qid:` says, or the file with .query behind its name
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// How many features a row has, for .svm; without it the largest index says
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    features: Option<NonZeroUsize>,
    /// Whether indices count from 0, for .svm; without it they do if one of them is 0
    #[arg(long, value_name = "BOOL")]
    zero_based: Option<bool>,
}

/// Whether the first row names the columns.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum HeaderName {
    /// Told from the first rows.
    Auto,
    /// It does.
    Yes,
    /// It is a row.
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

/// The columns that a model was trained on, from which the form of other files is told.
#[derive(Default)]
struct Known {
    names: Vec<String>,
    /// The file had no header: they are called by their indices.
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
        // There is nothing else to tell it by; the target is one of the columns.
        let is_index =
            |name: &String| name.parse::<usize>().is_ok_and(|index| index <= names.len());
        Known { are_indices: !names.is_empty() && names.iter().all(is_index), names }
    }
}

/// What a path holds.
pub enum Raw {
    /// Columns, not yet numbers.
    Table(Table),
    /// Numbers as they are, with rows to test on where the source has such.
    Arrays(Box<Split>),
}

impl Source {
    /// Reads what --data names; `known` are columns that a model was trained on.
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

    /// The files that are read, with the flag that names them.
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

    /// The files that are read for the rows of another path.
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

    /// An option that a table has no use for: ignored, it would train on something else than was asked for.
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

    /// The flag that an error is about; `own` is that of the file itself.
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

    /// The target's columns as they are told, where some are named.
    pub fn target(&self) -> Option<String> {
        (!self.target.is_empty()).then(|| self.target.join(", "))
    }

    /// The file or folder of the rows.
    pub fn path(&self) -> &Path {
        self.data.as_deref().or(self.images.as_deref()).unwrap_or(Path::new(""))
    }

    /// What is read and how.
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

    /// Another path, read as this one is.
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

    /// Reads rows of another file with the columns of those that were read from this one.
    fn read_beside(&self, path: &Path, known: &Known) -> Outcome<Raw> {
        let mut source = self.beside(path);
        if data::is_svmlight(path) {
            source.count_as(&known.names);
        }
        source.read_as("--test", known)
    }

    /// Takes the indices of a file for those of features that were named before: it may have fewer of them, and none of 0.
    fn count_as(&mut self, names: &[String]) {
        self.features = self.features.or(NonZeroUsize::new(names.len()));
        self.zero_based = self.zero_based.or(names.first().map(|name| name == "0"));
    }

    /// The names that are saved with a model trained on this.
    pub fn names(&self, dataset: &Dataset) -> (Vec<String>, Vec<String>, Option<String>) {
        let classes = match &dataset.target {
            data::Target::Labels { classes, .. } => classes.clone(),
            _ => Vec::new(),
        };
        (dataset.feature_names.clone(), classes, self.target())
    }

    /// Images are scaled where they are read and lie in an order of their own; tables are neither scaled nor shuffled.
    pub fn is_images(&self) -> bool {
        self.images.is_some() || data::is_idx_folder(self.path())
    }

    /// All rows as a saved model takes them, with targets if each has them.
    pub fn read_for(&self, model: &Model) -> Outcome<Rows> {
        prepare::read_for(self, model, false)
    }

    /// The rows whose targets are known as a saved model takes them.
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
