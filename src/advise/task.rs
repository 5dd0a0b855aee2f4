//! What a target is: classes, steps of a scale, counts, amounts, numbers.

use serde::Serialize;

use crate::advise::answers::{Answers, codes, levels};
use crate::advise::features::{Features, linear_share};
use crate::advise::hints::{self, Hint};
use crate::advise::moments::{mean, median, skewness, sorted, variance};
use crate::error::text::significant;
use crate::{Error, Result};

/// Kind of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskKind {
    /// One class of several, without an order.
    Classes,
    /// One step of a scale: stars, grades.
    Ordinal,
    /// How often: whole numbers from 0.
    Counts,
    /// 0 in many rows and a continuous amount in the others: claims, rainfall.
    Amounts,
    /// Numbers.
    Numbers,
    /// Several labels that a row has or has not.
    Multilabel,
    /// Probabilities of several classes, that sum to 1 in each row.
    SoftLabels,
    /// Relevance of the items of lists.
    Lists,
}

/// The kind of a target, and how it was recognized.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Task {
    /// The kind.
    pub kind: TaskKind,
    /// Target columns.
    pub targets: Vec<String>,
    /// Why, with the numbers.
    pub reason: String,
    /// Names and rows of the classes or steps, in order; of the labels, the rows that have them.
    pub classes: Vec<(String, usize)>,
    /// Outputs of a network for it.
    pub outputs: usize,
    /// Kinds that the targets may also be.
    pub rivals: Vec<TaskKind>,
}

impl TaskKind {
    /// As in a sentence: `classes`, `steps of a scale`.
    pub fn in_words(self) -> &'static str {
        match self {
            TaskKind::Classes => "classes",
            TaskKind::Ordinal => "steps of a scale",
            TaskKind::Counts => "counts",
            TaskKind::Amounts => "amounts with zeros",
            TaskKind::Numbers => "numbers",
            TaskKind::Multilabel => "several labels a row",
            TaskKind::SoftLabels => "probabilities of classes",
            TaskKind::Lists => "relevance in lists",
        }
    }

    /// True if the target is a quantity that a pilot model predicts.
    pub(super) fn is_quantity(self) -> bool {
        matches!(self, TaskKind::Counts | TaskKind::Amounts | TaskKind::Numbers)
    }
}

/// More levels than this are no classes and no steps of a scale, as in AutoGluon.
const MOST_CLASSES: usize = 1000;

/// More steps than this no scale has.
const MOST_STEPS: usize = 20;

/// Rows that each of some levels should have to be classes.
const FEWEST_ROWS: usize = 5;

/// Share of rows at the largest count below which it is the end of a tail.
const RARE_END: f64 = 0.01;

/// Share of zeros from which they are a kind of their own.
pub(super) const ZERO_SHARE: f64 = 0.05;

/// Recognizes the task. `groups` says that the rows are items of lists.
pub(super) fn recognize(
    answers: &Answers,
    target: &str,
    features: &Features,
    groups: bool,
) -> Result<Task> {
    match answers {
        Answers::Words { codes, names } => of_words(codes, names, target),
        Answers::Numbers { columns, values } if values.len() > 1 => Ok(of_several(columns, values)),
        Answers::Numbers { values, .. } => of_numbers(&values[0], target, features, groups),
    }
}

fn task(kind: TaskKind, targets: &[String], reason: String) -> Task {
    Task {
        kind,
        targets: targets.to_vec(),
        reason,
        classes: Vec::new(),
        outputs: targets.len(),
        rivals: Vec::new(),
    }
}

fn one_value(target: &str, found: String) -> Error {
    Error::Input {
        operation: "advise".into(),
        name: format!("target `{target}`"),
        found: format!("is {found} in all rows"),
        allowed: "a target has two values at least".into(),
    }
}

