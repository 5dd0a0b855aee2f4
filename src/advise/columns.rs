//! What is wrong with the columns of a table: blanks, ids, the answer among the features, rows that
//! occur twice.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::advise::advice::Warning;
use crate::advise::answers::Answers;
use crate::advise::hints;
use crate::advise::moments::{ranks, spearman};
use crate::data::{Cells, Column, Table};
use crate::error::text::{count, significant};

/// What was found in the columns.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) warnings: Vec<Warning>,
    /// Columns to leave out.
    pub(super) drop: Vec<String>,
    /// A column that numbers the queries of lists.
    pub(super) query: Option<String>,
}

/// A rank correlation with the target from which a column is the target in another form.
const LEAK: f64 = 0.999;

/// A rank correlation from which a column that numbers the rows goes with the target, and the
/// standard errors that it must have.
const TELLING: f64 = 0.1;
const SURE: f64 = 3.0;

/// Rows that are compared for a leak.
const MOST_COMPARED: usize = 5_000;

/// With fewer rows a column may separate the classes by chance.
const FEWEST_FOR_LEAK: usize = 100;

/// Share of rows that occur before from which it is reported.
const DUPLICATES: f64 = 0.01;

/// Share of blanks from which a column is named on its own, else the columns share a warning.
const MANY_BLANKS: f64 = 0.4;

/// Columns of a table of interactions: two ids, a time, and little else.
const MOST_OF_INTERACTIONS: usize = 4;

/// Fewer values of an id are categories.
const FEWEST_GROUPS: usize = 10;

/// Columns named in one warning.
const MOST_NAMED: usize = 5;

fn warning(kind: &'static str, text: String) -> Warning {
    Warning { kind, text }
}

fn share(part: usize, all: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}

/// Looks at the feature columns; `rows` are those with a target, `identifiers` the columns that
/// number the rows.
pub(super) fn examine(
    table: &Table,
    features: &[&Column],
    rows: &[usize],
    answers: &Answers,
    identifiers: &[String],
) -> Findings {
    let mut found = Findings::default();
    leaks(features, rows, answers, identifiers, &mut found);
    let has_trend = |name: &&String| {
        features
            .iter()
            .find(|column| column.name() == name.as_str())
            .is_some_and(|column| goes_with(column, rows, answers))
    };
    let (trending, silent): (Vec<&String>, Vec<&String>) = identifiers.iter().partition(has_trend);
    let quoted = |names: &[&String]| -> Vec<String> {
        names.iter().map(|name| format!("`{name}`")).collect()
    };
    if !silent.is_empty() {
        let names = listed(&quoted(&silent));
        let text = match silent.len() {
            1 => {
                format!("{names} numbers the rows and says nothing about the target: leave it out")
            }
            _ => {
                format!("{names} number the rows and say nothing about the target: leave them out")
            }
        };
        found.warnings.push(warning("identifier", text));
        found.drop.extend(silent.into_iter().cloned());
    }
    if !trending.is_empty() {
        let names = listed(&quoted(&trending));
        let text = match trending.len() {
            1 => format!(
                "{names} numbers the rows, and goes with the target: a trend, or the file's order"
            ),
            _ => format!(
                "{names} number the rows, and go with the target: a trend, or the file's order"
            ),
        };
        found.warnings.push(warning("identifier", text));
    }
    let mut ids: Vec<String> = Vec::new();
    for column in features {
        let is_query = hints::is_query(column.name());
        if !is_query && !hints::is_id(column.name()) {
            continue;
        }
        let repeats = repeats(column, rows);
        if is_query && repeats.is_some() {
            found.query = Some(column.name().into());
        } else if let Some(values) = repeats {
            ids.push(format!("`{}`", column.name()));
            let text = format!(
                "`{}` has {} values for {} rows: rows of one value are alike, so a held-out part should have values of its own",
                column.name(),
                count(values as u64),
                count(rows.len() as u64)
            );
            found.warnings.push(warning("groups", text));
        }
    }
    if ids.len() == 2 && features.len() <= MOST_OF_INTERACTIONS {
        let text = format!(
            "each row is an interaction of {}: `gradus recommend` learns an embedding for each of them; as numbers the ids mean nothing",
            ids.join(" and ")
        );
        found.warnings.retain(|warning| warning.kind != "groups");
        found.warnings.push(warning("interactions", text));
    }
    blanks(table, features, rows, &mut found);
    constants(features, rows, &mut found);
    duplicates(features, rows, answers, &mut found);
    found
}

