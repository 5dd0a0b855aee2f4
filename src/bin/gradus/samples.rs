//! What `train` and `predict` read: the data, and what its targets ask of a model.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gradus::data::{self, Dataset, ReadOptions, Split, Target};
use gradus::losses::{CATALOGUE, Domain, Loss};
use gradus::{Error, Model, Targets};
use ndarray::{Array1, Array2};
use serde_json::{Value, json};

use crate::numbers;
use crate::output::{self, Failure, Outcome};

/// Where the rows are.
#[derive(Args, Clone)]
pub struct Source {
    /// A folder of IDX files with MNIST's names, a CSV table, .npy, .npz, or SVMlight's lines (.svm, or what begins so)
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// The target's column in a table: its name, or its index where there is no header
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
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

impl Source {
    pub fn read(&self) -> Outcome<Split> {
        self.read_as("--data")
    }

    fn options(&self) -> ReadOptions {
        let (target, targets, groups) = (self.target.clone(), self.targets.clone(), self.groups.clone());
        let features = self.features.map(NonZeroUsize::get);
        ReadOptions { target, targets, groups, features, zero_based: self.zero_based }
    }

    /// The files that are read, with the flag that names them.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        data::sources(&self.data, &self.options()).into_iter().map(|path| ("--data", path)).collect()
    }

    fn read_as(&self, flag: &str) -> Outcome<Split> {
        data::read(&self.data, &self.options()).map_err(|error| {
            let flag = self.flag_of(&error, flag);
            Failure::from(error).of(&flag)
        })
    }

    /// The flag that an error is about; `own` is that of the file itself.
    fn flag_of(&self, error: &Error, own: &str) -> String {
        match error {
            Error::Unknown { kind, .. } if kind.starts_with("column of ") => "--target".into(),
            Error::Option { owner, name, .. } if owner == "data" => format!("--{}", name.replace('_', "-")),
            Error::Io { path, .. } | Error::Data { path, .. } if self.targets.as_ref() == Some(path) => {
                "--targets".into()
            }
            Error::Io { path, .. } | Error::Data { path, .. } if self.groups.as_ref() == Some(path) => {
                "--groups".into()
            }
            _ => own.into(),
        }
    }

    /// The target's column, where one is named.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// What is read and how.
    pub fn as_json(&self) -> Value {
        json!({
            "path": output::path(&self.data), "target": self.target,
            "targets": self.targets.as_deref().map(output::path), "groups": self.groups.as_deref().map(output::path),
            "features": self.features, "zero_based": self.zero_based,
        })
    }

    /// Reads rows of another file with the columns of those that were read from this one.
    pub fn read_beside(&self, path: &Path, known: &Dataset) -> Outcome<Dataset> {
        let mut source = Source { data: path.into(), targets: None, groups: None, ..self.clone() };
        if data::is_svmlight(path) {
            source.count_as(&known.feature_names, known.features.ncols());
        }
        arrange(source.read_as("--test")?.train, &known.feature_names)
    }

    /// Takes the indices of a file for those of features that were named before: it may have fewer of them, and none of 0.
    fn count_as(&mut self, names: &[String], features: usize) {
        self.features = self.features.or(NonZeroUsize::new(features));
        self.zero_based = self.zero_based.or(names.first().map(|name| name == "0"));
    }

    /// Reads what a saved model asks for: its own target's column unless another is named, its features by name.
    pub fn read_for(&self, model: &Model) -> Outcome<Split> {
        let names = model.names();
        let mut source = self.clone();
        if source.target.is_none() && !self.is_images() {
            source.target.clone_from(&names.target);
        }
        if data::is_svmlight(&self.data) {
            source.count_as(&names.features, model.inputs());
        }
        let split = match source.read() {
            // Rows to be predicted need not have the target.
            Err(_) if self.target.is_none() && source.target.is_some() => self.read()?,
            other => other?,
        };
        if names.features.is_empty() || self.is_images() {
            return Ok(split);
        }
        let arranged = |dataset: Dataset| arrange(dataset, &names.features);
        Ok(Split { train: arranged(split.train)?, test: split.test.map(arranged).transpose()? })
    }

    /// The names that are saved with a model trained on this.
    pub fn names(&self, dataset: &Dataset) -> (Vec<String>, Vec<String>, Option<String>) {
        let classes = match &dataset.target {
            Target::Labels { classes, .. } => classes.clone(),
            _ => Vec::new(),
        };
        (dataset.feature_names.clone(), classes, self.target.clone())
    }

    /// Images are scaled where they are read and lie in an order of their own; tables are neither scaled nor shuffled.
    pub fn is_images(&self) -> bool {
        Path::new(&self.data).is_dir()
    }
}

