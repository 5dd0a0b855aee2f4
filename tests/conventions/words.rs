//! Words that only this project would use for what the field has a name for: none in code, comments and documents.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Words and what the field calls it. Matched as whole words; `_` ends no word, so that `negative_slope` is not `slope`.
const PRIVATE: &[(&str, &str)] = &[
    ("filling", "loss function"),
    ("fillings", "loss functions"),
    ("Filling", "LossDefinition"),
    ("twin", "CPU implementation"),
    ("twins", "CPU implementations"),
    ("comparer", "comparison"),
    ("quads", "preference"),
    ("Quads", "Preference"),
    ("poison", "nan"),
    ("TEAM", "THREADS_PER_ROW"),
    ("team", "row group"),
    ("HOLDS", "VEC4S_PER_THREAD"),
    ("HELD", "ROW_IN_REGISTERS"),
    ("AT_ONCE", "SINGLE_PASS"),
    ("TOGETHER", "ROWS_PER_THREAD"),
    ("PADDED", "TARGETS_ARE_PADDED"),
    ("treatment", "gradient transform"),
    ("Treatment", "GradientTransform"),
    ("settle", "apply update"),
    ("layerwise", "per tensor"),
    ("Aims", "StepOptions"),
    ("aims", "step options"),
    ("Objective", "TrainingSpec"),
    ("Course", "TrainingRun"),
    ("spoil", "abort"),
    ("spoiled", "aborted"),
    ("Crowd", "BatchedEngine"),
    ("crowd", "batched engine"),
    ("Pace", "LearningRatePolicy"),
    ("Intake", "InputSpec"),
    ("take_in", "prepare"),
    ("told", "reported"),
    ("tells", "reports"),
    ("Placed", "Node"),
    ("OfMember", "PerMember"),
    ("log_full", "ln_positive"),
    ("log1p_inside", "ln_1p_above_minus_one"),
    ("expm1_full", "exp_m1"),
    ("power_inside", "power_normal"),
    ("Spread", "Broadcast"),
    ("slopes", "gradients"),
    ("Standing", "SoftmaxStatistics"),
    ("Judged", "ValueWithPartials"),
    ("Judge", "Check"),
    ("Recipe", "CaseGenerator"),
    ("recipe", "case generator"),
];

fn is_part_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word is in a text, as numbers of lines.
fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(is_part_of_a_word)
                && !line[at + word.len()..].starts_with(is_part_of_a_word)
        })
    };
    text.lines().enumerate().filter(|(_, line)| has(line)).map(|(number, _)| number + 1).collect()
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
        for (word, field) in PRIVATE {
            let lines = lines_with(&text, word);
            found.extend(lines.iter().map(|line| format!("{name}:{line}: `{word}`: {field}")));
        }
    }
    assert!(found.is_empty(), "{} private words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_private_word_is_found_where_it_is_whole() {
    assert_eq!(lines_with("a\nthe twin of it\nentwined\ntwin_size", "twin"), [2]);
    assert!(lines_with("negative_slope slope_of", "slope").is_empty());
}
