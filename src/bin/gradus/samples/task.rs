//! Requirements that the targets of a data set place on a model.

use gradus::Targets;
use gradus::data::{Dataset, Target, TargetKind};
use gradus::losses::{CATALOGUE, Domain, LossDefinition};
use ndarray::{Array1, Array2};
use serde_json::Value;

use crate::output::{Failure, Outcome};

/// Targets in the format that a loss takes.
pub enum Truth {
    /// A class for each row.
    Labels(Array1<i64>),
    /// Numbers for each row.
    Values(Array2<f32>),
    /// The relevance of each row, and the number of rows of each query.
    Grouped(Array2<f32>, Vec<usize>),
}

/// Maximum number of classes listed in a report.
const SHOWN: usize = 5;

/// Up to this many classes are plausible, however few the rows.
const MANY: usize = 20;

/// True for a number with extra notation: a decimal comma, thousands separators, a unit before or
/// after it.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_matches(|letter: char| !letter.is_ascii_digit());
    let units = text.chars().count() - number.chars().count();
    let is_number = !number.is_empty()
        && number.chars().all(|letter| letter.is_ascii_digit() || " .,'_eE+-".contains(letter));
    let is_priced = text.contains(['$', '€', '£', '%']);
    // `class 1` is a name; `1.5 kg`, `1,5` and `$ 1` are quantities.
    is_number && (units == 0 || is_priced || number.contains([',', '.']))
}

/// Losses quadratic in the error: targets are standardized by mean and standard deviation. Twice
/// the error is four times the loss.
const SQUARED: [&str; 3] = ["mse", "expectile", "squared_epsilon_insensitive"];

/// Losses linear in the error: targets are standardized by the median. Twice the error is twice the
/// loss.
const LINEAR: [&str; 3] = ["mae", "quantile", "epsilon_insensitive"];

/// Losses quadratic in small errors and linear or slower in large ones: targets are standardized by
/// the median.
const MIXED: [&str; 6] = ["huber", "pseudo_huber", "smooth_l1", "log_cosh", "cauchy", "barron"];

/// Kind of target that a loss takes. Numbers are standardized only for losses of errors:
/// standardizing would change a loss that takes logarithms or ratios of the targets.
pub fn target_kind(loss: &dyn LossDefinition) -> TargetKind {
    let inside = loss.inner().unwrap_or(loss);
    match inside.targets() {
        targets if targets.pads() => TargetKind::Numbers,
        _ if SQUARED.contains(&loss.name()) => TargetKind::Standardized,
        _ if LINEAR.contains(&loss.name()) || MIXED.contains(&loss.name()) => {
            TargetKind::MedianStandardized
        }
        Domain::Real | Domain::Positive | Domain::NonNegative => TargetKind::Numbers,
        Domain::Sign => TargetKind::Signs,
        Domain::ZeroOne | Domain::Probability => TargetKind::Flags,
        _ => TargetKind::Classes,
    }
}

/// Factor from a loss of standardized targets to the loss in the targets' own unit; `unit` is the
/// size of one encoded unit. None if there is no single factor: a loss with a threshold, e.g.
/// huber, is reported for the standardized targets.
pub fn loss_in_unit(loss: &dyn LossDefinition, unit: f64) -> Option<f64> {
    let no_margin = loss.options().get("epsilon").and_then(Value::as_f64).unwrap_or(0.0) == 0.0;
    match loss.name() {
        name if SQUARED.contains(&name) && no_margin => Some(unit * unit),
        name if LINEAR.contains(&name) && no_margin => Some(unit),
        _ => None,
    }
}

