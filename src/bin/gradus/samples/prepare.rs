//! Converts the content of a path to rows for a model: splits and encodes them, in the same way for
//! every later file.

use std::path::Path;

use gradus::data::{Dataset, Encoding, EncodingOptions, Split, Table, Target, TargetKind};
use gradus::{Error, Model, data};
use ndarray::{Array1, Axis};

use crate::output::{Failure, Outcome};
use crate::samples::prepared::{Asked, Prepared};
use crate::samples::source::{Known, Raw, Source};
use crate::{names, output};

impl Source {
    /// Reads, splits and encodes the rows of a training run: the split follows from the seed, the
    /// classes from the whole file, everything else from the training rows.
    pub fn prepare(&self, asked: &Asked) -> Outcome<Prepared> {
        let known = asked.known.map(Known::of_model).unwrap_or_default();
        if let Some(why) = self.why_in_pieces(asked, &known)? {
            return self.prepare_large(asked, &known, &why);
        }
        let raw = self.read(&known)?;
        let takes_weights = matches!(&raw, Raw::Table(_)) && asked.unencoded().is_none();
        if asked.sample_weight.is_some() && !takes_weights {
            let message = format!(
                "--sample-weight: {} does not take it: it names a column of a table",
                self.path().display()
            );
            return Err(Failure::Failed(message));
        }
        match raw {
            Raw::Table(table) => match asked.unencoded() {
                Some(model) => {
                    let train = self.plain(&table, model, "--data")?;
                    report_notes(&table);
                    self.prepare_arrays(Split { train, test: None }, asked)
                }
                None => self.prepare_table(&table, asked),
            },
            Raw::Arrays(split) => self.prepare_arrays(*split, asked),
        }
    }

