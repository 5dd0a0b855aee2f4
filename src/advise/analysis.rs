//! From a data set to its advice.

use ndarray::Array2;

use crate::advise::advice::{Advice, Candidate, Histogram, Statistic, Warning};
use crate::advise::answers::{Answers, codes, levels};
use crate::advise::classes::Classes;
use crate::advise::columns::{Findings, examine};
use crate::advise::features::{Features, linear_share, sample};
use crate::advise::quantity::Quantity;
use crate::advise::rules;
use crate::advise::statistics;
use crate::advise::task::{Task, TaskKind, recognize};
use crate::data::{Column, Dataset, Encoding, EncodingOptions, Table, Target};
use crate::{Error, Result};

/// What to advise on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdviseOptions {
    /// Target columns of the table.
    pub targets: Vec<String>,
    /// Columns to leave out of the features.
    pub left_out: Vec<String>,
    /// True if the rows are images, whose labels are classes whatever they look like.
    pub images: bool,
    /// Seed of the sample and of the folds.
    pub seed: u64,
}

impl AdviseOptions {
    /// Adds a target column.
    #[must_use]
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.targets.push(column.into());
        self
    }

    /// Leaves a column out of the features.
    #[must_use]
    pub fn without(mut self, column: impl Into<String>) -> Self {
        self.left_out.push(column.into());
        self
    }
}

/// Advice for a table as it was read.
///
/// Statistics of the targets are of all rows that have them; models are fitted on at most 10,000
/// of those, chosen by the seed. The same table, options and seed give the same bits.
///
/// # Errors
/// [`Error::Unknown`] for a target that is not a column; [`Error::Empty`] if no row has a target;
/// [`Error::Input`] without a target, for one that is the same in all rows, and for several of
/// which one has words; [`Error::Data`] with line and column for a number that is not finite, and
/// if no feature column remains.
pub fn advise(table: &Table, options: &AdviseOptions) -> Result<Advice> {
    let columns: Vec<&Column> =
        options.targets.iter().map(|name| table.column(name)).collect::<Result<_>>()?;
    if columns.is_empty() {
        return Err(wrong("targets", "are not named", "name one column of the table, or several"));
    }
    let rows: Vec<usize> = (0..table.rows())
        .filter(|&row| !columns.iter().any(|column| column.is_blank(row)))
        .collect();
    if rows.is_empty() {
        return Err(Error::Empty {
            operation: "advise".into(),
            name: "the rows with a target".into(),
        });
    }
    let answers = Answers::of(&columns, &rows);
    check(&answers, &options.targets)?;
    let without = |more: &[String]| {
        let mut left_out = options.left_out.clone();
        left_out.extend(options.targets.iter().chain(more).cloned());
        EncodingOptions { left_out, ..EncodingOptions::default() }
    };
    let encoding = Encoding::fit(table, &rows, &without(&[]))?;
    let identifiers: Vec<String> = encoding
        .report()
        .into_iter()
        .filter(|report| report.is_identifier)
        .map(|report| report.column)
        .collect();
    let kept: Vec<&Column> = table
        .columns()
        .iter()
        .filter(|column| {
            !options.targets.iter().chain(&options.left_out).any(|name| name == column.name())
        })
        .collect();
    let findings = examine(table, &kept, &rows, &answers, &identifiers);
    let mut more = findings.drop.clone();
    more.extend(findings.query.clone());
    // If nothing else is left, the columns stay.
    let encoding = match more.is_empty() {
        true => encoding,
        false => Encoding::fit(table, &rows, &without(&more)).unwrap_or(encoding),
    };
    let names = encoding.names();
    let places = sample(rows.len(), names.len(), options.seed)?;
    let sampled: Vec<usize> = places.iter().map(|&place| rows[place]).collect();
    let values = encoding.features(table, &sampled)?;
    let features = Features::new(names, &values, places);
    let target = options.targets.join(", ");
    let queries = findings.query.as_ref().map(|name| {
        let column = table.column(name)?;
        let mut ids: Vec<String> =
            rows.iter().filter_map(|&row| column.text(row).map(|text| text.into_owned())).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok::<usize, Error>(ids.len())
    });
    let lists = queries.transpose()?.map(|queries| Lists { queries, in_table: true });
    Analysis { answers, features, target, findings, lists }.advice()
}