fn of_words(codes: &[usize], names: &[String], target: &str) -> Result<Task> {
    if names.len() < 2 {
        return Err(one_value(target, format!("`{}`", names.first().map_or("", |name| name))));
    }
    let mut classes: Vec<(String, usize)> = names.iter().map(|name| (name.clone(), 0)).collect();
    codes.iter().for_each(|&code| classes[code].1 += 1);
    // Numbered classes may have gaps.
    classes.retain(|(_, rows)| *rows > 0);
    classes.sort();
    if classes.len() < 2 {
        return Err(one_value(target, format!("`{}`", classes.first().map_or("", |one| &one.0))));
    }
    let reason = format!("the cells are words, {} different ones", names.len());
    let mut found = task(TaskKind::Classes, &[target.into()], reason);
    found.outputs = names.len();
    if let Some(ordered) = hints::scale(names) {
        found.rivals.push(TaskKind::Ordinal);
        found.reason += &format!(", which are steps of a scale: {}", ordered.join(" < "));
        classes.sort_by_key(|(name, _)| ordered.iter().position(|step| step == name));
    }
    found.classes = classes;
    Ok(found)
}

/// Several target columns.
fn of_several(columns: &[String], values: &[Vec<f64>]) -> Task {
    let is_flag = |value: &f64| *value == 0.0 || *value == 1.0;
    let sums: Vec<f64> =
        (0..values[0].len()).map(|row| values.iter().map(|column| column[row]).sum()).collect();
    let count = values.len();
    let rows_with: Vec<(String, usize)> = columns
        .iter()
        .zip(values)
        .map(|(name, column)| (name.clone(), column.iter().filter(|value| **value > 0.5).count()))
        .collect();
    if values.iter().flatten().all(is_flag) {
        let is_one_hot = sums.iter().all(|sum| *sum == 1.0);
        let kind = if is_one_hot { TaskKind::Classes } else { TaskKind::Multilabel };
        let reason = match is_one_hot {
            true => format!("{count} columns of 0 and 1, with a single 1 in each row"),
            false => format!(
                "{count} columns of 0 and 1, with {} ones a row in the mean",
                significant(mean(&sums), 3)
            ),
        };
        return Task { classes: rows_with, outputs: count, ..task(kind, columns, reason) };
    }
    let are_shares = values.iter().flatten().all(|value| (0.0..=1.0).contains(value));
    if are_shares && sums.iter().all(|sum| (sum - 1.0).abs() < 1e-3) {
        let reason = format!("{count} columns from 0 to 1 that sum to 1 in each row");
        return task(TaskKind::SoftLabels, columns, reason);
    }
    task(TaskKind::Numbers, columns, format!("{count} columns of numbers"))
}

/// What the levels of a single numeric column look like.
struct Levels<'a> {
    values: &'a [f64],
    levels: Vec<(f64, usize)>,
    mean: f64,
    dispersion: f64,
    skewness: f64,
}

impl Levels<'_> {
    fn count(&self) -> usize {
        self.levels.len()
    }

    fn least(&self) -> f64 {
        self.levels[0].0
    }

    fn are_whole(&self) -> bool {
        self.levels.iter().all(|(value, _)| value.fract() == 0.0)
    }

    /// The distance between neighbours, if it is the same everywhere.
    fn step(&self) -> Option<f64> {
        let steps: Vec<f64> = self.levels.windows(2).map(|two| two[1].0 - two[0].0).collect();
        let first = *steps.first()?;
        steps.iter().all(|step| (step - first).abs() < 1e-6 * first).then_some(first)
    }

    /// Few enough to be classes or steps, by the rows.
    fn are_few(&self) -> bool {
        let limit = if self.values.len() > 1000 { 0.05 } else { 0.1 };
        self.count() <= MOST_CLASSES
            && (self.count() <= 3 || self.count() as f64 / self.values.len() as f64 <= limit)
    }

    fn are_populated(&self) -> bool {
        self.levels.iter().all(|(_, rows)| *rows >= FEWEST_ROWS)
    }

    /// Most frequent at the low end and ever rarer above: the shape of counts. A scale has many
    /// rows at its upper end.
    fn falls_off(&self) -> bool {
        let rows: Vec<usize> = self.levels.iter().map(|(_, rows)| *rows).collect();
        let mode =
            (0..rows.len()).max_by_key(|&place| (rows[place], rows.len() - place)).unwrap_or(0);
        let last = rows[rows.len() - 1] as f64;
        let after: usize =
            rows[mode..].windows(2).filter(|two| two[1] > two[0]).map(|two| two[1] - two[0]).sum();
        let above: usize = rows[mode..].iter().sum();
        // From 1 on it may be a scale, whose upper end has rows too.
        let is_rare = self.least() < 1.0 || last < RARE_END * self.values.len() as f64;
        self.least() >= 0.0
            && is_rare
            && self.dispersion >= 0.7
            && self.skewness > 0.0
            && last <= 0.25 * rows[mode] as f64
            && after as f64 <= 0.1 * above as f64
    }

    fn name(&self, place: usize) -> String {
        crate::error::text::exact(self.levels[place].0)
    }

    fn as_classes(&self) -> Vec<(String, usize)> {
        (0..self.count()).map(|place| (self.name(place), self.levels[place].1)).collect()
    }
}