/// The columns that a model was trained on, in its order.
fn arrange(mut dataset: Dataset, names: &[String]) -> Outcome<Dataset> {
    if dataset.feature_names == names || dataset.feature_names.is_empty() {
        return Ok(dataset);
    }
    let place = |name: &String| {
        dataset.feature_names.iter().position(|found| found == name).ok_or_else(|| {
            let found = dataset.feature_names.join(", ");
            Failure::Failed(format!("the model wants a column `{name}`; the data has {found}"))
        })
    };
    let order = names.iter().map(place).collect::<Outcome<Vec<usize>>>()?;
    dataset.features = dataset.features.select(ndarray::Axis(1), &order);
    dataset.feature_names = names.to_vec();
    Ok(dataset)
}

/// The labels of a data set in a model's own numbers: its classes may stand in another order, or be fewer.
pub fn labels_for(model: &Model, dataset: &Dataset) -> Outcome<Array1<i64>> {
    let names = &model.names().classes;
    let Target::Labels { labels, classes } = &dataset.target else {
        return Ok(dataset.labels()?);
    };
    if names.is_empty() || names == classes {
        return Ok(labels.clone());
    }
    let number = |class: &String| names.iter().position(|name| name == class).map(|label| label as i64);
    let numbers: Vec<Option<i64>> = classes.iter().map(number).collect();
    let label = |&label: &i64| {
        let index = usize::try_from(label).unwrap_or(usize::MAX);
        numbers.get(index).copied().flatten().ok_or_else(|| {
            let class = classes.get(index).map_or("?", String::as_str);
            Failure::Failed(format!("the data has the class `{class}`; the model knows {}", names.join(", ")))
        })
    };
    labels.iter().map(label).collect()
}

/// Targets as a loss takes them.
pub enum Truth {
    /// A class for each row.
    Labels(Array1<i64>),
    /// Numbers for each row.
    Values(Array2<f32>),
    /// The relevance of each row, and how many rows each query has.
    Grouped(Array2<f32>, Vec<usize>),
}

/// Classes that are named where a decision is told.
const SHOWN: usize = 5;

/// So many classes are no surprise, however few the rows.
const MANY: usize = 20;

/// Whether text is a number with something about it: a decimal comma, separators of thousands, a unit before or behind it.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_matches(|letter: char| !letter.is_ascii_digit());
    let units = text.chars().count() - number.chars().count();
    let is_number =
        !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit() || " .,'_eE+-".contains(letter));
    let is_priced = text.contains(['$', '€', '£', '%']);
    // `class 1` is a name; `1.5 kg`, `1,5` and `$ 1` are quantities.
    is_number && (units == 0 || is_priced || number.contains([',', '.']))
}

/// What the targets of a data set ask of a model's last layer.
pub struct Task {
    /// Units of the last layer: one for each class, or one for each number.
    pub outputs: usize,
    /// The activation of the last layer.
    pub activation: &'static str,
    /// Whether rows are ordered, those of each query.
    pub ranks: bool,
    classes: bool,
}

impl Task {
    /// What a loss makes of the targets: numbers for a regression loss, classes otherwise.
    pub fn of(loss: &dyn Loss, dataset: &Dataset) -> Outcome<Self> {
        let name = loss.name();
        // A loss fused with the last layer asks of its outputs what the loss inside asks.
        let loss =
            loss.inner().filter(|inner| matches!(inner.targets(), Domain::Class | Domain::Label)).unwrap_or(loss);
        let regresses = matches!(loss.targets(), Domain::Real | Domain::Positive | Domain::NonNegative)
            && matches!(loss.predictions(), Domain::Real | Domain::Exponent);
        match (loss.targets(), &dataset.target) {
            (_, Target::None) => Err(Failure::Failed(
                "the data has no targets; name the column with --target (a table) or the file with --targets (.npy)"
                    .into(),
            )),
            _ if loss.targets().pads() => match (&dataset.groups, dataset.values()?.ncols()) {
                (Some(_), 1) => Ok(Task { outputs: 1, activation: "identity", ranks: true, classes: false }),
                (None, _) => Err(Failure::Failed(format!(
                    "{name} orders the rows of queries and the data says none: take SVMlight's lines (.svm) with qid:, with a \
                     file of the same name and .query behind it, or with --groups"
                ))),
                (_, columns) => {
                    Err(Failure::Failed(format!("{name} takes one number for each row; the targets have {columns}")))
                }
            },
            (_, Target::Values(values)) if regresses => {
                Ok(Task { outputs: values.ncols(), activation: "identity", ranks: false, classes: false })
            }
            // Squared and absolute errors want numbers between 0 and 1 for a class, not logits.
            (Domain::Real, _) if regresses => {
                Ok(Task { outputs: classes(name, dataset)?, activation: "softmax", ranks: false, classes: true })
            }
            (Domain::Class | Domain::Label | Domain::Sign | Domain::ZeroOne | Domain::Probability, _) => {
                let activation = if loss.predictions() == Domain::Probability { "sigmoid" } else { "identity" };
                Ok(Task { outputs: classes(name, dataset)?, activation, ranks: false, classes: true })
            }
            _ => Err(Failure::Usage(format!(
                "{name}: `train` cannot give it the distributions it compares; allowed: {}",
                trainable().join(", ")
            ))),
        }
    }