    fn prepare_table(&self, table: &Table, asked: &Asked) -> Outcome<Prepared> {
        let known = asked.known.and_then(Model::encoding);
        if known.is_some_and(|encoding| !encoding.takes_tables()) {
            return Err(other_form("arrays", "a table", self.path()));
        }
        let options = self.encoding_options(table, asked)?;
        let rows = match known {
            Some(encoding) => {
                self.refuse_other_columns(table, &options, encoding)?;
                encoding.rows_with_target(table)
            }
            None => rows_with_targets(table, &options.targets)?,
        };
        report_left_out(table, &rows);
        let (train, validation) = split_rows(rows.len(), asked)?;
        let of = |places: Vec<usize>| {
            places.into_iter().map(|place| rows[place]).collect::<Vec<usize>>()
        };
        let (train, validation) = (of(train), of(validation));
        let column = asked.sample_weight.or_else(|| known?.weight());
        let weights = |rows: &[usize]| column.map(|name| weights(table, name, rows)).transpose();
        let train_weights = weights(&train)?;
        let validation_weights = if validation.is_empty() { None } else { weights(&validation)? };
        let encoding = match known {
            Some(encoding) => encoding.clone(),
            None => {
                // Rows of weight 0 do not affect means and medians.
                let counts = |place: usize| {
                    train_weights.as_ref().is_none_or(|weights| weights[place] > 0.0)
                };
                let counted: Vec<usize> = train
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| counts(*place))
                    .map(|(_, &row)| row)
                    .collect();
                if let (Some(name), true) = (column, counted.is_empty()) {
                    let message = format!(
                        "--sample-weight: column `{name}` is 0 in all rows that are trained on"
                    );
                    return Err(Failure::Failed(message));
                }
                Encoding::fit(table, &counted, &options).map_err(|error| self.of_target(error))?
            }
        };
        let encoded = |rows: &[usize]| {
            encoding
                .apply_rows(table, rows)
                .map_err(|error| lacking(error, &encoding, self.path()).of("--data"))
        };
        let test = asked.test.map(|path| self.test_rows(path, &encoding)).transpose()?;
        let (train, validation) = (
            encoded(&train)?,
            if validation.is_empty() { None } else { Some(encoded(&validation)?) },
        );
        report_notes(table);
        Ok(Prepared {
            train,
            validation,
            test,
            encoding,
            train_weights,
            validation_weights,
            large: None,
        })
    }

    /// The test rows of a table.
    pub(super) fn test_rows(&self, path: &Path, encoding: &Encoding) -> Outcome<Dataset> {
        let failed = |error: Error| lacking(error, encoding, path).of("--test");
        let Raw::Table(table) = self.read_beside(path, &Known::of_encoding(encoding))? else {
            return Err(other_form("a table", "arrays", path));
        };
        encoding
            .surprises(&table)
            .map_err(failed)?
            .iter()
            .for_each(|surprise| output::note(&format!("note: --test: {surprise}")));
        for column in encoding.target().columns() {
            table.column(column).map_err(failed)?;
        }
        let rows = encoding.rows_with_target(&table);
        encoding.apply_rows(&table, &rows).map_err(failed)
    }

    pub(super) fn encoding_options(
        &self,
        table: &Table,
        asked: &Asked,
    ) -> Outcome<EncodingOptions> {
        let targets =
            resolved(table, &self.target).map_err(|error| Failure::from(error).of("--target"))?;
        let mut left_out =
            resolved(table, &self.drop).map_err(|error| Failure::from(error).of("--drop"))?;
        if let Some(name) = left_out.iter().find(|name| targets.contains(name)) {
            return Err(Failure::Usage(format!("--drop: `{name}` is the target")));
        }
        let only =
            resolved(table, &self.columns).map_err(|error| Failure::from(error).of("--columns"))?;
        if !only.is_empty() {
            left_out = table
                .names()
                .filter(|name| !only.iter().any(|kept| kept == name))
                .map(String::from)
                .collect();
            left_out.retain(|name| !targets.contains(name));
        }
        if let Some(name) = asked.sample_weight {
            table.position(name).map_err(|error| Failure::from(error).of("--sample-weight"))?;
            if targets.iter().any(|target| target == name) {
                return Err(Failure::Usage(format!("--sample-weight: `{name}` is the target")));
            }
        }
        Ok(EncodingOptions {
            targets,
            kind: asked.kind,
            standardize: asked.standardize,
            left_out,
            weight: asked.sample_weight.map(String::from),
            ..EncodingOptions::default()
        })
    }

    /// Rejects columns other than those a saved model was trained on: it takes no others.
    pub(super) fn refuse_other_columns(
        &self,
        table: &Table,
        asked: &EncodingOptions,
        encoding: &Encoding,
    ) -> Outcome {
        if let Some(name) = asked.weight.as_deref().filter(|name| encoding.weight() != Some(name)) {
            let before = encoding.weight().map_or("without weights of rows".into(), |column| {
                format!("with those of `{column}`")
            });
            return Err(Failure::Usage(format!(
                "--sample-weight: the saved model was trained {before}, not with `{name}`; leave --sample-weight out: a model goes on with the \
                 weights that it has"
            )));
        }
        let targets = encoding.target().columns();
        for column in targets {
            table.column(column).map_err(|error| Failure::from(error).of("--data"))?;
        }
        let refuse = |flag: &str, found: String| {
            Err(Failure::Usage(format!(
                "{flag}: {found}; leave {flag} out: a model goes on with the columns that it has"
            )))
        };
        if !asked.targets.is_empty() && asked.targets != targets {
            let (asked, targets) = (asked.targets.join(", "), targets.join(", "));
            return refuse("--target", format!("the saved model predicts {targets}, not {asked}"));
        }
        let (flag, wanted) =
            (if self.drop.is_empty() { "--columns" } else { "--drop" }, encoding.wanted());
        if let Some(column) = asked.left_out.iter().find(|column| wanted.contains(column)) {
            return refuse(flag, format!("the saved model takes the column `{column}`"));
        }
        let known: Vec<String> =
            encoding.report().into_iter().map(|report| report.column).collect();
        let only =
            resolved(table, &self.columns).map_err(|error| Failure::from(error).of("--columns"))?;
        match only.iter().find(|column| !known.contains(column) && !targets.contains(column)) {
            Some(column) => refuse(
                "--columns",
                format!("the saved model was trained without the column `{column}`"),
            ),
            None => Ok(()),
        }
    }

    /// A table for a model without an encoding, e.g. from gradus 0.1.0 or from the library:
    /// unchanged numbers in the model's order.
    fn plain(&self, table: &Table, model: &Model, flag: &str) -> Outcome<Dataset> {
        let names = model.names();
        let target = self.target.first().or(names.target.as_ref());
        let target = target.filter(|name| table.position(name).is_ok() || !self.target.is_empty());
        let dataset = table
            .to_dataset(target.map(String::as_str))
            .map_err(|error| Failure::from(error).of(flag))?;
        arrange(dataset, &names.features)
    }

    fn of_target(&self, error: Error) -> Failure {
        Failure::from(error).of("--data")
    }

    fn prepare_arrays(&self, split: Split, asked: &Asked) -> Outcome<Prepared> {
        if let Some(model) = asked.known {
            self.check_images(model)?;
        }
        let own = || Known { names: split.train.feature_names.clone(), are_indices: false };
        let known = asked.known.map_or_else(own, Known::of_model);
        let test = match (asked.test, split.test) {
            (Some(path), _) => match (self.read_beside(path, &known)?, asked.unencoded()) {
                (Raw::Arrays(other), _) => {
                    self.check_beside(path, &other.train, known.names.len())?;
                    Some(arrange(other.train, &known.names)?)
                }
                (Raw::Table(table), Some(model)) => Some(self.plain(&table, model, "--test")?),
                (Raw::Table(_), None) => return Err(other_form("arrays", "a table", path)),
            },
            (None, own) => own,
        };
        for dataset in [Some(&split.train), test.as_ref()].into_iter().flatten() {
            dataset.check_finite()?;
        }
        let all =
            if asked.known.is_some() { arrange(split.train, &known.names)? } else { split.train };
        let all =
            if self.is_images() || !asked.kind.is_numbers() { all } else { with_numbers(all) };
        // A file may be sorted by its target, so that its last rows would not be a random sample.
        // Images are already mixed.
        let rows = if self.is_images() { all } else { all.shuffled(asked.held_out.seed)? };
        let share = asked.held_out.share;
        let parts = (share > 0.0)
            .then(|| rows.split(share).map_err(|error| too_few(error, share)))
            .transpose()?;
        let encoding = match asked.known {
            Some(model) => model.encoding().cloned().map_or_else(nothing, Ok)?,
            None => {
                // Queries are held out whole, so the number of training rows is not a fixed
                // fraction of all.
                let training = parts.as_ref().map_or(rows.rows(), |(train, _)| train.rows());
                Encoding::of_arrays(&rows, &(0..training).collect::<Vec<_>>(), asked.kind)?
            }
        };
        let (train, validation) = match parts {
            Some((train, validation)) => (train, Some(validation)),
            None => (rows, None),
        };
        let encoded = |rows: Dataset| match asked.unencoded() {
            Some(model) => relabeled(rows, &model.names().classes).map_err(Failure::Failed),
            None => Ok(encoding.apply_to_arrays(rows)?),
        };
        let test = test.map(encoded).transpose().map_err(|failure| failure.of("--test"))?;
        let (train, validation) = (encoded(train)?, validation.map(encoded).transpose()?);
        Ok(Prepared {
            train,
            validation,
            test,
            encoding,
            train_weights: None,
            validation_weights: None,
            large: None,
        })
    }
}