fn of_numbers(values: &[f64], target: &str, features: &Features, groups: bool) -> Result<Task> {
    let found = levels(values);
    let center = mean(values);
    let found = Levels {
        values,
        levels: found,
        mean: center,
        dispersion: if center > 0.0 { variance(values) / center } else { 0.0 },
        skewness: skewness(values),
    };
    if found.count() < 2 {
        return Err(one_value(target, crate::error::text::exact(found.least())));
    }
    let targets = [target.to_string()];
    if groups && found.are_whole() && found.least() >= 0.0 && found.count() <= 32 {
        let reason =
            format!("the rows are items of queries, with {} grades of relevance", found.count());
        return Ok(Task { classes: found.as_classes(), ..task(TaskKind::Lists, &targets, reason) });
    }
    if groups {
        let reason = "the rows are items of queries".into();
        return Ok(task(TaskKind::Lists, &targets, reason));
    }
    if found.count() == 2 {
        let reason = format!("2 different values, {} and {}", found.name(0), found.name(1));
        let classes = found.as_classes();
        return Ok(Task { classes, outputs: 2, ..task(TaskKind::Classes, &targets, reason) });
    }
    let (kind, reason, rivals) = of_levels(&found, target, features);
    let mut task = Task { rivals, ..task(kind, &targets, reason) };
    if matches!(kind, TaskKind::Classes | TaskKind::Ordinal) {
        task.classes = found.as_classes();
        task.outputs = task.classes.len();
    }
    Ok(task)
}

type Decision = (TaskKind, String, Vec<TaskKind>);

/// Three levels or more.
fn of_levels(found: &Levels, target: &str, features: &Features) -> Decision {
    if !found.are_few() || (found.step().is_none() && !found.are_whole()) {
        return of_many(found, target);
    }
    let count = found.count();
    if !found.are_whole() {
        let step = found.step().map_or(0.0, f64::abs);
        let described = format!(
            "{count} values from {} to {} in steps of {}",
            found.name(0),
            found.name(count - 1),
            significant(step, 3)
        );
        return match count <= MOST_STEPS {
            true => (TaskKind::Ordinal, described, vec![TaskKind::Numbers]),
            false => of_many(found, target),
        };
    }
    let linear = linear_share(features, &codes(found.values, &found.levels), count);
    let limit = f64::midpoint(1.0, 1.0 / (count as f64 - 1.0));
    let hint = hints::of(target);
    let is_range = found.step() == Some(1.0);
    let described = format!(
        "{count} whole numbers from {} to {}{}",
        found.name(0),
        found.name(count - 1),
        if is_range { "" } else { ", with gaps" }
    );
    let evidence = match linear.has_signal {
        true => format!(
            "; {} % of what the features differ by between them lies on a line (names of classes: {} %, a quantity: 100 %)",
            significant(100.0 * linear.share, 3),
            significant(100.0 / (count as f64 - 1.0), 2)
        ),
        false => "; the features do not differ between them".into(),
    };
    let text = described + &evidence;
    if linear.has_signal && linear.share < limit && hint != Some(Hint::Count) {
        let is_class = found.are_populated() || is_range;
        return match is_class {
            true => (TaskKind::Classes, text, Vec::new()),
            false => of_many(found, target),
        };
    }
    match hint {
        Some(Hint::Class) => {
            (TaskKind::Classes, text + ", and the column is named so", rivals_of_classes(found))
        }
        Some(Hint::Ordinal) if count <= MOST_STEPS => (
            TaskKind::Ordinal,
            text + ", and the column is named so",
            vec![TaskKind::Classes, TaskKind::Numbers],
        ),
        Some(Hint::Quantity) if count > 5 => {
            (TaskKind::Numbers, text + ", and the column is named so", Vec::new())
        }
        Some(Hint::Count) if found.least() >= 0.0 => {
            (TaskKind::Counts, text + ", and the column is named so", Vec::new())
        }
        _ if found.falls_off() && found.least() <= 1.0 => {
            let rivals = if count <= MOST_STEPS { vec![TaskKind::Ordinal] } else { Vec::new() };
            (TaskKind::Counts, text + "; ever fewer rows from the most frequent one on", rivals)
        }
        _ if linear.has_signal && count <= 4 && is_range && found.least() <= 1.0 => {
            (TaskKind::Classes, text, vec![TaskKind::Ordinal])
        }
        _ if linear.has_signal && count <= 12 => {
            (TaskKind::Ordinal, text, vec![TaskKind::Classes, TaskKind::Numbers])
        }
        _ if !linear.has_signal && is_range && found.are_populated() && count <= 100 => {
            (TaskKind::Classes, text, rivals_of_classes(found))
        }
        _ => of_many(found, target),
    }
}

