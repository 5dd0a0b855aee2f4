//! The explanation as text, for a width of 80 columns.

use std::fmt::Write as _;

use comfy_table::Table;
use gradus::explain::{Calibration, LossCell, Slice, SuspiciousLabels};

use crate::explain::found::{Features, Found, ranked_by};
use crate::explain::part::{LargeLoss, Section};
use crate::explain::subject::{Subject, per_cent, short};
use crate::explain::training::HEADINGS;
use crate::output;

/// Columns of a line.
const WIDTH: usize = 80;

/// Times the rows of the smallest class that the largest one has where classes are imbalanced.
const IMBALANCE: usize = 10;

/// The whole text.
pub fn of(found: &Found, subject: &Subject) -> String {
    let mut text = folded(&summary(found));
    let mut section = |heading: &str, content: String| {
        let _ = write!(text, "\n{heading}\n{content}");
    };
    section(
        "Labels that are probably wrong",
        or_why(&found.labels, |of| labels(of, found, subject)),
    );
    section("Rows with the largest loss", large(found, subject));
    if let Some(training) = &found.training {
        section(
            "Training rows behind them",
            or_why(training, |of| folded(&of.about()) + &table(&HEADINGS, of.table(subject))),
        );
    }
    section("Slices with a high loss", or_why(&found.slices, |of| slices(of, subject)));
    section("Loss by class", or_why(&found.cells, |of| cells(of, found, subject)));
    section("Features", or_why(&found.features, |of| features(of, found.top)));
    section("Are the probabilities right?", or_why(&found.calibration, calibration));
    if let Some(sharpness) = &found.sharpness {
        section("How sharp is the minimum?", or_why(sharpness, |of| folded(&of.words())));
    }
    text
}

pub fn summary(found: &Found) -> String {
    let accuracy =
        found.accuracy.map_or(String::new(), |share| format!(", {} right", per_cent(share)));
    let start =
        format!("{} rows: mean {} {}{accuracy}.", found.rows, found.loss, short(found.mean_loss));
    let shares = match &found.not_finite {
        Some(reason) => format!("Shares of the loss are not known: {reason}"),
        None if !found.top_shares.iter().all(|share| share.is_finite()) => {
            "Shares of the loss are not known: its sum is not finite".into()
        }
        None => format!(
            "The 1 % of the rows with the largest loss have {} of it, the 10 % {}",
            per_cent(found.top_shares[0]),
            per_cent(found.top_shares[1])
        ),
    };
    format!("{start} {shares}.")
}

pub fn or_why<T>(section: &Section<T>, words: impl FnOnce(&T) -> String) -> String {
    match section {
        Ok(found) => words(found),
        Err(reason) => folded(&format!("Not known: {reason}.\n")),
    }
}

/// Lines of at most 80 columns, broken between words.
pub fn folded(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut length = 0;
        for word in line.split(' ') {
            let letters = word.chars().count();
            if length > 0 && length + 1 + letters > WIDTH {
                out.push('\n');
                length = 0;
            } else if length > 0 {
                out.push(' ');
                length += 1;
            }
            out.push_str(word);
            length += letters;
        }
        out.push('\n');
    }
    out
}

/// A table of at most 80 columns.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table: Table = output::table(headings);
    table.set_width(WIDTH as u16);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    format!("{table}\n")
}

/// The cells of rows below their table, where a column would leave them no width.
fn cells_of(rows: impl Iterator<Item = usize>, subject: &Subject) -> String {
    let line = |row: usize| match subject.cells_in_words(row) {
        cells if cells.is_empty() => String::new(),
        cells => folded(&format!("{}: {cells}", subject.place(row))),
    };
    rows.map(line).collect()
}