    /// What the model predicts.
    pub fn predicts(&self) -> &'static str {
        match (self.ranks, self.classes) {
            (true, _) => "scores",
            (_, true) => "classes",
            _ => "numbers",
        }
    }

    /// What the targets are taken for, in words.
    pub fn decided(&self, dataset: &Dataset, column: Option<&str>) -> String {
        let target = column.map_or("targets".into(), |column| format!("target `{column}`"));
        let count = self.outputs;
        match self.predicts() {
            "classes" => {
                let names = dataset.classes().unwrap_or_default();
                let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if names.len() > SHOWN { ", …" } else { "" };
                let last = if self.activation == "identity" { "logits" } else { self.activation };
                format!("{target}: {count} classes ({shown}{more}), {last}")
            }
            "scores" => format!("{target}: the relevance of each row, one score each"),
            _ => format!("{target}: numbers, {count} output{}", if count == 1 { "" } else { "s" }),
        }
    }

    /// That classes were made of a target that looks like a quantity, and how to have it otherwise; none where nothing is odd.
    pub fn doubt(&self, dataset: &Dataset, column: Option<&str>) -> Option<String> {
        let names = if self.classes { dataset.classes().ok()? } else { return None };
        let target = column.map_or("the target".into(), |column| format!("--target {column}"));
        let many = names.len() > MANY.max(dataset.rows() / 2);
        if !matches!(dataset.target, Target::Labels { .. }) {
            return many.then(|| {
                format!(
                    "{target} is taken for {} classes, numbered from 0, in the {} rows to train on; to predict it as a number take a loss of numbers \
                     (--loss mse, --loss huber)",
                    names.len(),
                    dataset.rows()
                )
            });
        }
        // Only text of a table can be a quantity in disguise: labels of IDX files are classes.
        column?;
        let quantities = names.iter().filter(|name| is_quantity(name)).count();
        let example = names.iter().find(|name| name.parse::<f32>().is_err()).or(names.first())?;
        (many || 2 * quantities > names.len()).then(|| {
            format!(
                "{target} is taken for {} classes in the {} rows to train on, since it holds text such as `{example}`; to predict it as a number \
                 write plain numbers with a decimal point and take a loss of numbers (--loss mse, --loss huber)",
                names.len(),
                dataset.rows()
            )
        })
    }

    /// The targets as the loss takes them.
    pub fn truth(&self, dataset: &Dataset) -> Outcome<Truth> {
        Ok(match &dataset.groups {
            Some(groups) if self.ranks => Truth::Grouped(dataset.values()?, groups.clone()),
            _ if self.classes => Truth::Labels(dataset.labels()?),
            _ => Truth::Values(dataset.values()?),
        })
    }
}

impl Truth {
    /// For `fit` and `evaluate`.
    pub fn targets(&self) -> Targets<'_> {
        match self {
            Truth::Labels(labels) => labels.into(),
            Truth::Values(values) => values.into(),
            Truth::Grouped(relevance, groups) => Targets::grouped(relevance, groups),
        }
    }
}

fn classes(loss: &str, dataset: &Dataset) -> Outcome<usize> {
    let classes = dataset.classes().map_err(|error| {
        let advice = "for numbers take a loss of numbers, such as --loss mse or --loss huber";
        Failure::Failed(format!("{loss} takes classes here; {error}; {advice}"))
    })?;
    let classes = classes.len();
    if classes < 2 {
        return Err(Failure::Failed(format!("the targets hold {classes} class; a class loss needs at least 2")));
    }
    Ok(classes)
}

/// The losses that take labels or numbers.
fn trainable() -> Vec<&'static str> {
    let fits = |loss: &dyn Loss| {
        let is_open = matches!(loss.predictions(), Domain::Real | Domain::Exponent | Domain::Probability);
        let is_class = !matches!(loss.targets(), Domain::Distribution | Domain::LogDistribution | Domain::Logits);
        is_open && is_class && loss.arguments().is_empty()
    };
    let losses = CATALOGUE.iter().filter_map(|entry| (entry.make)(&Value::Null).ok());
    losses.filter(|loss| fits(&**loss)).map(|loss| loss.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_told_from_a_name() {
        for text in ["1,5", "1.5", "$ 300", "12 %", "1.234,50 €", "2.5 kg", "-3,25", "1e5", "17"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["setosa", "class 1", "", "n/a", "A4", "3rd", "12 to 14"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
