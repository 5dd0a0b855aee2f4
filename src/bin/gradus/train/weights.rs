//! `--class-weight`, `--sample-weight` and `--pos-weight`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;
use gradus::data::{Dataset, Header, Table, TableOptions, Target};
use gradus::losses::LossDefinition;
use gradus::{ClassWeight, Fit, Model};
use serde_json::{Value, json};

use crate::numbers;
use crate::output::{self, Failure, Outcome};
use crate::samples::Prepared;

/// Weights of rows and classes.
#[derive(Args)]
pub struct WeightOptions {
    /// Class weights: `balanced`, so that all classes count equally, or a CSV file of classes and
    /// weights; `none` removes them with --resume
    #[arg(long, value_name = "balanced|FILE", value_parser = class_weight, conflicts_with = "text")]
    class_weight: Option<ClassWeights>,
    /// The column of a table with the weight of each row; it is not a feature
    #[arg(long, value_name = "COLUMN", conflicts_with = "text")]
    pub sample_weight: Option<String>,
    /// Weight of the positive side, the second of two classes, or of each label (4,1,2); for
    /// bce_with_logits and multilabel_soft_margin
    #[arg(long, value_name = "WEIGHT", conflicts_with_all = ["class_weight", "text"], value_delimiter = ',', value_parser = numbers::not_negative, allow_negative_numbers = true)]
    pos_weight: Option<Vec<f64>>,
    /// Content of the --class-weight file: it may be a pipe, which can be read only once.
    #[arg(skip)]
    read: OnceLock<Vec<f64>>,
}

/// The requested class weights.
#[derive(Clone, Debug)]
enum ClassWeights {
    /// No weights; removes those of a saved training run.
    None,
    Balanced,
    File(PathBuf),
}

fn class_weight(text: &str) -> Result<ClassWeights, String> {
    match text {
        "" => Err("it must be `balanced` or a file".into()),
        "balanced" => Ok(ClassWeights::Balanced),
        "none" => Ok(ClassWeights::None),
        path => Ok(ClassWeights::File(path.into())),
    }
}

impl WeightOptions {
    /// The input file.
    pub fn file(&self) -> Option<(&'static str, PathBuf)> {
        match &self.class_weight {
            Some(ClassWeights::File(path)) => Some(("--class-weight", path.clone())),
            _ => None,
        }
    }

    /// Checks that the weights apply to the targets, before a device is opened.
    pub fn check(&self, parts: &Prepared, loss: &dyn LossDefinition) -> Outcome {
        let refused = |flag: &str, why: &str| {
            Err(Failure::Failed(format!("{flag}: {}: {why}; leave it out", loss.name())))
        };
        let asks = (
            matches!(self.class_weight, Some(ClassWeights::Balanced | ClassWeights::File(_))),
            self.pos_weight.is_some(),
        );
        if parts.train.groups.is_some()
            && loss.targets().pads()
            && (asks.0 || asks.1 || self.sample_weight.is_some())
        {
            let flags =
                [("--class-weight", asks.0), ("--pos-weight", asks.1), ("--sample-weight", true)];
            let flag = flags.iter().find(|(_, is_asked)| *is_asked).map_or("", |(flag, _)| flag);
            return refused(flag, "a loss of lists weighs the items of a list against each other");
        }
        if asks.0 && !matches!(parts.train.target, Target::Labels { .. }) {
            let why = match self.takes_pos_weight(loss) {
                true => {
                    "a row may have several labels and is of no one class; --pos-weight weighs each label"
                }
                false => "the targets are numbers and no classes",
            };
            return refused("--class-weight", why);
        }
        if asks.1 && !self.takes_pos_weight(loss) {
            return refused(
                "--pos-weight",
                "it has no positive side; bce_with_logits and multilabel_soft_margin have, and --class-weight weighs the classes of any other",
            );
        }
        self.of_classes(parts).map(|_| ())
    }

    fn takes_pos_weight(&self, loss: &dyn LossDefinition) -> bool {
        loss.inputs().iter().any(|input| input.name == "pos_weight")
    }

    /// The class weights.
    fn of_classes(&self, parts: &Prepared) -> Outcome<Option<ClassWeight>> {
        Ok(match &self.class_weight {
            None | Some(ClassWeights::None) => None,
            Some(ClassWeights::Balanced) => Some(ClassWeight::Balanced),
            Some(ClassWeights::File(path)) => {
                let weights = match self.read.get() {
                    Some(weights) => weights.clone(),
                    None => of_file(path, &parts.train)
                        .map_err(|failure| failure.of("--class-weight"))?,
                };
                Some(ClassWeight::Each(self.read.get_or_init(|| weights).clone()))
            }
        })
    }

    /// Adds the requested weights, on top of those of a resumed training run.
    pub fn add_to(
        &self,
        mut fit: Fit,
        parts: &Prepared,
        loss: Option<&dyn LossDefinition>,
    ) -> Outcome<Fit> {
        if matches!(self.class_weight, Some(ClassWeights::None)) {
            fit = fit.clear_class_weight();
        }
        if let Some(weights) = self.of_classes(parts)? {
            fit = fit.class_weight(weights);
        }
        if let Some(weights) = &parts.train_weights {
            fit = fit.sample_weight(weights);
        }
        if let Some(weights) = &parts.validation_weights {
            fit = fit.validation_weight(weights);
        }
        let is_of_two =
            matches!(&parts.train.target, Target::Labels { classes, .. } if classes.len() == 2);
        Ok(match self.pos_weight.as_deref() {
            // Of two classes the second is the positive one, and each has its own output: the
            // weight becomes that of its rows.
            Some(&[weight])
                if is_of_two && loss.is_some_and(|loss| self.takes_pos_weight(loss)) =>
            {
                fit.class_weight(ClassWeight::Each(vec![1.0, weight]))
            }
            Some(weights) => fit.pos_weight(weights.to_vec()),
            None => fit,
        })
    }