/// Whole numbers of an array are quantities for a regression loss, as in a table: counts, years.
/// Names remain classes.
fn with_numbers(mut dataset: Dataset) -> Dataset {
    if let Target::Labels { labels, classes } = &dataset.target
        && classes.iter().enumerate().all(|(class, name)| *name == class.to_string())
    {
        dataset.target = Target::Values(labels.mapv(|label| label as f32).insert_axis(Axis(1)));
    }
    dataset
}

/// The identity encoding.
fn nothing() -> Result<Encoding, Error> {
    let none = Dataset::new(ndarray::Array2::zeros((0, 0)), Target::None)?;
    Encoding::of_arrays(&none, &[], TargetKind::Numbers)
}

/// The rows that have all targets.
fn rows_with_targets(table: &Table, targets: &[String]) -> Outcome<Vec<usize>> {
    let columns: Vec<&data::Column> =
        targets.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?;
    Ok((0..table.rows())
        .filter(|&row| !columns.iter().any(|column| column.is_blank(row)))
        .collect())
}

/// Row weights from a column of the table.
fn weights(table: &Table, name: &str, rows: &[usize]) -> Outcome<Array1<f64>> {
    let column = table.column(name).map_err(|error| Failure::from(error).of("--sample-weight"))?;
    // Among words a number is valid text: the error is the first word.
    let is_word = |row: &usize| column.text(*row).is_some_and(|text| text.parse::<f64>().is_err());
    if let (data::Cells::Words { .. }, Some(row)) =
        (column.cells(), (0..table.rows()).find(is_word))
    {
        let (line, found) = (table.line_of(row), column.text(row).unwrap_or_default());
        let message = format!(
            "--sample-weight: {line}, column `{name}` is `{found}`; it must be a finite number >= 0"
        );
        return Err(Failure::Failed(message));
    }
    let weight = |&row: &usize| {
        column.number(row).filter(|weight| *weight >= 0.0 && weight.is_finite()).ok_or_else(|| {
            let (line, found) = (table.line_of(row), column.text(row).unwrap_or_default());
            let found = if found.is_empty() { "blank".into() } else { format!("`{found}`") };
            let message =
                format!("--sample-weight: {line}, column `{name}` is {found}; it must be a finite number >= 0");
            Failure::Failed(message)
        })
    };
    rows.iter().map(weight).collect()
}

