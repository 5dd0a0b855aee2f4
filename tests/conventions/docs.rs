//! The page of equivalents and the README's table say what the lists say. `GRADUS_WRITE_DOCS=1 cargo test --test conventions docs` writes them anew.

use gradus::losses::{self, Domain, Family, Loss};
use gradus::{activations, optimizers, schedules};
use serde_json::Value;

const BEGIN: &str = "<!-- losses: written by tests/conventions/docs.rs -->\n";
const END: &str = "<!-- end of losses -->";

/// The kinds of losses, in the order of the README.
const KINDS: [&str; 5] = [
    "numbers: one value for each element",
    "two classes, many labels",
    "classes and distributions: one value for each row",
    "ranking: lists",
    "several inputs: embeddings, sequences, scores, preferences, layers",
];

fn kind(loss: &dyn Loss) -> &'static str {
    let is_binary = |domain| matches!(domain, Domain::Sign | Domain::ZeroOne | Domain::Probability);
    match loss.family() {
        Family::Pointwise(_) if is_binary(loss.targets()) => KINDS[1],
        Family::Pointwise(_) => KINDS[0],
        Family::Rowwise(_) if !loss.targets().pads() => KINDS[2],
        Family::Rowwise(_) | Family::Listwise(_) => KINDS[3],
        Family::Joint(..) => KINDS[4],
    }
}

/// A cell of a table, in which a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(cells: &[&str]) -> String {
    format!("| {} |\n", cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "))
}

fn table_of_losses() -> String {
    let mut text = String::new();
    for kind_of_table in KINDS {
        text += &format!("\n| {kind_of_table} | formula | PyTorch | Keras | optax, jax |\n|---|---|---|---|---|\n");
        for entry in losses::CATALOGUE {
            let loss = (entry.make)(&Value::Null).expect("the defaults are allowed");
            if kind(&*loss) == kind_of_table {
                let name = format!("`{}`", entry.name);
                text += &line(&[&name, entry.formula, entry.torch, entry.keras, entry.optax]);
            }
        }
    }
    text + "\n"
}

fn equivalents() -> String {
    let mut text = String::from(
        "# Equivalents\n\nThe same in PyTorch, Keras, optax or jax and gradus; a cell is empty where there is none. Written from the lists by \
         `tests/conventions/docs.rs`; `gradus losses NAME` shows one with its inputs and options.\n",
    );
    macro_rules! section {
        ($title:literal, $list:expr) => {
            text += concat!("\n## ", $title, "\n\n| PyTorch | Keras | optax, jax | gradus |\n|---|---|---|---|\n");
            for entry in $list {
                text += &line(&[entry.torch, entry.keras, entry.optax, &format!("`{}`", entry.name)]);
            }
        };
    }
    section!("Losses", losses::CATALOGUE);
    section!("Optimizers", optimizers::CATALOGUE);
    section!("Schedules", schedules::CATALOGUE);
    section!("Activations", activations::CATALOGUE);
    text
}

fn holds(file: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("GRADUS_WRITE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let place = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let place = place.unwrap_or(found.lines().count().min(expected.lines().count())) + 1;
    assert!(
        found == expected,
        "{file} differs from the lists from line {place} on; GRADUS_WRITE_DOCS=1 cargo test --test conventions docs writes it"
    );
}

#[test]
fn the_page_of_equivalents_says_what_the_lists_say() {
    holds("docs/equivalents.md", &equivalents());
}

#[test]
fn the_table_of_the_readme_says_what_the_lists_say() {
    let readme = include_str!("../../README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the README marks where its table begins");
    let (_, after) = rest.split_once(END).expect("the README marks where its table ends");
    holds("README.md", &format!("{before}{BEGIN}{}{END}{after}", table_of_losses()));
}