/// Reason why no file can provide a loss's inputs, with alternatives; none for losses that train on
/// labels, numbers or lists.
pub fn unfit(loss: &dyn LossDefinition) -> Option<String> {
    let (name, arguments) = (loss.name(), loss.arguments());
    if loss.inner().is_some_and(|inner| matches!(inner.targets(), Domain::Class | Domain::Label)) {
        return None;
    }
    let is_distribution =
        matches!(loss.targets(), Domain::Distribution | Domain::LogDistribution | Domain::Logits);
    let why = match (is_distribution, arguments) {
        (true, _) => "compares distributions, and a row has a class or numbers".to_string(),
        (_, []) => return None,
        (_, arguments) => {
            let names = || arguments.iter().map(|argument| argument.name);
            let further: Vec<&str> =
                names().filter(|name| !["predictions", "targets"].contains(name)).collect();
            let beside = if names().any(|name| name == "predictions") {
                " beside predictions and targets"
            } else {
                ""
            };
            match further.is_empty() {
                true => "takes the regions of whole images, which no file gives".to_string(),
                false => format!("takes {}{beside}, which no file gives", further.join(", ")),
            }
        }
    };
    Some(format!(
        "{name} {why}; allowed: cross_entropy for classes, mse or huber for numbers, lambda_rank for queries; the library takes all inputs by \
         their names (`Loss::on`)"
    ))
}

/// Requirements that the targets of a data set place on a model's last layer.
pub struct Task {
    /// Units of the last layer: one per class, or one per number.
    pub outputs: usize,
    /// Activation of the last layer.
    pub activation: &'static str,
    /// True if the model ranks the rows of each query.
    pub ranks: bool,
    classes: bool,
    /// Each output is an independent binary label.
    labels: bool,
}

impl Task {
    /// Derives the task from the loss: numbers for a regression loss, classes otherwise.
    pub fn of(loss: &dyn LossDefinition, dataset: &Dataset) -> Outcome<Self> {
        let name = loss.name();
        Task::check_outputs(loss)?;
        // A loss fused with the last layer has the requirements of its inner loss.
        let loss = loss
            .inner()
            .filter(|inner| matches!(inner.targets(), Domain::Class | Domain::Label))
            .unwrap_or(loss);
        let regresses =
            matches!(loss.targets(), Domain::Real | Domain::Positive | Domain::NonNegative)
                && matches!(loss.predictions(), Domain::Real | Domain::Exponent);
        match (loss.targets(), &dataset.target) {
            (_, Target::None) => Err(Failure::Failed(
                "the data has no targets; name the column with --target (a table) or the file with --targets (.npy)"
                    .into(),
            )),
            (Domain::Sign | Domain::ZeroOne | Domain::Probability, Target::Values(values)) if values.ncols() > 1 => {
                let activation = if loss.predictions() == Domain::Probability { "sigmoid" } else { "identity" };
                Ok(Task { outputs: values.ncols(), activation, ranks: false, classes: false, labels: true })
            }
            _ if loss.targets().pads() => match (&dataset.groups, dataset.values()?.ncols()) {
                (Some(_), 1) => {
                    Ok(Task { outputs: 1, activation: "identity", ranks: true, classes: false, labels: false })
                }
                (None, _) => Err(Failure::Failed(format!(
                    "{name} orders the rows of queries and the data says none: take SVMlight's lines (.svm) with qid:, with a \
                     file of the same name and .query behind it, or with --groups"
                ))),
                (_, columns) => {
                    Err(Failure::Failed(format!("{name} takes one number for each row; the targets have {columns}")))
                }
            },
            (_, Target::Values(values)) if regresses => Ok(Task {
                outputs: values.ncols(),
                activation: "identity",
                ranks: false,
                classes: false,
                labels: false,
            }),
            // With classes, squared and absolute errors take probabilities between 0 and 1, not
            // logits.
            (Domain::Real, _) if regresses => Ok(Task {
                outputs: classes(name, dataset)?,
                activation: "softmax",
                ranks: false,
                classes: true,
                labels: false,
            }),
            (Domain::Class | Domain::Label | Domain::Sign | Domain::ZeroOne | Domain::Probability, _) => {
                let activation = if loss.predictions() == Domain::Probability { "sigmoid" } else { "identity" };
                Ok(Task { outputs: classes(name, dataset)?, activation, ranks: false, classes: true, labels: false })
            }
            _ => Err(Failure::Usage(format!(
                "{name}: `train` cannot give it the distributions it compares; allowed: {}",
                trainable().join(", ")
            ))),
        }
    }