/// Notes the rows left out for lack of a target.
fn report_left_out(table: &Table, rows: &[usize]) {
    if rows.len() < table.rows() {
        let first = rows
            .iter()
            .enumerate()
            .find(|(place, row)| place != *row)
            .map_or(rows.len(), |(place, _)| place);
        output::note(&format!(
            "note: {} row(s) have no target and are left out, the first in {}",
            table.rows() - rows.len(),
            table.line_of(first)
        ));
    }
}

/// Renumbers labels by the classes of a model: another file may lack a class, and so number the
/// others differently.
fn relabeled(mut dataset: Dataset, classes: &[String]) -> Result<Dataset, String> {
    let Target::Labels { labels, classes: found } = &mut dataset.target else { return Ok(dataset) };
    if classes.is_empty() || found == classes {
        return Ok(dataset);
    }
    let place = |name: &String| {
        let place = classes.iter().position(|class| class == name);
        place.ok_or_else(|| {
            format!("the targets hold the class `{name}`; the model knows {}", classes.join(", "))
        })
    };
    let places = found.iter().map(place).collect::<Result<Vec<usize>, String>>()?;
    labels.mapv_inplace(|label| {
        usize::try_from(label).ok().and_then(|at| places.get(at)).map_or(label, |&at| at as i64)
    });
    *found = classes.to_vec();
    Ok(dataset)
}

/// Notes about the detected format of a file, printed only after a successful read so that an error
/// stays alone.
fn report_notes(table: &Table) {
    table
        .notes()
        .iter()
        .for_each(|note| output::note(&format!("note: {}: {note}", table.path().display())));
}

