//! The generated documentation pages (losses, equivalents) match the catalogues.
//! `GRADUS_WRITE_DOCS=1 cargo test --release --test conventions docs` writes them.

use std::path::{Path, PathBuf};

use gradus::{activations, losses, optimizers, schedules};

/// Groups of losses by purpose, in the order of docs/losses.md.
const GROUPS: [(&str, &[&str]); 11] = [
    (
        "Regression: numbers of any sign",
        &["mse", "mae", "huber", "smooth_l1", "log_cosh", "pseudo_huber", "cauchy", "lp"],
    ),
    (
        "Regression: quantiles, tolerances, uncertainty",
        &[
            "quantile",
            "expectile",
            "epsilon_insensitive",
            "squared_epsilon_insensitive",
            "gaussian_nll",
        ],
    ),
    (
        "Regression: counts, amounts, ratios",
        &["poisson_nll", "gamma_deviance", "tweedie", "mape", "msle"],
    ),
    (
        "Two classes, or many labels at once",
        &[
            "bce_with_logits",
            "bce",
            "binary_focal",
            "multilabel_soft_margin",
            "multilabel_margin",
            "soft_margin",
            "hinge",
            "squared_hinge",
            "perceptron",
            "modified_huber",
            "exponential",
            "hinge_embedding",
        ],
    ),
    (
        "One class of many",
        &[
            "cross_entropy",
            "nll",
            "focal",
            "poly1_cross_entropy",
            "poly_cross_entropy",
            "generalized_cross_entropy",
            "multi_margin",
            "multiclass_hinge",
            "categorical_hinge",
            "ordinal",
            "sparsemax",
            "entmax",
        ],
    ),
    (
        "Distributions, distillation, overlap of masks",
        &["kl_div", "jsd", "total_variation", "distillation", "dice", "tversky"],
    ),
    (
        "Ranking: lists and pairs of scores",
        &[
            "lambda_rank",
            "list_net",
            "list_mle",
            "approx_ndcg",
            "approx_mrr",
            "ranking_softmax",
            "unique_softmax",
            "calibrated_softmax",
            "pairwise_logistic",
            "pairwise_hinge",
            "pairwise_soft_zero_one",
            "margin_ranking",
            "bpr",
        ],
    ),
    (
        "Embeddings and similarity",
        &[
            "cosine_similarity",
            "cosine_embedding",
            "contrastive",
            "triplet_margin",
            "batch_triplet",
            "info_nce",
            "sup_con",
            "nt_xent",
            "multi_similarity",
            "circle",
        ],
    ),
    ("Sequences", &["ctc"]),
    ("Preferences between completions", &["dpo", "simpo", "orpo", "kto"]),
    (
        "Fused with the last linear layer",
        &[
            "linear_cross_entropy",
            "linear_distillation",
            "linear_multilabel_soft_margin",
            "linear_dpo",
            "linear_simpo",
            "linear_orpo",
            "linear_kto",
        ],
    ),
];

/// A table cell with escaped bars.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(cells: &[&str]) -> String {
    format!("| {} |\n", cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "))
}

fn page_of_losses() -> String {
    let mut text = format!(
        "# Losses\n\n{} losses, grouped by what they are for. `gradus losses NAME` shows one with its inputs, options and source; \
         [equivalents.md](equivalents.md) has optimizers, schedules and activations too. In the formulas x is the prediction, y or t the target, \
         e = x − y, [·]₊ = max(·, 0), σ the sigmoid, sp the softplus ln(1 + eˣ), lse the logarithm of the sum of exponentials. Written from \
         the lists by `tests/conventions/docs.rs`.\n",
        losses::CATALOGUE.len(),
    );
    for (group, names) in GROUPS {
        text += &format!(
            "\n## {group}\n\n| loss | for | formula | PyTorch | Keras | optax, jax |\n|---|---|---|---|---|---|\n"
        );
        for name in names {
            let entry = losses::entry(name).expect("the groups name losses that there are");
            let name = format!("`{name}`");
            text += &line(&[
                &name,
                entry.summary,
                entry.formula,
                entry.torch,
                entry.keras,
                entry.optax,
            ]);
        }
    }
    text
}