fn rivals_of_classes(found: &Levels) -> Vec<TaskKind> {
    if found.count() <= 10 { vec![TaskKind::Ordinal] } else { Vec::new() }
}

/// Many different numbers: a quantity, a count, or an amount with zeros.
fn of_many(found: &Levels, target: &str) -> Decision {
    let rows = found.values.len() as f64;
    let zeros = found.values.iter().filter(|value| **value == 0.0).count() as f64 / rows;
    let above: Vec<f64> = found.values.iter().copied().filter(|value| *value > 0.0).collect();
    let are_small = above.is_empty() || sorted(&above)[above.len() / 20] < 10.0;
    let is_amount = found.least() >= 0.0
        && zeros >= ZERO_SHARE
        && found.count() > MOST_STEPS.min(found.values.len() / 4)
        && (!found.are_whole() || !are_small);
    if is_amount {
        let reason = format!(
            "no negative number, {} % are 0 and the others vary from {} to {}",
            significant(100.0 * zeros, 3),
            above.iter().copied().fold(f64::INFINITY, f64::min),
            found.name(found.count() - 1)
        );
        return (TaskKind::Amounts, reason, vec![TaskKind::Numbers]);
    }
    if is_count(found, target) {
        let reason = format!(
            "whole numbers from {} to {} with mean {}",
            found.name(0),
            found.name(found.count() - 1),
            significant(found.mean, 3)
        );
        return (TaskKind::Counts, reason, vec![TaskKind::Numbers]);
    }
    let kind = if found.are_whole() { "whole numbers" } else { "numbers" };
    let reason = format!(
        "{} different {kind} from {} to {} in {} rows",
        found.count(),
        found.name(0),
        found.name(found.count() - 1),
        found.values.len()
    );
    (TaskKind::Numbers, reason, Vec::new())
}

/// Whole numbers that count something. Large ones differ from rounded quantities by their least
/// value, their skewness and their last digits.
fn is_count(found: &Levels, target: &str) -> bool {
    if !found.are_whole() || found.least() < 0.0 {
        return false;
    }
    match hints::of(target) {
        Some(Hint::Count) => return true,
        Some(Hint::Quantity) => return false,
        _ => {}
    }
    if found.mean <= 30.0 {
        return found.least() <= 1.0 && found.dispersion >= 0.3
            || found.dispersion >= 0.7 && found.skewness > 0.0 && found.least() < found.mean / 2.0;
    }
    let round = found.values.iter().filter(|value| **value % 10.0 == 0.0).count() as f64;
    found.least() <= (0.02 * median(found.values)).max(1.0)
        && found.dispersion >= 1.0
        && found.skewness >= 0.5
        && round / found.values.len() as f64 <= 0.4
}