/// Resolves column names. A name with commas that matches no column may be a list of several.
fn resolved(table: &Table, names: &[String]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for name in names {
        let parts: Vec<&str> = name.split(',').collect();
        match table.position(name) {
            Err(_) if parts.len() > 1 && parts.iter().all(|part| table.position(part).is_ok()) => {
                found.extend(parts.into_iter().map(String::from));
            }
            outcome => found.push(outcome.map(|_| name.clone())?),
        }
    }
    Ok(found)
}

/// Numbers of training and of validation rows.
fn parts(rows: usize, validation: f64) -> (usize, usize) {
    let last = ((rows as f64 * validation).round() as usize).min(rows);
    (rows - last, last)
}

/// Indices of the training and of the validation rows, determined by seed and fraction alone.
fn split_rows(count: usize, asked: &Asked) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let (training, last) = parts(count, asked.held_out.share);
    if asked.held_out.share > 0.0 && (last == 0 || training == 0) {
        let allowed = format!("in (0, 1) and leave rows in both parts; there are {count}");
        return Err(too_few(
            Error::Option {
                owner: "split".into(),
                name: "fraction".into(),
                found: String::new(),
                allowed,
            },
            asked.held_out.share,
        ));
    }
    let mut train = data::shuffled_rows(count, asked.held_out.seed)?;
    let validation = train.split_off(training);
    Ok((train, validation))
}

/// Error for a fraction that leaves one side of the split empty.
pub(super) fn too_few(error: Error, validation: f64) -> Failure {
    match error {
        Error::Option { allowed, .. } => Failure::Failed(format!(
            "--validation is {validation}; it must be {allowed} (0 validates on nothing)"
        )),
        other => other.into(),
    }
}

pub(super) fn other_form(trained: &str, found: &str, path: &Path) -> Failure {
    Failure::Failed(format!("{} holds {found}; the model is trained on {trained}", path.display()))
}

/// Reorders the columns to those a model was trained on.
fn arrange(mut dataset: Dataset, names: &[String]) -> Outcome<Dataset> {
    if dataset.feature_names == names || dataset.feature_names.is_empty() || names.is_empty() {
        return Ok(dataset);
    }
    let place = |name: &String| {
        dataset.feature_names.iter().position(|found| found == name).ok_or_else(|| {
            let found = dataset.feature_names.join(", ");
            Failure::Failed(format!(
                "the model was trained with the column `{name}`, which the data lacks; its columns are {found}"
            ))
        })
    };
    let order = names.iter().map(place).collect::<Outcome<Vec<usize>>>()?;
    dataset.features = dataset.features.select(Axis(1), &order);
    dataset.feature_names = names.to_vec();
    Ok(dataset)
}

impl Source {
    /// Rejects options that a saved model has already fixed: ignoring one would measure something
    /// other than requested.
    fn refuse_other_than(&self, encoding: &Encoding) -> Outcome {
        let (asked, own) = (self.target.join(", "), encoding.target().columns().join(", "));
        if !asked.is_empty()
            && asked != own
            && self.target.join(",") != encoding.target().columns().join(",")
        {
            let message = format!(
                "--target: the saved model predicts {own}, not {asked}; leave --target out"
            );
            return Err(Failure::Usage(message));
        }
        for (flag, is_given) in
            [("--drop", !self.drop.is_empty()), ("--columns", !self.columns.is_empty())]
        {
            if is_given {
                let message = format!(
                    "{flag}: a saved model takes the columns that it was trained on; leave {flag} out"
                );
                return Err(Failure::Usage(message));
            }
        }
        Ok(())
    }
}

/// Rows for a saved model.
pub struct Rows {
    /// Features, and targets if the source has them and the model can take them.
    pub dataset: Dataset,
    pub encoding: Option<Encoding>,
    /// Reason for missing targets though the source has some.
    pub no_targets: Option<String>,
    /// The table that they are of, and its row of each of them.
    pub table: Option<(Table, Vec<usize>)>,
}