fn equivalents() -> String {
    let mut text = String::from(
        "# Equivalents\n\nThe same in PyTorch, Keras, optax or jax and gradus; a cell is empty where there is none. Written from the lists by \
         `tests/conventions/docs.rs`; `gradus losses NAME` shows one with its inputs and options.\n",
    );
    macro_rules! section {
        ($title:literal, $list:expr) => {
            text += concat!(
                "\n## ",
                $title,
                "\n\n| PyTorch | Keras | optax, jax | gradus |\n|---|---|---|---|\n"
            );
            for entry in $list {
                text +=
                    &line(&[entry.torch, entry.keras, entry.optax, &format!("`{}`", entry.name)]);
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
fn the_page_of_losses_says_what_the_lists_say() {
    holds("docs/losses.md", &page_of_losses());
}

#[test]
fn every_loss_is_in_one_group() {
    let mut grouped: Vec<&str> =
        GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let mut listed: Vec<&str> = losses::CATALOGUE.iter().map(|entry| entry.name).collect();
    grouped.sort_unstable();
    listed.sort_unstable();
    assert_eq!(grouped, listed, "GROUPS in this file names each loss once");
}

/// The documentation pages, relative to the repository root.
const PAGES: [&str; 14] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/command.md",
    "docs/correctness.md",
    "docs/data.md",
    "docs/equivalents.md",
    "docs/library.md",
    "docs/limits.md",
    "docs/losses.md",
    "docs/performance.md",
    "docs/ranking.md",
    "docs/recommenders.md",
    "docs/rejected.md",
];

/// Paths that a page refers to: links, and repository paths in backticks. Patterns (`NAME`, `*`,
/// `…`) and the example in CONTRIBUTING.md are skipped.
fn paths_of(page: &str, text: &str) -> Vec<PathBuf> {
    const FOLDERS: [&str; 8] =
        ["src/", "shaders/", "tests/", "benches/", "data/", "docs/", "examples/", ".github/"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(page).parent().expect("a page is in a folder").to_path_buf();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links
        .filter(|link| !link.contains("://"))
        .map(|link| folder.join(link.split('#').next().unwrap_or(link)));
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        FOLDERS.iter().any(|folder| word.starts_with(folder))
            && !word.contains(['*', '…', '{', ' ', '\n'])
            && !word.contains("NAME")
            && !word.contains("welsch")
    };
    links.chain(quoted.filter(is_path).map(|path| root.join(path))).collect()
}

#[test]
fn every_path_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    let mut found = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        for path in paths_of(page, &text) {
            found += 1;
            if !path.exists() {
                missing.push(format!("{page}: {}", path.display()));
            }
        }
    }
    assert!(found > 100, "only {found} paths were found in the pages");
    assert!(missing.is_empty(), "these do not exist:\n{}", missing.join("\n"));
}

#[test]
fn the_readme_counts_what_the_lists_have() {
    let readme = include_str!("../../README.md");
    for count in [
        format!("**{} losses**", losses::CATALOGUE.len()),
        format!("{} optimizers", optimizers::CATALOGUE.len()),
        format!("{} schedules", schedules::CATALOGUE.len()),
    ] {
        assert!(readme.contains(&count), "README.md does not say `{count}`");
    }
    assert!(readme.lines().count() < 150, "the README is for five minutes");
}

/// The loss worked through in CONTRIBUTING.md is written as the losses are: its implementation block and
/// the reference to its shader are those of a loss with the same option.
#[test]
fn the_worked_loss_is_written_as_the_losses_are() {
    let page = include_str!("../../CONTRIBUTING.md");
    let pattern = include_str!("../../src/losses/cauchy.rs");
    let (start, end) = (pattern.find("\nimpl "), pattern.rfind("\nimpl Pointwise"));
    let (start, end) =
        (start.expect("cauchy implements a trait"), end.expect("cauchy is pointwise"));
    let shader = pattern.lines().find(|line| line.trim_start().starts_with("shader:"));
    for expected in [&pattern[start..end], shader.expect("cauchy names its shader")] {
        let expected = expected.replace("Cauchy", "Welsch").replace("cauchy", "welsch");
        assert!(
            page.contains(expected.trim()),
            "CONTRIBUTING.md does not have\n{}\nas src/losses/cauchy.rs has it",
            expected.trim()
        );
    }
}
