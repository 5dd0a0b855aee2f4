//! Input of `train`, `predict` and `evaluate`: a table or arrays, and their conversion to a model's
//! numbers.

mod columns;
mod large;
mod prepare;
pub(crate) mod prepared;
mod raw;
pub(crate) mod source;
mod task;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use gradus::data::{Dataset, Header, ReadOptions, Split, Table, TableOptions};
use gradus::{Error, Model, data};
use serde_json::{Value, json};

use crate::output;
use crate::output::{Failure, Outcome};
use crate::samples::source::{HeaderName, Known, Raw, Source};

pub use columns::{columns_as_json, columns_in_words};
pub use prepare::Rows;
use prepare::Wanted;
pub use prepared::{Asked, Large, Prepared};
pub use task::{Task, Truth, loss_in_unit, target_kind, unfit};

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
        let pair = [("--images", &self.images), ("--labels", &self.labels), ("--text", &self.text)];
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
        let path = self.data.as_deref().or(self.images.as_deref()).or(self.text.as_deref());
        path.unwrap_or(Path::new(""))
    }

    /// The text, for a model of characters.
    pub fn text(&self) -> Option<&Path> {
        self.text.as_deref()
    }

    /// The shape of the images in IDX and `.npy` files: height, width and channels; `None` for
    /// sources that do not say it.
    pub fn image(&self) -> Outcome<Option<[usize; 3]>> {
        if self.path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
            return self.image_of_npy();
        }
        let is_images = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            name.contains("images")
        };
        let path = match &self.images {
            Some(path) => Some(path.clone()),
            None if self.is_images() => {
                data::sources(self.path(), &self.array_options()).into_iter().find(is_images)
            }
            None => None,
        };
        let Some(path) = path else { return Ok(None) };
        Ok(match *data::read_idx(&path)?.shape() {
            [_, height, width] => Some([height, width, 1]),
            [_, height, width, channels] => Some([height, width, channels]),
            _ => None,
        })
    }

    fn image_of_npy(&self) -> Outcome<Option<[usize; 3]>> {
        let path = self.path();
        let shape = data::npy_shape(path).map_err(|error| Failure::from(error).of("--data"))?;
        match shape[..] {
            // PyTorch's order; no photograph is one or three pixels high.
            [_, channels @ (1 | 3), height, width] if height > 3 && width > 3 => {
                Err(Failure::Failed(format!(
                    "{} has the shape {shape:?}: {channels} x {height} x {width} with the channels first. Images are [rows, height, width, \
                     channels] here: numpy's x.transpose(0, 2, 3, 1)",
                    path.display()
                )))
            }
            [_, height, width] => Ok(Some([height, width, 1])),
            [_, height, width, channels] => Ok(Some([height, width, channels])),
            _ => Ok(None),
        }
    }

    /// Rejects images of another shape than those that a model takes.
    pub fn check_images(&self, model: &Model) -> Outcome {
        let &[height, width, channels] = model.input_shape() else { return Ok(()) };
        if self.is_images() && model.scales_inputs() {
            return Err(Failure::Failed(format!(
                "{} has pixels from 0 to 1, as all IDX files are read; the model was trained on an array and scales its numbers by mean and \
                 deviation: give it such an array",
                self.path().display()
            )));
        }
        match self.image()? {
            Some(found) if found != [height, width, channels] => Err(Failure::Failed(format!(
                "{} has images of {} x {} x {}; the model takes {height} x {width} x {channels}",
                self.path().display(),
                found[0],
                found[1],
                found[2]
            ))),
            _ => Ok(()),
        }
    }

    /// Says so if an array has pixels from 0 to 255 and the model may have seen them from 0 to 1.
    pub fn note_pixels(&self, model: &Model, rows: &Dataset) {
        let is_plain = model.input_shape().len() == 3 && !model.scales_inputs();
        let largest = rows.features.iter().fold(0.0_f32, |largest, pixel| largest.max(*pixel));
        if is_plain && !self.is_images() && largest > 2.0 {
            output::note(&format!(
                "note: {} has numbers up to {largest}, and the model does not scale them: one trained on IDX files takes pixels from 0 to 1",
                self.path().display()
            ));
        }
    }

    /// Rejects rows to test on that are shaped otherwise than those of this source: columns are
    /// found by their number, so that a part of each larger image would be taken.
    fn check_beside(&self, path: &Path, rows: &Dataset, columns: usize) -> Outcome {
        let refused = |found: String, allowed: String| {
            Err(Failure::Failed(format!(
                "--test: {} has {found}; --data has {allowed}",
                path.display()
            )))
        };
        let images = [self.beside(path).image()?, self.image()?];
        if let [Some(found), Some(own)] = images
            && found != own
        {
            return refused(format!("images of {found:?}"), format!("images of {own:?}"));
        }
        let found = rows.features.ncols();
        if !data::is_svmlight(path) && found != columns {
            return refused(format!("{found} numbers in a row"), columns.to_string());
        }
        Ok(())
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
        prepare::read_for(self, model, Wanted::All)
    }

    /// The rows with known targets, encoded for a saved model.
    pub fn answered_for(&self, model: &Model) -> Outcome<Rows> {
        prepare::read_for(self, model, Wanted::Answered)
    }

    /// The rows of another path that a saved model was trained on, read with the same options.
    pub fn trained_for(&self, path: &Path, model: &Model) -> Outcome<Rows> {
        prepare::read_for(&self.beside(path), model, Wanted::Training)
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