    /// True if rows or classes have weights, whether requested or saved.
    pub fn is_weighed(&self, model: &Model) -> bool {
        !self.in_words(model).is_empty()
    }

    /// Description of the weights; empty if there are none.
    pub fn in_words(&self, model: &Model) -> Vec<String> {
        let saved = model.fit_to_resume();
        let classes = match (&self.class_weight, saved.as_ref().and_then(Fit::class_weights)) {
            (Some(ClassWeights::None), _) => None,
            (Some(ClassWeights::Balanced), _) | (None, Some(ClassWeight::Balanced)) => {
                Some("class weights balanced".to_string())
            }
            (Some(ClassWeights::File(path)), _) => {
                Some(format!("class weights of {}", path.display()))
            }
            (None, Some(ClassWeight::Each(weights))) => {
                Some(format!("class weights {}", joined(weights)))
            }
            (None, None) => None,
        };
        let rows = self.column(model).map(|column| format!("rows weighed by `{column}`"));
        let positive = self.pos_weight.as_deref().or(saved.as_ref().and_then(Fit::pos_weights));
        let positive = positive.map(|weights| format!("positive side weighed {}", joined(weights)));
        [classes, rows, positive].into_iter().flatten().collect()
    }

    /// The column of the row weights.
    fn column<'a>(&'a self, model: &'a Model) -> Option<&'a str> {
        self.sample_weight.as_deref().or_else(|| model.encoding()?.weight())
    }

    /// For the JSON document of settings.
    pub fn as_json(&self, model: &Model) -> [(&'static str, Value); 3] {
        let saved = model.fit_to_resume();
        let classes = match (&self.class_weight, saved.as_ref().and_then(Fit::class_weights)) {
            (Some(ClassWeights::None), _) | (None, None) => Value::Null,
            (Some(ClassWeights::File(path)), _) => output::path(path),
            (Some(ClassWeights::Balanced), _) | (None, Some(ClassWeight::Balanced)) => {
                json!("balanced")
            }
            (None, Some(ClassWeight::Each(weights))) => json!(weights),
        };
        let positive = self.pos_weight.as_deref().or(saved.as_ref().and_then(Fit::pos_weights));
        [
            ("class_weight", classes),
            ("sample_weight", json!(self.column(model))),
            ("pos_weight", json!(positive)),
        ]
    }
}

fn joined(weights: &[f64]) -> String {
    weights.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The weight of each class, in the order of the classes, from lines of a class and its weight.
fn of_file(path: &Path, rows: &Dataset) -> Outcome<Vec<f64>> {
    let Target::Labels { classes, .. } = &rows.target else { return Ok(Vec::new()) };
    let table = Table::read(path, &TableOptions { header: Header::No, ..TableOptions::default() })?;
    // Below the column's name the table reads a weight as text. With a field separator other than
    // the comma, a decimal comma is accepted.
    let number =
        |text: &str| text.parse().or_else(|_| text.replacen(',', ".", 1).parse::<f64>()).ok();
    let [names, weights] = table.columns() else {
        let found = table.columns().len();
        let message = format!(
            "{}: it has {found} columns; it must have two, a class and its weight",
            path.display()
        );
        return Err(Failure::Failed(message));
    };
    let mut found = vec![None; classes.len()];
    // The first line is a header if its second field is not a number: its first field may equal a
    // class name.
    let is_header = table.rows() > 1 && weights.text(0).is_none_or(|text| number(&text).is_none());
    for row in usize::from(is_header)..table.rows() {
        let name = names.text(row).unwrap_or_default();
        let failed = |what: String| {
            Failure::Failed(format!("{}, {}: {what}", path.display(), table.line_of(row)))
        };
        let Some(place) = classes.iter().position(|class| *class == name) else {
            return Err(failed(format!(
                "there is no class `{name}`; there are {}",
                classes.join(", ")
            )));
        };
        let weight = weights.number(row).or_else(|| number(&weights.text(row)?));
        let weight = weight.filter(|weight| *weight >= 0.0 && weight.is_finite());
        let Some(weight) = weight else {
            // A cell that reads as NaN has no text, nor has an empty one.
            let found =
                weights.text(row).map_or("missing, or NaN".into(), |text| format!("`{text}`"));
            return Err(failed(format!(
                "the weight of `{name}` is {found}; it must be a finite number >= 0"
            )));
        };
        if found[place].replace(weight).is_some() {
            return Err(failed(format!("the class `{name}` has two weights")));
        }
    }
    let weight = |(class, weight): (&String, Option<f64>)| {
        let message =
            || Failure::Failed(format!("{}: the class `{class}` has no weight", path.display()));
        weight.ok_or_else(message)
    };
    classes.iter().zip(found).map(weight).collect()
}
