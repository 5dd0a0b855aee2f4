//! Location and format options of the data.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus::Model;
use gradus::data::{Decimal, Delimiter, Encoding, Split, Table};

use crate::numbers;

/// Location and format of the rows.
#[derive(Args, Clone)]
pub struct Source {
    /// A folder of IDX files with MNIST's names, a CSV table (`-`: standard input), .npy, .npz, or
    /// SVMlight (.svm, or a file that begins like one)
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present_any = ["images", "text"],
        conflicts_with = "images"
    )]
    pub(super) data: Option<PathBuf>,
    /// An IDX file of images, with any name
    #[arg(long, value_name = "FILE", requires = "labels")]
    pub(super) images: Option<PathBuf>,
    /// The IDX file of labels for --images
    #[arg(long, value_name = "FILE", requires = "images")]
    pub(super) labels: Option<PathBuf>,
    /// A text in UTF-8, for a model of characters (`gradus train --model gpt`)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "data", "images", "labels", "target", "drop", "columns", "header", "delimiter",
            "decimal", "targets", "groups", "features", "zero_based",
        ]
    )]
    pub(super) text: Option<PathBuf>,
    /// The target's column in a table: its name, or its index if there is no header; may be
    /// repeated
    #[arg(long, value_name = "COLUMN")]
    pub(super) target: Vec<String>,
    /// A column of a table to leave out of the features; may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub(super) drop: Vec<String>,
    /// The columns of a table to use as features, and no others; may be repeated
    #[arg(long, value_name = "COLUMN", conflicts_with = "drop")]
    pub(super) columns: Vec<String>,
    /// Header row of a table: auto detects from the first rows if they name the columns
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    pub(super) header: HeaderName,
    /// The separator between the fields of a table, e.g. `;`, or tab, space, `::` [default:
    /// detected from the first lines]
    #[arg(long, value_name = "MARK", value_parser = delimiter)]
    pub(super) delimiter: Option<Delimiter>,
    /// The decimal mark of a table, `.` or `,` [default: detected from the first lines]
    #[arg(long, value_name = "MARK", value_parser = decimal)]
    pub(super) decimal: Option<Decimal>,
    /// The file of the targets, for .npy
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    /// The file with the number of rows of each query, for .svm [default: `qid:`, or the file with
    /// .query appended to its name]
    #[arg(long, value_name = "FILE")]
    pub(super) groups: Option<PathBuf>,
    /// Number of features per row, for .svm [default: from the largest index]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub(super) features: Option<NonZeroUsize>,
    /// True if indices count from 0, for .svm [default: true if an index is 0]
    #[arg(long, value_name = "BOOL")]
    pub(super) zero_based: Option<bool>,
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

pub(super) fn delimiter(text: &str) -> Result<Delimiter, String> {
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

pub(super) fn decimal(text: &str) -> Result<Decimal, String> {
    match text {
        "." => Ok(Decimal::Point),
        "," => Ok(Decimal::Comma),
        _ => Err("it must be . or ,".into()),
    }
}

/// The columns that a model was trained on, used to detect the format of other files.
#[derive(Default)]
pub(super) struct Known {
    pub(super) names: Vec<String>,
    /// The file had no header: columns are named by their indices.
    pub(super) are_indices: bool,
}

impl Known {
    pub(super) fn of_encoding(encoding: &Encoding) -> Self {
        Known { names: encoding.wanted(), are_indices: !encoding.has_header() }
    }

    pub(super) fn of_model(model: &Model) -> Self {
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
    /// The options of a command line that name this source.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [flag.to_string(), value]));
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--data", path(&self.data));
        add("--images", path(&self.images));
        add("--labels", path(&self.labels));
        add("--text", path(&self.text));
        self.target.iter().for_each(|name| add("--target", Some(name.clone())));
        self.drop.iter().for_each(|name| add("--drop", Some(name.clone())));
        self.columns.iter().for_each(|name| add("--columns", Some(name.clone())));
        let header = match self.header {
            HeaderName::Auto => None,
            HeaderName::Yes => Some("yes".into()),
            HeaderName::No => Some("no".into()),
        };
        add("--header", header);
        let mark = |delimiter: Delimiter| match delimiter {
            Delimiter::Byte(b'\t') => "tab".to_string(),
            Delimiter::Byte(byte) => char::from(byte).to_string(),
            Delimiter::Spaces => "space".into(),
            Delimiter::Colons => "::".into(),
        };
        add("--delimiter", self.delimiter.map(mark));
        let mark = |decimal: Decimal| match decimal {
            Decimal::Point => ".".to_string(),
            Decimal::Comma => ",".into(),
        };
        add("--decimal", self.decimal.map(mark));
        add("--targets", path(&self.targets));
        add("--groups", path(&self.groups));
        add("--features", self.features.map(|count| count.to_string()));
        add("--zero-based", self.zero_based.map(|is_so| is_so.to_string()));
        arguments
    }
}