    /// Rejects a loss of log-probabilities: networks end in logits here, of which it would have no
    /// least value.
    pub fn check_outputs(loss: &dyn LossDefinition) -> Outcome {
        if loss.predictions() != Domain::LogDistribution {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{}: it takes log-probabilities, and the networks of `train` end in logits; cross_entropy is the same of logits",
            loss.name()
        )))
    }

    /// The task of a model of text: the class of each next character.
    pub fn of_tokens(vocabulary: usize) -> Self {
        let (ranks, classes, labels) = (false, true, false);
        Task { outputs: vocabulary, activation: "identity", ranks, classes, labels }
    }

    /// Name of the predicted quantity.
    pub fn predicts(&self) -> &'static str {
        match (self.ranks, self.classes) {
            (true, _) => "scores",
            (_, true) => "classes",
            _ if self.labels => "labels",
            _ => "numbers",
        }
    }

    /// Describes how the targets are interpreted.
    pub fn decided(&self, dataset: &Dataset, column: Option<&str>) -> String {
        let target = column.map_or("targets".into(), |column| format!("target `{column}`"));
        let count = self.outputs;
        match self.predicts() {
            "classes" => {
                let names = dataset.classes().unwrap_or_default();
                let shown =
                    names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if names.len() > SHOWN { ", …" } else { "" };
                let last = if self.activation == "identity" { "logits" } else { self.activation };
                format!("{target}: {count} classes ({shown}{more}), {last}")
            }
            "labels" => format!("{target}: {count} labels, of which a row may have several"),
            "scores" => format!("{target}: the relevance of each row, one score each"),
            _ => format!("{target}: numbers, {count} output{}", if count == 1 { "" } else { "s" }),
        }
    }

    /// Warning if the classes look like quantities, with the alternative; none if nothing is
    /// suspicious.
    pub fn doubt(&self, dataset: &Dataset, rows: usize, column: Option<&str>) -> Option<String> {
        let names = if self.classes { dataset.classes().ok()? } else { return None };
        let target = column.map_or("the target".into(), |column| format!("--target {column}"));
        let many = names.len() > MANY.max(rows / 2);
        // Numeric names are classes on purpose, or were rejected earlier.
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            return None;
        }
        // Only text in a table can be a disguised quantity: labels of IDX files are classes.
        column?;
        let quantities = names.iter().filter(|name| is_quantity(name)).count();
        let example = names.iter().find(|name| name.parse::<f32>().is_err()).or(names.first())?;
        (many || 2 * quantities > names.len()).then(|| {
            format!(
                "{target} is taken for {} classes in the {} rows to train on, since it holds text such as `{example}`; to predict it as a number \
                 write plain numbers with a decimal point and take a loss of numbers (--loss mse, --loss huber)",
                names.len(),
                rows
            )
        })
    }

    /// The targets in the format that the loss takes.
    pub fn truth(&self, dataset: &Dataset) -> Outcome<Truth> {
        Ok(match &dataset.groups {
            Some(groups) if self.ranks => Truth::Grouped(dataset.values()?, groups.clone()),
            _ if self.classes => Truth::Labels(dataset.labels()?),
            _ => Truth::Values(dataset.values()?),
        })
    }
}

impl Truth {
    /// The targets for `fit` and `evaluate`.
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
        return Err(Failure::Failed(format!(
            "the targets hold {classes} class; a class loss needs at least 2"
        )));
    }
    Ok(classes)
}

/// The losses that take labels or numbers.
fn trainable() -> Vec<&'static str> {
    let fits = |loss: &dyn LossDefinition| {
        let is_open = matches!(
            loss.predictions(),
            Domain::Real | Domain::Logits | Domain::Exponent | Domain::Probability
        );
        let is_class = !matches!(
            loss.targets(),
            Domain::Distribution | Domain::LogDistribution | Domain::Logits
        );
        // Losses that a model cannot be trained with (`check_trainable` of the library).
        let mut inputs = loss.inputs().iter().map(|input| input.name);
        let needs_counts = inputs.any(|name| name == "expected_count");
        is_open && is_class && loss.arguments().is_empty() && !needs_counts
    };
    let losses = CATALOGUE.iter().filter_map(|entry| (entry.make)(&Value::Null).ok());
    losses.filter(|loss| fits(&**loss)).map(|loss| loss.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_distinguished_from_a_name() {
        for text in ["1,5", "1.5", "$ 300", "12 %", "1.234,50 €", "2.5 kg", "-3,25", "1e5", "17"]
        {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["setosa", "class 1", "", "n/a", "A4", "3rd", "12 to 14"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
