//! From what a path holds to rows that a model takes: split, encoded, and the same way for every file that the model sees later.

use std::path::Path;

use gradus::data::{self, Dataset, Encoding, EncodingOptions, Split, Table, Target, TargetKind};
use gradus::{Error, HeldOut, Model};
use ndarray::Axis;

use super::{Raw, Source};
use crate::output::{self, Failure, Outcome};

/// What a training asks for.
pub struct Asked<'a> {
    /// What the loss takes its targets for.
    pub kind: TargetKind,
    /// The encoding of a model that goes on, with the features that it was trained on.
    pub known: Option<(&'a Encoding, &'a [String])>,
    /// Which rows are validated on.
    pub held_out: HeldOut,
    pub test: Option<&'a Path>,
    pub standardize: bool,
}

/// The rows of a training, encoded.
pub struct Prepared {
    pub train: Dataset,
    pub validation: Option<Dataset>,
    pub test: Option<Dataset>,
    pub encoding: Encoding,
}

impl Source {
    /// Reads, splits and encodes the rows of a training: the split from the seed, the classes from the whole file, everything else from the
    /// rows to train on.
    pub fn prepare(&self, asked: &Asked) -> Outcome<Prepared> {
        let wanted = asked.known.map(|(encoding, _)| encoding.wanted()).unwrap_or_default();
        match self.read(&wanted)? {
            Raw::Table(table) => self.prepare_table(&table, asked),
            Raw::Arrays(split) => self.prepare_arrays(split, asked),
        }
    }

    fn prepare_table(&self, table: &Table, asked: &Asked) -> Outcome<Prepared> {
        let options = self.encoding_options(table, asked)?;
        let rows = self.rows_with_targets(table, &options.targets)?;
        let (train, validation) = split_rows(rows.len(), asked)?;
        let of = |places: Vec<usize>| places.into_iter().map(|place| rows[place]).collect::<Vec<usize>>();
        let (train, validation) = (of(train), of(validation));
        let encoding = match asked.known {
            Some((encoding, _)) if encoding.takes_tables() => encoding.clone(),
            Some(_) => return Err(other_form("arrays", "a table", self.path())),
            None => Encoding::fit(table, &train, &options).map_err(|error| self.of_target(error))?,
        };
        let encoded =
            |rows: &[usize]| encoding.apply_rows(table, rows).map_err(|error| Failure::from(error).of("--data"));
        let test = asked.test.map(|path| self.test_rows(path, &encoding)).transpose()?;
        Ok(Prepared {
            train: encoded(&train)?,
            validation: if validation.is_empty() { None } else { Some(encoded(&validation)?) },
            test,
            encoding,
        })
    }

    /// The rows to test on, of a table.
    fn test_rows(&self, path: &Path, encoding: &Encoding) -> Outcome<Dataset> {
        let failed = |error: Error| Failure::from(error).of("--test");
        let Raw::Table(table) = self.read_beside(path, &encoding.wanted())? else {
            return Err(other_form("a table", "arrays", path));
        };
        encoding
            .surprises(&table)
            .map_err(failed)?
            .iter()
            .for_each(|told| output::note(&format!("note: --test: {told}")));
        for column in encoding.target().columns() {
            table.column(column).map_err(failed)?;
        }
        let rows = encoding.rows_with_target(&table);
        encoding.apply_rows(&table, &rows).map_err(failed)
    }

    fn encoding_options(&self, table: &Table, asked: &Asked) -> Outcome<EncodingOptions> {
        let targets = resolved(table, &self.target).map_err(|error| Failure::from(error).of("--target"))?;
        let mut left_out = resolved(table, &self.drop).map_err(|error| Failure::from(error).of("--drop"))?;
        let only = resolved(table, &self.columns).map_err(|error| Failure::from(error).of("--columns"))?;
        if !only.is_empty() {
            left_out = table.names().filter(|name| !only.iter().any(|kept| kept == name)).map(String::from).collect();
            left_out.retain(|name| !targets.contains(name));
        }
        Ok(EncodingOptions {
            targets,
            kind: asked.kind,
            standardize: asked.standardize,
            left_out,
            ..EncodingOptions::default()
        })
    }

