//! Words that only this project would use for what the field has a name for: none in code, comments and documents.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Words and what the field calls it. Found in any case, alone or as a part of an identifier:
/// `Twin`, `twin_of`, `HAS_TWIN`, `asTwin`.
const WORDS: &[(&str, &str)] = &[
    ("filling", "loss function"),
    ("fillings", "loss functions"),
    ("twin", "CPU implementation"),
    ("twins", "CPU implementations"),
    ("comparer", "comparison"),
    ("quads", "preference"),
    ("poison", "nan"),
    ("treatment", "gradient transform"),
    ("layerwise", "per tensor"),
    ("aims", "step options"),
    ("spoil", "abort"),
    ("spoiled", "aborted"),
    ("crowd", "batched engine"),
    ("intake", "input specification"),
    ("told", "reported"),
    ("tells", "reports"),
    ("slopes", "gradients"),
    ("recipe", "case generator"),
];

/// Identifiers of this project whose parts are plain English, and what the field calls it. Found
/// where they are whole and in this case.
const NAMES: &[(&str, &str)] = &[
    ("TEAM", "THREADS_PER_ROW"),
    ("team", "row group"),
    ("HOLDS", "VEC4S_PER_THREAD"),
    ("HELD", "ROW_IN_REGISTERS"),
    ("AT_ONCE", "SINGLE_PASS"),
    ("TOGETHER", "ROWS_PER_THREAD"),
    ("PADDED", "TARGETS_ARE_PADDED"),
    ("settle", "apply update"),
    ("Aims", "StepOptions"),
    ("Objective", "TrainingSpec"),
    ("Course", "TrainingRun"),
    ("Pace", "LearningRatePolicy"),
    ("take_in", "prepare"),
    ("Placed", "Node"),
    ("OfMember", "PerMember"),
    ("log_full", "ln_positive"),
    ("log1p_inside", "ln_1p_above_minus_one"),
    ("expm1_full", "exp_m1"),
    ("power_inside", "power_normal"),
    ("Spread", "Broadcast"),
    ("Standing", "SoftmaxStatistics"),
    ("Judged", "ValueWithPartials"),
    ("Judge", "Check"),
];

/// Identifiers of the standard library that hold one of the words.
const FOREIGN: &[&str] = &["PoisonError"];

/// How the name of a loss is written that its authors gave it: in text, in Rust and in WGSL.
const NAMED_BY_OTHERS: &[&str] = &["Barlow Twins", "BarlowTwins", "barlow_twins", "BARLOW_TWINS"];

fn is_part_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of an identifier in lower case: parted at `_` and where a capital begins one.
fn parts(identifier: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in identifier.split('_') {
        let letters: Vec<char> = piece.chars().collect();
        for (place, &letter) in letters.iter().enumerate() {
            let after_small = place == 0 || !letters[place - 1].is_uppercase();
            let before_small = letters.get(place + 1).is_some_and(|next| next.is_lowercase());
            let begins = letter.is_uppercase() && (after_small || before_small);
            match parts.last_mut() {
                Some(last) if place > 0 && !begins => last.extend(letter.to_lowercase()),
                _ => parts.push(letter.to_lowercase().collect()),
            }
        }
    }
    parts
}

/// The private words in a line, with what the field calls them.
fn private_words(line: &str) -> Vec<(&'static str, &'static str)> {
    // The published name of a loss holds one of the words.
    let line = NAMED_BY_OTHERS.iter().fold(line.to_string(), |line, name| line.replace(name, ""));
    let identifiers = line.split(|c| !is_part_of_a_word(c));
    let mut found = Vec::new();
    for identifier in identifiers.filter(|word| !word.is_empty() && !FOREIGN.contains(word)) {
        found.extend(NAMES.iter().filter(|(name, _)| *name == identifier));
        let lower = identifier.to_lowercase();
        let mut held = WORDS.iter().filter(|(word, _)| lower.contains(word)).peekable();
        if held.peek().is_some() {
            let parts = parts(identifier);
            found.extend(held.filter(|(word, _)| parts.iter().any(|part| part == word)));
        }
    }
    found
}

/// The project's own files, as git has them.
fn files(root: &Path) -> Vec<String> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root).output();
    let listed = listed.expect("git lists the files of a checkout");
    let names = String::from_utf8_lossy(&listed.stdout);
    let is_read = |name: &&str| {
        let kind = Path::new(name).extension().and_then(|ending| ending.to_str());
        matches!(kind, Some("rs" | "wgsl" | "md" | "py" | "toml"))
            && *name != "tests/conventions/words.rs"
    };
    names.lines().filter(is_read).map(str::to_string).collect()
}

#[test]
fn words_are_those_of_the_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() {
        println!("IGNORED: not a checkout of git");
        return;
    }
    let files = files(root);
    assert!(files.len() > 400, "only {} files are listed", files.len());
    let mut found = Vec::new();
    for name in files {
        let Ok(text) = fs::read_to_string(root.join(&name)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            for (word, field) in private_words(line) {
                found.push(format!("{name}:{number}: `{word}`: {field}"));
            }
        }
    }
    assert!(found.is_empty(), "{} private words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_private_word_is_found_in_whatever_it_is_a_part_of() {
    let found = |line| private_words(line).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(found("the twin of it"), ["twin"]);
    assert_eq!(found("let twin_size = HAS_TWIN + theTwin(ATwinOf);"), ["twin"; 4]);
    assert!(found("entwined twinkle negative_slope PoisonError").is_empty());
    // A name is whole and of one case.
    assert_eq!(found("team HELD Judge"), ["team", "HELD", "Judge"]);
    assert!(found("held Team most_held the_judge").is_empty());
}

#[test]
fn an_identifier_is_parted_at_underscores_and_capitals() {
    assert_eq!(parts("HTTPServer_of2Parts"), ["http", "server", "of2", "parts"]);
    assert_eq!(parts("MOST_AT_ONCE"), ["most", "at", "once"]);
}
