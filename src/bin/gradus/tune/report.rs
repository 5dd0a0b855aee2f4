//! What a search found: the leaderboard, the comparison with the default, and what mattered.

use std::fmt::Write;
use std::path::Path;

use gradus::text;
use gradus::tune::{State, Trial, Tuned};
use serde_json::{Value, json};

use crate::output;

/// Trials in the leaderboard.
const SHOWN: usize = 8;

/// Parameters among those that mattered.
const MATTERED: usize = 6;

/// The result of a search and the command that trains what it took.
pub struct Report<'a> {
    pub tuned: &'a Tuned,
    pub command: String,
    pub out: Option<&'a Path>,
}

impl Report<'_> {
    pub fn as_text(&self) -> String {
        let tuned = self.tuned;
        let failed = tuned.trials.iter().filter(|trial| trial.state == State::Failed).count();
        let mut text = format!(
            "{} trials, {} rungs, {} row-updates{}\n",
            tuned.trials.len(),
            tuned.rungs,
            grouped(tuned.cost),
            if failed == 0 { String::new() } else { format!(", {failed} failed") }
        );
        text += &self.leaderboard();
        text += &self.comparison();
        let mattered = tuned.importances.iter().filter(|one| one.share >= 0.01).take(MATTERED);
        let mattered: Vec<String> =
            mattered.map(|one| format!("{} {:.0} %", one.parameter, 100.0 * one.share)).collect();
        if !mattered.is_empty() {
            let _ = writeln!(
                text,
                "{}",
                output::folded(&format!(
                    "what mattered at the first rung (share of the variance): {}",
                    mattered.join(", ")
                ))
            );
        }
        let _ = writeln!(text, "{}", output::folded(&self.command));
        if let Some(out) = self.out {
            let _ = writeln!(text, "saved to {}, trained on all rows", out.display());
        }
        text
    }

    fn leaderboard(&self) -> String {
        let tuned = self.tuned;
        let mut table = output::table(&[
            "trial",
            tuned.metric.name(),
            "rungs",
            "row-updates",
            "weights",
            "settings",
        ]);
        let order = tuned.leaderboard();
        let default = order.iter().position(|trial| trial.number == 0);
        let shown = order.iter().take(SHOWN);
        let rest = default.filter(|place| *place >= SHOWN).map(|place| &order[place]);
        for trial in shown.chain(rest) {
            table.add_row(vec![
                if trial.number == 0 { "default".into() } else { trial.number.to_string() },
                text::number(trial.last()),
                trial.values.len().to_string(),
                grouped(trial.cost),
                grouped(self.parameters(trial) as u64),
                self.settings(trial),
            ]);
        }
        format!("{table}\n")
    }

    /// The settings of a trial in a few words.
    pub(super) fn settings(&self, trial: &Trial) -> String {
        let candidate = self.tuned.candidate(&trial.configuration);
        let hidden: Vec<String> = candidate.hidden.iter().map(ToString::to_string).collect();
        let mut words = vec![candidate.loss.0.clone()];
        words.extend(candidate.loss.1.iter().map(|(name, value)| format!("{name}={value}")));
        words.push(if hidden.is_empty() {
            "linear".into()
        } else {
            format!("{} {}", hidden.join(","), candidate.activation)
        });
        words.push(format!("{} {}", candidate.optimizer.0, candidate.learning_rate));
        let decay = candidate.optimizer.1.get("weight_decay");
        words.extend(decay.map(|decay| format!("decay {decay}")));
        words.push(format!("batch {}", candidate.batch_size));
        words.push(candidate.schedule.clone());
        words.join(", ")
    }

    pub(super) fn parameters(&self, trial: &Trial) -> usize {
        let [inputs, outputs] = self.tuned.sizes;
        self.tuned.candidate(&trial.configuration).parameters(inputs, outputs)
    }

    /// The last comparison and why it ended so.
    fn comparison(&self) -> String {
        let Some(decision) = &self.tuned.decision else { return String::new() };
        if decision.splits == 0 {
            return format!("\n{}\n", output::folded(&decision.reason));
        }
        let name = self.tuned.metric.name();
        let mut text = format!("\nanew on {} splits, with new seeds:\n", decision.splits);
        let headings = ["trial", name, "in the search", "minus the default"];
        let mut table = output::table(&headings);
        for (place, one) in decision.finalists.iter().enumerate() {
            let mark = if place == decision.winner { " (taken)" } else { "" };
            let number = if one.trial == 0 { "default".into() } else { one.trial.to_string() };
            let difference = if place == 0 {
                String::new()
            } else {
                format!("{} ± {}", text::number(one.difference), text::number(one.error))
            };
            table.add_row(vec![
                format!("{number}{mark}"),
                text::number(one.value),
                text::number(one.searched),
                difference,
            ]);
        }
        let _ = writeln!(text, "{table}");
        let _ = writeln!(text, "{}", output::folded(&decision.reason));
        if decision.winner > 0 {
            let bias = text::number(decision.bias);
            let _ = writeln!(
                text,
                "{}",
                output::folded(&format!(
                    "the best of {} looks better for having been chosen, by {bias} ({name})",
                    decision.finalists.len()
                ))
            );
        }
        text
    }

    pub fn as_json(&self) -> Value {
        let tuned = self.tuned;
        let number = gradus::cases::number_to_json;
        let trial = |trial: &&Trial| {
            let settings: serde_json::Map<String, Value> = tuned
                .space
                .values(&trial.configuration)
                .map(|(name, value)| {
                    (name.to_string(), serde_json::from_str(&value).unwrap_or(json!(value)))
                })
                .collect();
            json!({
                "trial": trial.number, "bracket": trial.bracket, "state": state(trial.state),
                "values": trial.values.iter().map(|&value| number(value)).collect::<Vec<_>>(),
                "row_updates": trial.cost, "weights": self.parameters(trial), "settings": settings,
            })
        };
        let decision = tuned.decision.as_ref().map(|decision| {
            let finalists = decision.finalists.iter().map(|one| {
                json!({
                    "trial": one.trial, "rung": one.rung, "searched": number(one.searched),
                    "value": number(one.value), "difference": number(one.difference),
                    "standard_error": number(one.error),
                })
            });
            json!({
                "splits": decision.splits, "finalists": finalists.collect::<Vec<_>>(),
                "taken": decision.finalists[decision.winner].trial, "reason": decision.reason,
                "bias": number(decision.bias), "row_updates": decision.cost,
            })
        });
        let importances =
            tuned.importances.iter().map(|one| (one.parameter.clone(), json!(one.share)));
        json!({
            "metric": tuned.metric.name(),
            "trials": tuned.trials.len(),
            "rungs": tuned.rungs,
            "row_updates": tuned.cost,
            "decision": decision,
            "epochs": tuned.epochs,
            "command": self.command,
            "out": self.out.map(output::path),
            "importances": importances.collect::<serde_json::Map<_, _>>(),
            "leaderboard": tuned.leaderboard().iter().map(trial).collect::<Vec<_>>(),
        })
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Pruned => "pruned",
        State::Failed => "failed",
        State::Stopped => "stopped",
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word of a command line, in quotes if a shell would take it apart.
pub fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./,=:+%@".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_written_as_people_and_shells_read_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(quoted("--set"), "--set");
        assert_eq!(quoted("my file.csv"), "'my file.csv'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