/// Advice for rows given as arrays: IDX images, NumPy arrays, SVMlight's lines with their queries.
///
/// # Errors
/// As [`advise`]; [`Error::NonFinite`] if a number is not finite; [`Error::Shape`] if features and
/// targets have different numbers of rows; [`Error::Label`] for a label without a class.
pub fn advise_arrays(dataset: &Dataset, options: &AdviseOptions) -> Result<Advice> {
    dataset.check_finite()?;
    check_arrays(dataset)?;
    if dataset.rows() == 0 {
        return Err(Error::Empty { operation: "advise".into(), name: "the rows".into() });
    }
    let answers = match &dataset.target {
        Target::None => {
            return Err(wrong(
                "targets",
                "are missing",
                "name the file or the column that holds them",
            ));
        }
        Target::Labels { labels, classes } => Answers::Words {
            codes: labels.iter().map(|&label| usize::try_from(label).unwrap_or(0)).collect(),
            names: classes.clone(),
        },
        Target::Values(values) => Answers::Numbers {
            columns: match values.ncols() {
                1 => vec!["target".into()],
                count => (0..count).map(|place| place.to_string()).collect(),
            },
            values: values
                .columns()
                .into_iter()
                .map(|column| column.iter().map(|&value| f64::from(value)).collect())
                .collect(),
        },
    };
    // Lists need their relevance as a number, whatever it was read as.
    let answers = match (answers, &dataset.groups) {
        (Answers::Words { .. }, Some(_)) => Answers::Numbers {
            columns: vec!["target".into()],
            values: vec![dataset.values()?.iter().map(|&value| f64::from(value)).collect()],
        },
        // Whole numbers in an array may be counts or steps of a scale, as in a table.
        (Answers::Words { codes, names }, None)
            if !options.images
                && names.iter().enumerate().all(|(place, name)| *name == place.to_string()) =>
        {
            let values = vec![codes.iter().map(|&code| code as f64).collect()];
            Answers::Numbers { columns: vec!["target".into()], values }
        }
        (answers, _) => answers,
    };
    let places = sample(dataset.rows(), dataset.features.ncols(), options.seed)?;
    let values: Array2<f32> = dataset.features.select(ndarray::Axis(0), &places);
    let names = dataset.feature_names.clone();
    let features = match options.images {
        true => Features::of_images(names, &values, places),
        false => Features::new(names, &values, places),
    };
    let lists =
        dataset.groups.as_ref().map(|groups| Lists { queries: groups.len(), in_table: false });
    let findings = Findings::default();
    Analysis { answers, features, target: "target".into(), findings, lists }.advice()
}