    /// The rows that have all targets; that others are left out is told.
    fn rows_with_targets(&self, table: &Table, targets: &[String]) -> Outcome<Vec<usize>> {
        let columns: Vec<&data::Column> = targets.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?;
        let is_known = |row: &usize| !columns.iter().any(|column| column.is_blank(*row));
        let rows: Vec<usize> = (0..table.rows()).filter(is_known).collect();
        if rows.len() < table.rows() {
            let first = (0..table.rows()).find(|row| !is_known(row)).unwrap_or(0);
            output::note(&format!(
                "note: {} row(s) have no target and are left out, the first in {}",
                table.rows() - rows.len(),
                table.line_of(first)
            ));
        }
        Ok(rows)
    }

    fn of_target(&self, error: Error) -> Failure {
        Failure::from(error).of("--data")
    }

    fn prepare_arrays(&self, split: Split, asked: &Asked) -> Outcome<Prepared> {
        let known = asked.known.map_or(&split.train.feature_names[..], |(_, names)| names).to_vec();
        let test = match (asked.test, split.test) {
            (Some(path), _) => match self.read_beside(path, &known)? {
                Raw::Arrays(other) => Some(arrange(other.train, &known)?),
                Raw::Table(_) => return Err(other_form("arrays", "a table", path)),
            },
            (None, own) => own,
        };
        for dataset in [Some(&split.train), test.as_ref()].into_iter().flatten() {
            dataset.check_finite()?;
        }
        let all = if asked.known.is_some() { arrange(split.train, &known)? } else { split.train };
        // A file may be sorted by its target: its last rows would be no sample of it. Images lie mixed.
        let rows = if self.is_images() { all } else { all.shuffled(asked.held_out.seed)? };
        let (training, _) = parts(rows.rows(), asked.held_out.share);
        let encoding = match asked.known {
            Some((encoding, _)) => encoding.clone(),
            None => Encoding::of_arrays(&rows, &(0..training).collect::<Vec<_>>(), asked.kind)?,
        };
        let rows = encoding.apply_to_arrays(rows)?;
        let test = test.map(|rows| encoding.apply_to_arrays(rows)).transpose();
        let test = test.map_err(|error| Failure::from(error).of("--test"))?;
        let (train, validation) = if asked.held_out.share > 0.0 {
            let (train, validation) =
                rows.split(asked.held_out.share).map_err(|error| too_few(error, asked.held_out.share))?;
            (train, Some(validation))
        } else {
            (rows, None)
        };
        Ok(Prepared { train, validation, test, encoding })
    }
}

/// Columns by name. A name with commas that is no column may be several.
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

/// How many rows train and how many validate.
fn parts(rows: usize, validation: f64) -> (usize, usize) {
    let last = ((rows as f64 * validation).round() as usize).min(rows);
    (rows - last, last)
}

/// Places of the rows to train on and to validate on, by a seed and a share alone.
fn split_rows(count: usize, asked: &Asked) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let (training, last) = parts(count, asked.held_out.share);
    if asked.held_out.share > 0.0 && (last == 0 || training == 0) {
        let allowed = format!("in (0, 1) and leave rows in both parts; there are {count}");
        return Err(too_few(
            Error::Option { owner: "split".into(), name: "fraction".into(), found: String::new(), allowed },
            asked.held_out.share,
        ));
    }
    let mut train = data::shuffled_rows(count, asked.held_out.seed)?;
    let validation = train.split_off(training);
    Ok((train, validation))
}

/// A share that leaves one of the two parts nothing.
fn too_few(error: Error, validation: f64) -> Failure {
    match error {
        Error::Option { allowed, .. } => {
            Failure::Failed(format!("--validation is {validation}; it must be {allowed} (0 validates on nothing)"))
        }
        other => other.into(),
    }
}

fn other_form(trained: &str, found: &str, path: &Path) -> Failure {
    Failure::Failed(format!("{} holds {found}; the model is trained on {trained}", path.display()))
}