pub fn about_labels(found: &SuspiciousLabels) -> String {
    let rare = match is_imbalanced(&found.cross_entropy.target) {
        true => {
            " The classes are imbalanced, so that suspicion falls on the rare ones, whose rows are hardly learnt: it is no proof."
        }
        false => "",
    };
    format!(
        "Two networks were trained again on these rows, and the labels are ranked by {}. Both prefer another class for {} of the rows, \
         their own errors among them; wrong labels that both have learnt are missing. Look at them in this order; correct or leave out what is wrong, then train again.{rare}",
        ranked_by(found),
        per_cent(found.share)
    )
}

/// True if the largest class has many times the rows of the smallest one that occurs.
fn is_imbalanced(classes: &[usize]) -> bool {
    let mut rows = std::collections::HashMap::new();
    for class in classes {
        *rows.entry(class).or_insert(0_usize) += 1;
    }
    let (smallest, largest) = (rows.values().min(), rows.values().max());
    smallest.zip(largest).is_some_and(|(smallest, largest)| *largest >= IMBALANCE * smallest)
}

fn labels(found: &SuspiciousLabels, all: &Found, subject: &Subject) -> String {
    let row = |&row: &usize| {
        let label = found.cross_entropy.target[row];
        vec![
            subject.place(row),
            subject.class(label),
            subject.class(found.suggested[row]),
            format!("{:.3}", found.suspicion[row]),
        ]
    };
    let disputed = found.disputed();
    let shown = || disputed.iter().take(all.top);
    let headings = ["where", "label", "rather", "suspicion"];
    let list = match disputed.is_empty() {
        true => "No label is disputed by both.\n".into(),
        false => table(&headings, shown().map(row)) + &cells_of(shown().copied(), subject),
    };
    folded(&about_labels(found)) + &list
}

fn large(found: &Found, subject: &Subject) -> String {
    let has_classes = found.large.iter().any(|large| large.class.is_some());
    let mut headings = vec!["where", "target", "predicted"];
    headings.extend(has_classes.then_some("p(target)"));
    headings.extend(["loss", "gradient"]);
    let row = |large: &LargeLoss| {
        let mut cells = vec![subject.place(large.row)];
        cells.extend(target_and_prediction(large, subject));
        if has_classes {
            let p = large.class.and_then(|(_, _, p)| p);
            cells.push(p.map_or("-".into(), |p| format!("{p:.4}")));
        }
        cells.push(short(large.loss));
        cells.push(large.gradient_norm.map_or("-".into(), short));
        cells
    };
    let cells = cells_of(found.large.iter().map(|large| large.row), subject);
    table(&headings, found.large.iter().map(row)) + &cells
}

/// The target and the prediction of a row.
pub fn target_and_prediction(large: &LargeLoss, subject: &Subject) -> [String; 2] {
    let numbers = |all: &[f64]| all.iter().map(|&x| short(x)).collect::<Vec<_>>().join(", ");
    match large.class {
        Some((target, predicted, _)) => [subject.class(target), subject.class(predicted)],
        None => [numbers(&subject.target_numbers(large.row)), numbers(&large.numbers)],
    }
}

/// The conditions of a slice.
pub fn conditions(slice: &Slice, subject: &Subject) -> String {
    let all: Vec<String> =
        slice.conditions.iter().map(|condition| subject.condition(condition)).collect();
    all.join(" and ")
}

pub const NO_SLICES: &str = "None: no slice of at least 1 % of the rows that explains 5 % of the variance of the loss holds on the other half of the rows.";

fn slices(found: &[Slice], subject: &Subject) -> String {
    if found.is_empty() {
        return folded(NO_SLICES);
    }
    let row = |slice: &Slice| {
        vec![
            conditions(slice, subject),
            slice.rows.len().to_string(),
            short(slice.mean_loss),
            short(slice.rest_loss),
            per_cent(slice.share_of_loss),
            format!("{:.1e}", slice.p),
        ]
    };
    let headings = ["rows where", "rows", "loss", "elsewhere", "of all loss", "p"];
    table(&headings, found.iter().map(row))
}