fn wrong(name: &str, found: &str, allowed: &str) -> Error {
    Error::Input {
        operation: "advise".into(),
        name: name.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}

/// Refuses targets of other rows than the features', and labels outside the classes: the fields of
/// a data set are free to be changed.
fn check_arrays(dataset: &Dataset) -> Result<()> {
    let rows = match &dataset.target {
        Target::Labels { labels, .. } => labels.len(),
        Target::Values(values) => values.nrows(),
        Target::None => return Ok(()),
    };
    if rows != dataset.rows() {
        return Err(Error::Shape {
            operation: "advise".into(),
            found: format!("features have {} rows but targets {rows}", dataset.rows()),
            allowed: "there must be one target for each row".into(),
        });
    }
    let Target::Labels { labels, classes } = &dataset.target else { return Ok(()) };
    let is_class = |label: i64| usize::try_from(label).is_ok_and(|label| label < classes.len());
    match labels.iter().position(|&label| !is_class(label)) {
        Some(row) => Err(Error::Label {
            operation: "advise".into(),
            row,
            label: labels[row],
            classes: classes.len(),
            ignored: String::new(),
        }),
        None => Ok(()),
    }
}

/// Refuses numbers that are infinite, and words among several targets.
fn check(answers: &Answers, targets: &[String]) -> Result<()> {
    let Answers::Numbers { values, .. } = answers else { return Ok(()) };
    for (column, name) in values.iter().zip(targets) {
        if let Some(found) = column.iter().find(|value| !value.is_finite()) {
            let found = if found.is_nan() { "has words".into() } else { format!("has {found}") };
            let allowed = "several targets are numbers, or 0 and 1, all of them finite";
            return Err(wrong(&format!("target `{name}`"), &found, allowed));
        }
    }
    Ok(())
}

/// Queries of lists.
struct Lists {
    queries: usize,
    /// Named by a column of a table.
    in_table: bool,
}

/// Everything that advice follows from.
struct Analysis {
    answers: Answers,
    features: Features,
    target: String,
    findings: Findings,
    lists: Option<Lists>,
}

/// Losses, statistics and warnings of a kind of target, with its histograms.
#[derive(Default)]
struct Part {
    losses: Vec<Candidate>,
    statistics: Vec<Statistic>,
    warnings: Vec<Warning>,
    residuals: Histogram,
}

impl Analysis {
    fn advice(self) -> Result<Advice> {
        let task = recognize(&self.answers, &self.target, &self.features, self.lists.is_some())?;
        let part = match task.kind {
            kind if kind.is_quantity() => self.of_quantities(&task),
            TaskKind::Multilabel => {
                let (losses, warnings) = rules::of_multilabel(&task, self.answers.rows());
                Part { losses, warnings, ..Part::default() }
            }
            TaskKind::SoftLabels => Part { losses: rules::of_soft_labels(), ..Part::default() },
            TaskKind::Lists => self.of_lists(&task),
            _ => self.of_classes(&task),
        };
        let rows = self.answers.rows();
        let units = self.lists.as_ref().map_or(rows, |lists| lists.queries);
        let network =
            rules::network(task.kind, rows, units, self.features.names.len(), task.outputs.max(1));
        let optimizer = rules::optimizer(task.kind, rows, &network);
        let mut warnings = self.findings.warnings.clone();
        // Leaks and ids first, what is wrong with the target next, then the blanks.
        let first =
            warnings.iter().take_while(|one| ["leak", "identifier"].contains(&one.kind)).count();
        let rest = warnings.split_off(first);
        warnings.extend(part.warnings);
        warnings.extend(rest);
        let mut statistics = part.statistics;
        statistics.sort_by_key(|statistic| !statistic.is_beyond);
        Ok(Advice {
            target_histogram: self.target_histogram(&task),
            residual_histogram: part.residuals,
            rows,
            features: self.features.names.len(),
            warnings,
            statistics,
            losses: part.losses,
            drop: self.findings.drop,
            optimizer,
            network,
            task,
        })
    }

    fn of_quantities(&self, task: &Task) -> Part {
        let Answers::Numbers { columns, values } = &self.answers else { return Part::default() };
        let all: Vec<Quantity> =
            values.iter().map(|column| Quantity::of(column, &self.features, task)).collect();
        let mut part = Part { losses: rules::of_quantities(task, &all), ..Part::default() };
        for (found, name) in all.iter().zip(columns) {
            part.warnings.extend(rules::warnings(task, name, found));
        }
        // With several targets the statistics are of the one with the heaviest tails.
        let worst = all.iter().max_by(|a, b| a.tails.ratio.total_cmp(&b.tails.ratio));
        if let Some(found) = worst {
            part.statistics = statistics::of_quantity(found, task.kind);
            let scale = found.tails.madn;
            if scale > 0.0 {
                let center = crate::advise::moments::median(&found.pilot.residuals);
                let scaled: Vec<f64> =
                    found.pilot.residuals.iter().map(|error| (error - center) / scale).collect();
                part.residuals = Histogram::of(&scaled, -8.0, 8.0, 64);
            }
        }
        part
    }

    /// The class of each row, in the order of the task's classes.
    fn codes(&self, task: &Task) -> Vec<usize> {
        match &self.answers {
            Answers::Words { codes, names } => {
                let place = |name: &String| {
                    task.classes.iter().position(|(class, _)| class == name).unwrap_or(0)
                };
                let places: Vec<usize> = names.iter().map(place).collect();
                codes.iter().map(|&code| places[code]).collect()
            }
            Answers::Numbers { values, .. } if values.len() == 1 => {
                codes(&values[0], &levels(&values[0]))
            }
            Answers::Numbers { values, .. } => (0..self.answers.rows())
                .map(|row| values.iter().position(|column| column[row] == 1.0).unwrap_or(0))
                .collect(),
        }
    }

    fn of_classes(&self, task: &Task) -> Part {
        let codes = self.codes(task);
        // A class without a row has no statistics.
        let found = Classes::of(&self.features, &codes, &task.classes);
        let (losses, warnings) = match task.kind {
            TaskKind::Ordinal => rules::of_ordinal(task, &found),
            _ => rules::of_classes(task, &found),
        };
        let has_order = task.kind == TaskKind::Ordinal || !task.rivals.is_empty();
        let linear = (has_order && task.classes.len() > 2)
            .then(|| linear_share(&self.features, &codes, task.classes.len()));
        let statistics = statistics::of_classes(&found, linear);
        Part { losses, warnings, statistics, ..Part::default() }
    }

    fn of_lists(&self, task: &Task) -> Part {
        let Some(lists) = &self.lists else { return Part::default() };
        let losses = rules::of_lists(task, self.answers.rows(), lists.queries, lists.in_table);
        Part { losses, ..Part::default() }
    }

    fn target_histogram(&self, task: &Task) -> Histogram {
        if !task.classes.is_empty() {
            let (names, counts): (Vec<String>, Vec<usize>) = task.classes.iter().cloned().unzip();
            let to = counts.len() as f64;
            return Histogram { to, names, counts, ..Histogram::default() };
        }
        let Answers::Numbers { values, .. } = &self.answers else { return Histogram::default() };
        let ascending = crate::advise::moments::sorted(&values[0]);
        let (Some(&least), Some(&largest)) = (ascending.first(), ascending.last()) else {
            return Histogram::default();
        };
        // A few far values would press all others into one bin.
        let [low, high] =
            [0.01, 0.99].map(|share| crate::advise::moments::quantile(&ascending, share));
        let margin = 0.25 * (high - low);
        Histogram::of(&values[0], least.max(low - margin), largest.min(high + margin), 40)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn targets_of_other_rows_and_labels_without_a_class_are_refused() {
        let labels =
            |labels: Array1<i64>| Target::Labels { labels, classes: vec!["a".into(), "b".into()] };
        let features = Array2::from_elem((3, 1), 0.5);
        let mut rows = Dataset::new(features, labels(array![0, 1, -100])).unwrap();
        let found = advise_arrays(&rows, &AdviseOptions::default()).unwrap_err();
        assert!(matches!(found, Error::Label { row: 2, label: -100, .. }), "{found}");
        rows.target = labels(array![2, 1, 0]);
        let found = advise_arrays(&rows, &AdviseOptions::default()).unwrap_err();
        assert!(matches!(found, Error::Label { row: 0, label: 2, .. }), "{found}");
        for target in [labels(array![0, 1]), Target::Values(array![[0.0], [1.0]])] {
            rows.target = target;
            let found = advise_arrays(&rows, &AdviseOptions::default()).unwrap_err();
            assert!(matches!(found, Error::Shape { .. }), "{found}");
        }
    }
}
