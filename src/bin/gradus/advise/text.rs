//! Advice as text of 80 columns.

use std::fmt::Write as _;

use gradus::advise::{Advice, Candidate, Statistic};
use gradus::text::{count, significant};
use serde_json::{Map, Value};

use crate::advise::command;
use crate::samples::source::Source;

/// Width of the text.
const WIDTH: usize = 80;

/// Classes that are named.
const MOST_NAMED: usize = 8;

/// The whole text, warnings first.
pub fn text(source: &Source, advice: &Advice, commands: &[Option<String>]) -> String {
    let mut text = String::new();
    if !advice.warnings.is_empty() {
        text += "warnings\n";
        for warning in &advice.warnings {
            text += &wrapped(&warning.text, "  ! ", "    ");
        }
        text += "\n";
    }
    text += &wrapped(&task_in_words(source, advice), "", "  ");
    text += &wrapped(&advice.task.reason, "  ", "  ");
    text += &wrapped(&classes_in_words(advice), "  ", "    ");
    if !advice.statistics.is_empty() {
        text += "\nstatistics: value, limit (* beyond it), what follows\n";
        let (beyond, within): (Vec<&Statistic>, Vec<&Statistic>) =
            advice.statistics.iter().partition(|statistic| statistic.is_beyond);
        for statistic in beyond.into_iter().chain(within) {
            text += &statistic_in_words(statistic);
        }
    }
    text += "\nlosses, the recommended one first\n";
    for (place, (loss, command)) in advice.losses.iter().zip(commands).enumerate() {
        text += &loss_in_words(place + 1, loss, command.as_deref());
    }
    let optimizer = &advice.optimizer;
    let [low, high] = optimizer.band;
    let _ = write!(
        text,
        "\noptimizer: {}{} at learning rate {}, from {low} to {high} worth a try\n",
        optimizer.optimizer,
        options_in_words(&optimizer.options),
        optimizer.learning_rate
    );
    text += &wrapped(&format!("{} ({})", optimizer.reason, optimizer.source), "  ", "  ");
    let hidden: Vec<String> = advice.network.hidden.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "network: hidden {}", hidden.join(","));
    text += &wrapped(&advice.network.reason, "  ", "  ");
    text
}

/// `target `price`: numbers; 20,640 rows, 14 columns of numbers`
pub fn task_in_words(source: &Source, advice: &Advice) -> String {
    let target = source.target().map_or("the targets".into(), |name| format!("target `{name}`"));
    let mut text = format!(
        "{target}: {}; {} rows, {} columns of numbers",
        advice.task.kind.in_words(),
        count(advice.rows as u64),
        count(advice.features as u64)
    );
    let rivals: Vec<&str> = advice.task.rivals.iter().map(|kind| kind.in_words()).collect();
    if !rivals.is_empty() {
        text += &format!("; or else: {}", rivals.join(", "));
    }
    text
}

fn classes_in_words(advice: &Advice) -> String {
    let classes = &advice.task.classes;
    let shown: Vec<String> = classes
        .iter()
        .take(MOST_NAMED)
        .map(|(name, rows)| format!("{name}: {}", count(*rows as u64)))
        .collect();
    match classes.len() {
        0 => String::new(),
        all if all > MOST_NAMED => {
            format!("rows: {} and {} more", shown.join(", "), all - MOST_NAMED)
        }
        _ => format!("rows: {}", shown.join(", ")),
    }
}

/// A value with its limit, as a share if it is one.
pub fn value_and_limit(statistic: &Statistic) -> [String; 2] {
    let of =
        |value: f64| match statistic.name.ends_with("_share") || statistic.name == "label_noise" {
            true => format!("{} %", significant(100.0 * value, 3)),
            false => significant(value, 3),
        };
    [of(statistic.value), statistic.threshold.map_or(String::new(), of)]
}

fn statistic_in_words(statistic: &Statistic) -> String {
    let [value, limit] = value_and_limit(statistic);
    let mark = if statistic.is_beyond { '*' } else { ' ' };
    let line = format!("{mark} {:<20} {value:>9} {limit:>7}  ", statistic.name);
    let indent = " ".repeat(line.chars().count());
    let follows = match statistic.is_beyond && !statistic.consequence.is_empty() {
        true => format!(" → {}", statistic.consequence),
        false => String::new(),
    };
    let text = format!("{}{follows}", statistic.meaning);
    wrapped(&text, &line, &indent)
}

/// The name of a loss with its options in the unit of the targets.
pub fn name_of(loss: &Candidate) -> String {
    let mut text = format!("{}{}", loss.loss, options_in_words(&loss.options));
    if loss.balanced {
        text += " with balanced class weights";
    }
    if !loss.pos_weight.is_empty() {
        text += " with weights of the positive side";
    }
    text
}

fn options_in_words(options: &Map<String, Value>) -> String {
    options.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

fn loss_in_words(place: usize, loss: &Candidate, command: Option<&str>) -> String {
    let mut text = wrapped(
        &format!("{}: estimates {}; metric: {}", name_of(loss), loss.estimates, loss.metric),
        &format!("{place}. "),
        "   ",
    );
    text += &wrapped(&format!("{} ({})", loss.reason, loss.source), "   ", "   ");
    match command {
        Some(command) => text += &format!("{}\n", command::folded(command, WIDTH, "     ")),
        None => {
            text += &wrapped(&format!("in the library: it {}", loss.library_only), "     ", "     ")
        }
    }
    text
}

/// Lines between words of at most 80 letters; nothing for an empty text.
fn wrapped(text: &str, first: &str, indent: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut lines: Vec<String> = vec![first.into()];
    let mut is_begun = false;
    for word in text.split(' ') {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if is_begun && length + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{indent}{word}"));
            continue;
        }
        if let Some(line) = lines.last_mut() {
            if is_begun {
                line.push(' ');
            }
            line.push_str(word);
        }
        is_begun = true;
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_at_80_columns() {
        let text = wrapped(&"word ".repeat(60), "  ! ", "    ");
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.chars().count() <= 80));
        assert!(
            text.starts_with("  ! word")
                && text.lines().skip(1).all(|line| line.starts_with("    word"))
        );
        assert_eq!(wrapped("", "a", "b"), "");
    }
}
