//! Command lines of `gradus train` that follow from an advice.

use gradus::advise::{Advice, Candidate};
use serde_json::{Map, Value};

use crate::samples::source::Source;

/// With fewer rows a tenth of them is none.
const FEWEST_TO_VALIDATE: usize = 10;

/// The command line that trains with a loss; none for a loss that `train` has no inputs for.
pub fn train(source: &Source, advice: &Advice, loss: &Candidate) -> Option<String> {
    if !loss.library_only.is_empty() {
        return None;
    }
    let mut words: Vec<String> = vec!["gradus".into(), "train".into()];
    words.extend(source.as_flags(&advice.drop));
    let mut add = |flag: &str, value: String| words.extend([flag.to_string(), value]);
    add("--loss", loss.loss.into());
    settings(&loss.scaled_options).for_each(|setting| add("--set", setting));
    if loss.balanced {
        add("--class-weight", "balanced".into());
    }
    if !loss.pos_weight.is_empty() {
        let weights: Vec<String> = loss.pos_weight.iter().map(ToString::to_string).collect();
        add("--pos-weight", weights.join(","));
    }
    let network = &advice.network;
    let hidden: Vec<String> = network.hidden.iter().map(ToString::to_string).collect();
    add("--hidden", hidden.join(","));
    add("--optimizer", advice.optimizer.optimizer.into());
    settings(&advice.optimizer.options).for_each(|setting| add("--optimizer-set", setting));
    add("--learning-rate", advice.optimizer.learning_rate.to_string());
    add("--batch-size", network.batch_size.to_string());
    add("--epochs", network.epochs.to_string());
    if advice.rows < FEWEST_TO_VALIDATE {
        add("--validation", "0".into());
    } else {
        add("--patience", network.patience.to_string());
    }
    Some(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

fn settings(options: &Map<String, Value>) -> impl Iterator<Item = String> {
    options.iter().map(|(name, value)| format!("{name}={value}"))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_./:,=+-@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line in lines of at most so many letters, each but the last continued by a backslash.
pub fn folded(command: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = vec![indent.into()];
    for part in parts(command) {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        // ` \` stands behind each line but the last.
        if last > indent.len() && last + 1 + part.chars().count() + 2 > width {
            lines.push(format!("{indent}  "));
        } else if last > indent.len() {
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        }
        lines.last_mut().into_iter().for_each(|line| line.push_str(&part));
    }
    lines.join(" \\\n")
}

/// The command line cut before each flag: a flag stays with its value.
fn parts(command: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_quoted = false;
    for word in command.split(' ') {
        let begins = !is_quoted && word.starts_with("--");
        match parts.last_mut() {
            Some(last) if !begins => {
                last.push(' ');
                last.push_str(word);
            }
            _ => parts.push(word.into()),
        }
        is_quoted ^= word.matches('\'').count() % 2 == 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_each_word_as_it_was() {
        assert_eq!(quoted("a/b.csv"), "a/b.csv");
        assert_eq!(quoted("house value"), "'house value'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
    }

    #[test]
    fn a_folded_command_is_the_same_words() {
        let command = "gradus train --data 'my --long file.csv' --target y --loss mse --epochs 5";
        let text = folded(command, 40, "  ");
        assert!(text.lines().all(|line| line.chars().count() <= 42), "{text}");
        assert!(text.contains("--data 'my --long file.csv'"));
        let words: String = text.replace(" \\\n", "").split_whitespace().collect();
        assert_eq!(words, command.split_whitespace().collect::<String>());
        let last = text.lines().count() - 1;
        assert!(text.lines().enumerate().all(|(at, line)| line.ends_with(" \\") == (at < last)));
    }
}