/// The columns that a model was trained on, in its order.
fn arrange(mut dataset: Dataset, names: &[String]) -> Outcome<Dataset> {
    if dataset.feature_names == names || dataset.feature_names.is_empty() || names.is_empty() {
        return Ok(dataset);
    }
    let place = |name: &String| {
        dataset.feature_names.iter().position(|found| found == name).ok_or_else(|| {
            let found = dataset.feature_names.join(", ");
            Failure::Failed(format!("the model wants a column `{name}`; the data has {found}"))
        })
    };
    let order = names.iter().map(place).collect::<Outcome<Vec<usize>>>()?;
    dataset.features = dataset.features.select(Axis(1), &order);
    dataset.feature_names = names.to_vec();
    Ok(dataset)
}

/// Rows for a saved model.
pub struct Rows {
    /// Features, and targets where the source has them and the model can take them.
    pub dataset: Dataset,
    pub encoding: Option<Encoding>,
    /// Why the rows have no targets though the source has some.
    pub no_targets: Option<String>,
}

/// Reads what a saved model asks for: its features by name, as they were encoded, and its targets if they are there.
pub fn read_for(source: &Source, model: &Model, answered: bool) -> Outcome<Rows> {
    let names = &model.names().features;
    let mut source = source.clone();
    let wanted = model.encoding().map_or_else(|| names.clone(), Encoding::wanted);
    if data::is_svmlight(source.path()) {
        source.count_as(names);
    }
    match (source.read(&wanted)?, model.encoding()) {
        (Raw::Table(table), Some(encoding)) if encoding.takes_tables() => of_table(&table, encoding, answered),
        (Raw::Table(table), encoding) => {
            let target = source.target.first().or(model.names().target.as_ref());
            let target = target.filter(|name| table.position(name).is_ok() || !source.target.is_empty());
            let dataset =
                table.to_dataset(target.map(String::as_str)).map_err(|error| Failure::from(error).of("--data"))?;
            of_arrays(arrange(dataset, names)?, encoding)
        }
        (Raw::Arrays(_), Some(encoding)) if encoding.takes_tables() => {
            Err(other_form("a table", "arrays", source.path()))
        }
        (Raw::Arrays(split), encoding) => {
            let rows = split.test.unwrap_or(split.train);
            rows.check_finite()?;
            let rows = if source.is_images() { rows } else { arrange(rows, names)? };
            of_arrays(rows, encoding)
        }
    }
}

fn of_table(table: &Table, encoding: &Encoding, answered: bool) -> Outcome<Rows> {
    let failed = |error: Error| Failure::from(error).of("--data");
    encoding.surprises(table).map_err(failed)?.iter().for_each(|told| output::note(&format!("note: {told}")));
    let all: Vec<usize> = (0..table.rows()).collect();
    let rows = if answered { encoding.rows_with_target(table) } else { all };
    if rows.len() < table.rows() {
        output::note(&format!("note: {} row(s) have no target and are left out", table.rows() - rows.len()));
    }
    let features = encoding.features(table, &rows).map_err(failed)?;
    let (target, no_targets) = match encoding.apply_rows(table, &rows) {
        Ok(dataset) => (dataset.target, None),
        Err(error) => (Target::None, Some(error.to_string())),
    };
    let mut dataset = Dataset::new(features, target)?;
    dataset.feature_names = encoding.names();
    Ok(Rows { dataset, encoding: Some(encoding.clone()), no_targets })
}

fn of_arrays(dataset: Dataset, encoding: Option<&Encoding>) -> Outcome<Rows> {
    let Some(encoding) = encoding else { return Ok(Rows { dataset, encoding: None, no_targets: None }) };
    let plain = Dataset { target: Target::None, ..dataset.clone() };
    let (dataset, no_targets) = match encoding.apply_to_arrays(dataset) {
        Ok(encoded) => (encoded, None),
        Err(error) => (plain, Some(error.to_string())),
    };
    Ok(Rows { dataset, encoding: Some(encoding.clone()), no_targets })
}