fn cells(found: &[LossCell], all: &Found, subject: &Subject) -> String {
    let row = |cell: &LossCell| {
        vec![
            subject.class(cell.target),
            subject.class(cell.predicted),
            cell.rows.to_string(),
            short(cell.mean_loss),
            per_cent(cell.share),
        ]
    };
    let headings = ["target", "predicted", "rows", "mean loss", "of all loss"];
    table(&headings, found.iter().take(all.top).map(row))
}

pub fn about_features(found: &Features) -> String {
    let mut text = String::new();
    if found.shuffled_rows > 0 {
        let _ = write!(
            text,
            "shuffled: rise of the mean loss if the column is shuffled between {} rows (5 times). ",
            found.shuffled_rows
        );
    }
    if let Some(residual) = found.residual {
        let _ = write!(
            text,
            "part of the loss: mean size of its integrated gradient over {} rows, whose sums miss the loss by at most {residual:.1e}. ",
            found.attributed_rows
        );
    }
    if let Some(reason) = &found.why_not {
        let _ = write!(text, "No attributions: {reason}.");
    }
    text.trim_end().into()
}

fn features(found: &Features, top: usize) -> String {
    let row = |feature: &&crate::explain::found::Feature| {
        let increase = feature.increase.map_or("-".into(), |(mean, deviation)| {
            format!("{} ± {}", short(mean), short(deviation))
        });
        vec![feature.name.clone(), increase, feature.attribution.map_or("-".into(), short)]
    };
    let list = found.ordered();
    let rows = list.iter().take(top).map(row);
    folded(&about_features(found)) + &table(&["feature", "shuffled", "part of the loss"], rows)
}

pub fn about_calibration(found: &Calibration) -> String {
    let over = found.overconfidence();
    let verdict = match () {
        () if over > 0.01 => "too sure",
        () if over < -0.01 => "not sure enough",
        () => "about as sure as it is right",
    };
    let side = if over < 0.0 { "below" } else { "above" };
    // At its largest the temperature makes all classes alike.
    if found.is_temperature_at_limit() {
        return format!(
            "The model is {verdict}: its largest probability is {} on average {side} its accuracy. Expected calibration error {} (15 bins), Brier \
             score {}, log loss {}. No temperature up to {} is best: on these rows the probabilities say no more than none.",
            short(over.abs()),
            short(found.expected_error),
            short(found.brier),
            short(found.log_loss),
            short(found.temperature),
        );
    }
    format!(
        "The model is {verdict}: its largest probability is {} on average {side} its accuracy. Expected calibration error {} (15 bins), \
         Brier score {}, log loss {}. Dividing the logits by a temperature of {} would make it a log loss of {} and a calibration error of {} \
         on these rows.",
        short(over.abs()),
        short(found.expected_error),
        short(found.brier),
        short(found.log_loss),
        short(found.temperature),
        short(found.log_loss_at_temperature),
        short(found.expected_error_at_temperature)
    )
}

pub fn calibration(found: &Calibration) -> String {
    let bins = found.bins.iter().filter(|bin| bin.rows > 0);
    let row = |bin: &gradus::explain::Bin| {
        vec![
            format!("{:.2} to {:.2}", bin.limits[0], bin.limits[1]),
            bin.rows.to_string(),
            format!("{:.3}", bin.confidence),
            format!("{:.3}", bin.accuracy),
        ]
    };
    let headings = ["largest probability", "rows", "its mean", "right"];
    folded(&about_calibration(found)) + &table(&headings, bins.map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_imbalanced_from_ten_to_one_on() {
        assert!(!is_imbalanced(&[]));
        assert!(!is_imbalanced(&[3; 40]));
        let of = |rare: usize| [vec![0_usize; 20], vec![2; rare]].concat();
        assert!(is_imbalanced(&of(2)));
        assert!(!is_imbalanced(&of(3)));
    }
}
