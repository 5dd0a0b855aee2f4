//! The content of a path as it is, and the flags by which another command reads it in the same way.

use std::path::Path;

use gradus::HeldOut;
use gradus::data::{Decimal, Delimiter, Table, TargetKind};

use crate::output::Outcome;
use crate::samples::prepared::Asked;
use crate::samples::source::{HeaderName, Known, Raw, Source};

impl Source {
    /// The content of --data, before rows are left out and cells are encoded.
    pub fn raw(&self) -> Outcome<Raw> {
        self.read(&Known::default())
    }

    /// The columns that --target names, and those that --drop or --columns leave out.
    pub fn chosen(&self, table: &Table) -> Outcome<(Vec<String>, Vec<String>)> {
        let asked = Asked {
            kind: TargetKind::Classes,
            known: None,
            held_out: HeldOut { seed: 0, share: 0.0 },
            test: None,
            standardize: true,
            sample_weight: None,
            stream: false,
        };
        let options = self.encoding_options(table, &asked)?;
        Ok((options.targets, options.left_out))
    }

    /// The flags that name the rows, for a command line; `drop` are further columns to leave out.
    pub fn as_flags(&self, drop: &[String]) -> Vec<String> {
        let mut flags = Vec::new();
        let mut add = |flag: &str, value: String| flags.extend([flag.to_string(), value]);
        let path = |path: &Path| path.to_string_lossy().into_owned();
        for (flag, file) in [
            ("--data", &self.data),
            ("--images", &self.images),
            ("--labels", &self.labels),
            ("--targets", &self.targets),
            ("--groups", &self.groups),
        ] {
            if let Some(file) = file {
                add(flag, path(file));
            }
        }
        self.target.iter().for_each(|name| add("--target", name.clone()));
        let kept = self.columns.iter().filter(|name| !drop.contains(name));
        kept.for_each(|name| add("--columns", name.clone()));
        let dropped = if self.columns.is_empty() { drop } else { &[] };
        self.drop.iter().chain(dropped).for_each(|name| add("--drop", name.clone()));
        match self.header {
            HeaderName::Auto => {}
            HeaderName::Yes => add("--header", "yes".into()),
            HeaderName::No => add("--header", "no".into()),
        }
        match self.delimiter {
            None => {}
            Some(Delimiter::Byte(b'\t')) => add("--delimiter", "tab".into()),
            Some(Delimiter::Byte(byte)) => add("--delimiter", char::from(byte).to_string()),
            Some(Delimiter::Spaces) => add("--delimiter", "space".into()),
            Some(Delimiter::Colons) => add("--delimiter", "::".into()),
        }
        match self.decimal {
            None => {}
            Some(Decimal::Point) => add("--decimal", ".".into()),
            Some(Decimal::Comma) => add("--decimal", ",".into()),
        }
        if let Some(features) = self.features {
            add("--features", features.to_string());
        }
        if let Some(zero_based) = self.zero_based {
            add("--zero-based", zero_based.to_string());
        }
        flags
    }
}