/// True if the ranks of a numeric column go with the targets beyond chance: by Spearman's
/// correlation for numbers, by the share of the ranks' variance between the classes for words.
fn goes_with(column: &Column, rows: &[usize], answers: &Answers) -> bool {
    let Cells::Numbers(numbers) = column.cells() else { return false };
    let known: Vec<usize> =
        (0..rows.len()).filter(|&place| !column.is_blank(rows[place])).collect();
    if known.len() < 3 {
        return false;
    }
    let cells: Vec<f64> = known.iter().map(|&place| numbers[rows[place]]).collect();
    match answers {
        Answers::Numbers { values, .. } => values.iter().any(|column| {
            let target: Vec<f64> = known.iter().map(|&place| column[place]).collect();
            let (r, t) = spearman(&cells, &target);
            r.abs() >= TELLING && t.abs() >= SURE
        }),
        Answers::Words { codes, names } => {
            let codes: Vec<usize> = known.iter().map(|&place| codes[place]).collect();
            between_classes(&cells, &codes, names.len())
        }
    }
}

/// W. Kruskal and A. Wallis, Use of ranks in one-criterion variance analysis, 1952: H has a mean of
/// k − 1 and a variance of 2 (k − 1) by chance.
fn between_classes(cells: &[f64], codes: &[usize], classes: usize) -> bool {
    let mut sums = vec![(0.0, 0.0); classes];
    let center = (cells.len() + 1) as f64 / 2.0;
    let mut all = 0.0;
    for (rank, &code) in ranks(cells).into_iter().zip(codes) {
        all += (rank - center).powi(2);
        sums[code] = (sums[code].0 + rank - center, sums[code].1 + 1.0);
    }
    let present: Vec<&(f64, f64)> = sums.iter().filter(|(_, rows)| *rows > 0.0).collect();
    if present.len() < 2 || all <= 0.0 {
        return false;
    }
    let between: f64 = present.iter().map(|(sum, rows)| sum * sum / rows).sum();
    let (free, rest) = (present.len() as f64 - 1.0, cells.len() as f64 - 1.0);
    let beyond = rest * between / all - free;
    beyond >= TELLING * TELLING * rest && beyond >= 2.0 * SURE * (2.0 * free).sqrt()
}

/// Number of values of a column, if they are in several rows each.
fn repeats(column: &Column, rows: &[usize]) -> Option<usize> {
    let values: HashSet<u64> = rows.iter().map(|&row| hash(column, row)).collect();
    let values = values.len();
    (values >= FEWEST_GROUPS && 2 * values <= rows.len() && values * 1000 > rows.len())
        .then_some(values)
}