/// Rows that a saved model is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them, with targets or without.
    All,
    /// Those with targets.
    Answered,
    /// Those with targets; of a source with training and test rows the training rows.
    Training,
}

/// Reads the inputs of a saved model: its features by name, encoded as in training, and its targets
/// if present.
pub fn read_for(source: &Source, model: &Model, wanted: Wanted) -> Outcome<Rows> {
    let answered = wanted != Wanted::All;
    source.check_images(model)?;
    let names = &model.names().features;
    let mut source = source.clone();
    if data::is_svmlight(source.path()) {
        source.count_as(names);
    }
    match (source.read(&Known::of_model(model))?, model.encoding()) {
        (Raw::Table(table), Some(encoding)) if encoding.takes_tables() => {
            source.refuse_other_than(encoding)?;
            of_table(table, encoding, answered)
        }
        (Raw::Table(table), _) => of_arrays(source.plain(&table, model, "--data")?, model),
        (Raw::Arrays(_), Some(encoding)) if encoding.takes_tables() => {
            Err(other_form("a table", "arrays", source.path()))
        }
        (Raw::Arrays(split), _) => {
            let rows = match split.test {
                Some(test) if wanted != Wanted::Training => test,
                _ => split.train,
            };
            rows.check_finite()?;
            source.note_pixels(model, &rows);
            let rows = if source.is_images() { rows } else { arrange(rows, names)? };
            of_arrays(rows, model)
        }
    }
}

/// Rewords an error about a missing column that the model was trained with.
fn lacking(error: Error, encoding: &Encoding, path: &Path) -> Failure {
    match &error {
        Error::Unknown { kind, found, known }
            if kind.starts_with("column of ") && encoding.wanted().contains(found) =>
        {
            let names: Vec<&str> = known.split(", ").collect();
            let hint = names::did_you_mean(names::nearest(found, names.into_iter()));
            Failure::Failed(format!(
                "the model was trained with the column `{found}`, which {} lacks; {hint}its columns are {known}",
                path.display()
            ))
        }
        _ => error.into(),
    }
}

fn of_table(table: Table, encoding: &Encoding, answered: bool) -> Outcome<Rows> {
    let failed = |error: Error| lacking(error, encoding, table.path()).of("--data");
    encoding
        .surprises(&table)
        .map_err(failed)?
        .iter()
        .for_each(|surprise| output::note(&format!("note: {surprise}")));
    let all: Vec<usize> = (0..table.rows()).collect();
    let rows = if answered { encoding.rows_with_target(&table) } else { all };
    if rows.len() < table.rows() {
        output::note(&format!(
            "note: {} row(s) have no target and are left out",
            table.rows() - rows.len()
        ));
    }
    let features = encoding.features(&table, &rows).map_err(failed)?;
    let (target, no_targets) = match encoding.apply_rows(&table, &rows) {
        Ok(dataset) => (dataset.target, None),
        Err(error) => (Target::None, Some(error.to_string())),
    };
    let mut dataset = Dataset::new(features, target)?;
    dataset.feature_names = encoding.names();
    report_notes(&table);
    let (encoding, table) = (Some(encoding.clone()), Some((table, rows)));
    Ok(Rows { dataset, encoding, no_targets, table })
}

fn of_arrays(dataset: Dataset, model: &Model) -> Outcome<Rows> {
    let plain = Dataset { target: Target::None, ..dataset.clone() };
    let encoded = match model.encoding() {
        Some(encoding) => encoding.apply_to_arrays(dataset).map_err(|error| error.to_string()),
        None => relabeled(dataset, &model.names().classes),
    };
    let (dataset, no_targets) = match encoded {
        Ok(encoded) => (encoded, None),
        Err(reason) => (plain, Some(reason)),
    };
    Ok(Rows { dataset, encoding: model.encoding().cloned(), no_targets, table: None })
}