/// The same in every run, unlike the keys of a `HashMap`.
fn hash(column: &Column, row: usize) -> u64 {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    match column.cells() {
        Cells::Numbers(numbers) => hasher.hash_one(numbers[row].to_bits()),
        Cells::Words { codes, .. } => hasher.hash_one(codes[row]),
    }
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    let shown = names.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn blanks(table: &Table, features: &[&Column], rows: &[usize], found: &mut Findings) {
    let without = table.rows() - rows.len();
    if without > 0 {
        let text = format!(
            "the target is missing in {} of {} rows ({}): they are left out",
            count(without as u64),
            count(table.rows() as u64),
            share(without, table.rows())
        );
        found.warnings.push(warning("missing_target", text));
    }
    let mut counted: Vec<(&str, usize)> = features
        .iter()
        .map(|column| {
            (column.name(), (0..table.rows()).filter(|&row| column.is_blank(row)).count())
        })
        .filter(|(_, blanks)| *blanks > 0)
        .collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if counted.is_empty() {
        return;
    }
    let text: Vec<String> = counted
        .iter()
        .map(|(name, blanks)| {
            format!("`{name}` {} missing ({})", count(*blanks as u64), share(*blanks, table.rows()))
        })
        .collect();
    let many =
        counted.iter().any(|(_, blanks)| *blanks as f64 >= MANY_BLANKS * table.rows() as f64);
    let advice = if many {
        "; a column that is mostly missing may say more by its blanks than by its cells"
    } else {
        ""
    };
    let text = format!(
        "{}: `train` fills them with the median or the most frequent word, and marks them in a column{advice}",
        listed(&text)
    );
    found.warnings.push(warning("missing", text));
}

fn constants(features: &[&Column], rows: &[usize], found: &mut Findings) {
    let is_constant = |column: &Column| {
        let first = rows.first().map(|&row| hash(column, row));
        rows.iter().all(|&row| Some(hash(column, row)) == first)
    };
    let names: Vec<String> = features
        .iter()
        .filter(|column| is_constant(column))
        .map(|column| format!("`{}`", column.name()))
        .collect();
    if !names.is_empty() {
        found
            .warnings
            .push(warning("constant", format!("the same in all rows: {}", listed(&names))));
    }
}

/// Rows that occurred before, with features and target.
fn duplicates(features: &[&Column], rows: &[usize], answers: &Answers, found: &mut Findings) {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let target = |place: usize| -> u64 {
        match answers {
            Answers::Words { codes, .. } => codes[place] as u64,
            Answers::Numbers { values, .. } => hasher
                .hash_one(values.iter().map(|column| column[place].to_bits()).collect::<Vec<_>>()),
        }
    };
    let mut seen: HashMap<u64, u64> = HashMap::with_capacity(rows.len());
    let (mut twice, mut contradicted) = (0, 0);
    for (place, &row) in rows.iter().enumerate() {
        let cells: Vec<u64> = features.iter().map(|column| hash(column, row)).collect();
        let answer = target(place);
        match seen.insert(hasher.hash_one(&cells), answer) {
            Some(before) if before == answer => twice += 1,
            Some(_) => contradicted += 1,
            None => {}
        }
    }
    // Few combinations of values are there many times by their nature.
    let is_coarse = 2 * seen.len() < rows.len();
    if is_coarse || ((twice + contradicted) as f64) < DUPLICATES * rows.len() as f64 {
        return;
    }
    let mut text = format!(
        "{} rows ({}) have the features of an earlier row",
        count((twice + contradicted) as u64),
        share(twice + contradicted, rows.len())
    );
    if contradicted > 0 {
        text += &format!(", {} of them with another target", count(contradicted as u64));
    }
    text += ": a held-out part that shares rows with the training is no test";
    found.warnings.push(warning("duplicates", text));
}

/// Features that are the target in another form.
fn leaks(
    features: &[&Column],
    rows: &[usize],
    answers: &Answers,
    identifiers: &[String],
    found: &mut Findings,
) {
    if rows.len() < FEWEST_FOR_LEAK || features.len() < 2 {
        return;
    }
    let step = rows.len().div_ceil(MOST_COMPARED);
    let places: Vec<usize> = (0..rows.len()).step_by(step).collect();
    for column in
        features.iter().filter(|column| !identifiers.iter().any(|name| name == column.name()))
    {
        let known: Vec<usize> =
            places.iter().copied().filter(|&place| !column.is_blank(rows[place])).collect();
        if known.len() < FEWEST_FOR_LEAK {
            continue;
        }
        let text = match answers {
            Answers::Numbers { values, .. } if values.len() == 1 => {
                let target: Vec<f64> = known.iter().map(|&place| values[0][place]).collect();
                let levels = crate::advise::answers::levels(&target);
                match (column.cells(), levels.len()) {
                    (Cells::Numbers(numbers), 3..) => {
                        let cells: Vec<f64> =
                            known.iter().map(|&place| numbers[rows[place]]).collect();
                        let (r, _) = spearman(&cells, &target);
                        (r.abs() >= LEAK).then(|| {
                            format!(
                                "has a rank correlation of {} with the target",
                                significant(r, 4)
                            )
                        })
                    }
                    (_, 3..=MOST_CLASSES) | (_, 2) => {
                        let codes = crate::advise::answers::codes(&target, &levels);
                        determines(column, rows, &known, &codes, levels.len())
                    }
                    _ => None,
                }
            }
            Answers::Words { codes, names } => {
                let codes: Vec<usize> = known.iter().map(|&place| codes[place]).collect();
                determines(column, rows, &known, &codes, names.len())
            }
            Answers::Numbers { .. } => None,
        };
        if let Some(text) = text {
            let text = format!(
                "`{}` {text}: if it is not known when a prediction is made, it gives the answer away",
                column.name()
            );
            found.warnings.push(warning("leak", text));
            found.drop.push(column.name().into());
        }
    }
    // A table of its answers alone has nothing else to learn from.
    if found.drop.len() >= features.len() {
        found.drop.clear();
    }
}

/// More classes than this are not compared with the values of a column.
const MOST_CLASSES: usize = 1000;

/// Says how a column determines the class: each of its values has one class, or each class has an
/// interval of its own.
fn determines(
    column: &Column,
    rows: &[usize],
    known: &[usize],
    codes: &[usize],
    classes: usize,
) -> Option<String> {
    match column.cells() {
        Cells::Words { codes: words, .. } => {
            let mut class_of: HashMap<u32, usize> = HashMap::new();
            for (&place, &class) in known.iter().zip(codes) {
                if *class_of.entry(words[rows[place]]).or_insert(class) != class {
                    return None;
                }
            }
            // Words of a row or two each say nothing.
            (class_of.len() * 5 <= known.len() && class_of.len() >= classes.min(2)).then(|| {
                format!("has the same class in all rows of each of its {} words", class_of.len())
            })
        }
        Cells::Numbers(numbers) => {
            let mut pairs: Vec<(f64, usize)> = known
                .iter()
                .zip(codes)
                .map(|(&place, &class)| (numbers[rows[place]], class))
                .collect();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let changes = pairs.windows(2).filter(|two| two[0].1 != two[1].1).count();
            let is_split = pairs.windows(2).any(|two| two[0].0 == two[1].0 && two[0].1 != two[1].1);
            let mut present: Vec<usize> = codes.to_vec();
            present.sort_unstable();
            present.dedup();
            (!is_split && present.len() >= 2 && changes + 1 == present.len())
                .then(|| format!("alone separates the {} classes without an error", present.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_the_row_goes_with_a_trend_and_with_sorted_classes() {
        let rows: Vec<usize> = (0..300).collect();
        let number = Column::numbers("t", (0..300).map(f64::from).collect());
        let of =
            |values: Vec<f64>| Answers::Numbers { columns: vec!["y".into()], values: vec![values] };
        let trend = (0..300_i32).map(|row| f64::from(row + 40 * (row * 7 % 13))).collect();
        assert!(goes_with(&number, &rows, &of(trend)));
        let none = (0..300_i32).map(|row| f64::from(row * 7 % 13)).collect();
        assert!(!goes_with(&number, &rows, &of(none)));
        let words = |codes: Vec<usize>| Answers::Words {
            codes,
            names: ["b", "a", "c"].map(String::from).to_vec(),
        };
        let sorted = rows.iter().map(|row| [1, 0, 2][row / 100]).collect();
        assert!(goes_with(&number, &rows, &words(sorted)));
        let mixed = rows.iter().map(|row| row * 7 % 13 % 3).collect();
        assert!(!goes_with(&number, &rows, &words(mixed)));
    }
}
