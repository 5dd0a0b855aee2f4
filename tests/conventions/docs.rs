//! The generated documentation pages (losses, layers, equivalents) match the catalogues.
//! `GRADUS_WRITE_DOCS=1 cargo test --release --test conventions docs` writes them.

use std::path::{Path, PathBuf};

use gradus::activations::Relu;
use gradus::layers::{
    self, Activate, AdaptiveAvgPool2d, AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten,
    GlobalAvgPool2d, GroupNorm, GumbelNoise, Layer, LayerNorm, MaskedMean, MaxPool2d, Parallel,
    PositionEmbedding, Residual, RmsNorm, SelfAttention, TiedDense, TokenEmbedding,
    TokenTypeEmbedding,
};
use gradus::{Dense, Sequential, activations, losses, optimizers, schedules};
use serde_json::Value as Json;

use crate::page::holds;

/// Groups of losses by purpose, in the order of docs/losses.md.
const GROUPS: [(&str, &[&str]); 14] = [
    (
        "Regression: numbers of any sign",
        &["mse", "mae", "huber", "smooth_l1", "log_cosh", "pseudo_huber", "cauchy", "barron", "lp"],
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
        &["poisson_nll", "gamma_deviance", "tweedie", "aft", "mape", "msle"],
    ),
    (
        "Two classes, or many labels at once",
        &[
            "bce_with_logits",
            "bce",
            "binary_focal",
            "asymmetric",
            "multilabel_soft_margin",
            "multilabel_margin",
            "soft_margin",
            "hinge",
            "squared_hinge",
            "perceptron",
            "modified_huber",
            "exponential",
            "binary_sparsemax",
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
            "logit_adjusted_cross_entropy",
            "ldam",
            "sampled_softmax",
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
        &[
            "kl_div",
            "generalized_kl",
            "jsd",
            "total_variation",
            "distillation",
            "dice",
            "generalized_dice",
            "tversky",
        ],
    ),
    (
        "Ranking: lists and pairs of scores",
        &[
            "lambda_rank",
            "list_net",
            "list_mle",
            "approx_ndcg",
            "approx_mrr",
            "rank_xendcg",
            "ranking_softmax",
            "unique_softmax",
            "calibrated_softmax",
            "pairwise_logistic",
            "pairwise_hinge",
            "pairwise_soft_zero_one",
            "pairwise_mse",
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
            "proxy_nca",
            "proxy_anchor",
            "info_nce",
            "n_pairs",
            "sup_con",
            "nt_xent",
            "multi_similarity",
            "circle",
            "barlow_twins",
            "vicreg",
        ],
    ),
    ("Boxes of detectors", &["iou", "giou", "diou", "ciou"]),
    ("Survival", &["cox"]),
    ("Sequences", &["ctc", "rnnt"]),
    ("Preferences between completions", &["dpo", "simpo", "orpo", "cpo", "kto"]),
    (
        "Reinforcement learning of language models",
        &["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"],
    ),
    (
        "Fused with the last linear layer",
        &[
            "linear_cross_entropy",
            "linear_distillation",
            "linear_multilabel_soft_margin",
            "linear_dpo",
            "linear_simpo",
            "linear_orpo",
            "linear_cpo",
            "linear_kto",
            "linear_grpo",
            "linear_bnpo",
            "linear_dr_grpo",
            "linear_dapo",
            "linear_cispo",
            "linear_sapo",
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

/// A layer of docs/layers.md.
struct LayerLine {
    layer: Box<dyn Layer>,
    /// Its name in Rust.
    rust: &'static str,
    /// Options without a default.
    required: &'static [&'static str],
    differences: &'static str,
}

fn layer_line<L: Layer>(
    layer: L,
    required: &'static [&'static str],
    differences: &'static str,
) -> LayerLine {
    let path = std::any::type_name::<L>();
    let rust = path.rsplit("::").next().unwrap_or(path);
    LayerLine { layer: Box::new(layer), rust, required, differences }
}

/// Every layer with its defaults, and how it differs from PyTorch's and Keras's, in the order of
/// the list.
fn layer_lines() -> Vec<LayerLine> {
    vec![
        layer_line(
            Activate::new(Relu),
            &["activation"],
            "softmax is over the last axis; `Gelu` is exact, as in PyTorch and Keras, and with `approximate` the one by tanh",
        ),
        layer_line(
            AdaptiveAvgPool2d::new(2),
            &["output"],
            "cells of PyTorch's sizes, which may overlap",
        ),
        layer_line(
            AvgPool2d::new(2),
            &["kernel"],
            "zeros of the padding count, as in PyTorch; in Keras they do not: \
             `count_include_pad(false)`",
        ),
        layer_line(
            BatchNorm::new(),
            &[],
            "PyTorch's momentum and ε. Keras: momentum 0.99, which is 1 − 0.99 = 0.01 here, and ε 1e-3. `running_var` \
             moves by the unbiased variance, as in PyTorch. Channels are the last axis",
        ),
        layer_line(
            Conv2d::new(1, 3),
            &["filters", "kernel"],
            "Keras's weights and initializer; PyTorch draws weight and bias from U(−a, a), a = 1/√inputs. \
             `Padding::Same` works with any stride, as in Keras; PyTorch's with stride 1 alone. Padding is of zeros",
        ),
        layer_line(
            Dense::new(1),
            &["units"],
            "Keras's weights [inputs, units] and initializer; PyTorch's weight is [units, inputs], drawn from U(−a, a), \
             a = 1/√inputs, and so is its bias",
        ),
        layer_line(
            Dropout::new(0.5),
            &["rate"],
            "the same places on every device and in a resumed training. NaN at a place that is dropped becomes 0; \
             PyTorch multiplies it by 0 and keeps it",
        ),
        layer_line(
            Flatten::new(),
            &[],
            "the order is height, width, channels, as in Keras; in PyTorch channels, height, width",
        ),
        layer_line(GlobalAvgPool2d::new(), &[], "the output is [channels], as in Keras"),
        layer_line(GroupNorm::new(1), &["groups"], "for images. Keras: ε 1e-3"),
        layer_line(
            GumbelNoise::new(1.0),
            &["scale"],
            "one draw for each step, the same on every device and in a resumed training; TF-Ranking's sampler draws several. \
             Behind the scores of a network, before a loss of lists",
        ),
        layer_line(
            LayerNorm::new(),
            &[],
            "over the last axis; PyTorch may take several. Keras: ε 1e-3",
        ),
        layer_line(
            MaskedMean::new(0),
            &["padding"],
            "tokens in front of the trailing padding count, and padding between others too",
        ),
        layer_line(
            MaxPool2d::new(2),
            &["kernel"],
            "PyTorch's rules: of equal numbers the first in a window, row by row, gets \
             the gradient; NaN wins; padding never does. No dilation",
        ),
        layer_line(
            Parallel::concat(),
            &["join", "branches"],
            "`Parallel::add()` or `Parallel::concat()`, which joins the last axis: the channels of images",
        ),
        layer_line(
            PositionEmbedding::new(),
            &[],
            "`rows` is by default the tokens. Drawn from N(0, 0.02²), as GPT-2; PyTorch's embedding from N(0, 1)",
        ),
        layer_line(
            Residual::new(Flatten::new()),
            &["inner"],
            "parameters of the inner layer have the path of this one; relu runs in the kernel of the sum",
        ),
        layer_line(RmsNorm::new(), &[], "PyTorch's ε, that of f32. Keras: ε 1e-6"),
        layer_line(
            SelfAttention::new(1),
            &["heads"],
            "nanoGPT's names and order: q, k and v are one weight `c_attn`. `rotary(base)` rotates halves, \
             `rotary_interleaved(base)` neighbours. `separate` has three weights, `padding(id)` masks trailing padding. \
             `projections(false)` is `scaled_dot_product_attention` of packed q, k and v. No dropout of the attention's weights",
        ),
        layer_line(
            Sequential::block(),
            &["layers"],
            "`then` numbers a layer, `named` names it; `Sequential::new`, `images` and `tokens` begin a model",
        ),
        layer_line(
            TiedDense::new("wte"),
            &["path"],
            "no bias; the gradients of both uses are added",
        ),
        layer_line(
            TokenEmbedding::new(1, 1),
            &["vocabulary", "width"],
            "drawn from N(0, 0.02²), as GPT-2; PyTorch from N(0, 1), Keras from U(−0.05, 0.05). The first layer of a model",
        ),
        layer_line(
            TokenTypeEmbedding::new(2),
            &["types"],
            "type 0 for every token, as BERT without a second sentence",
        ),
    ]
}

/// The default of an option in words.
fn default_of(value: &Json) -> String {
    match value {
        Json::Null => "none".into(),
        Json::Number(number) => match number.as_f64() {
            Some(small) if number.is_f64() && small.abs() < 1e-3 && small != 0.0 => {
                let exact = format!("{small:e}");
                if exact.len() > 6 { format!("{small:.2e}") } else { exact }
            }
            _ => number.to_string(),
        },
        Json::String(text) => format!("`{text}`"),
        Json::Array(values) if values.windows(2).all(|pair| pair[0] == pair[1]) => {
            values.first().map_or_else(String::new, default_of)
        }
        Json::Array(values) => values.iter().map(default_of).collect::<Vec<_>>().join(", "),
        Json::Object(fields) => match fields.get("name") {
            Some(name) if *name == "identity" => "none".into(),
            Some(name) => default_of(name),
            None => fields.values().map(default_of).collect::<Vec<_>>().join(", "),
        },
        Json::Bool(is) => is.to_string(),
    }
}

/// The options of a layer with their defaults.
fn options_of(line: &LayerLine) -> String {
    let options = line.layer.options();
    let options = options.as_object().expect("a layer's options are an object");
    let of = |(name, value): (&String, &Json)| {
        if line.required.contains(&name.as_str()) {
            format!("`{name}`")
        } else if name == "stride" && options.get("kernel") == Some(value) {
            format!("`{name}` the kernel")
        } else {
            format!("`{name}` {}", default_of(value))
        }
    };
    // `rotary_interleaved` sets it together with `rotary`.
    let shown = options.iter().filter(|(name, _)| *name != "interleaved");
    shown.map(of).collect::<Vec<_>>().join("; ")
}

fn page_of_layers() -> String {
    let mut text = String::from(
        "# Layers\n\nEvery layer, with the name of it in files. Options without a value must be given; the others have the default behind \
         them. Sizes are one number for both axes, or [height, width]. `l1`, `l2` and `proximal_l1` are penalties; none is the model's. \
         [networks.md](networks.md) says how layers become a network. Written from the list by `tests/conventions/docs.rs`.\n\n\
         | layer | what it computes | options | PyTorch | Keras | what differs |\n|---|---|---|---|---|---|\n",
    );
    for line_of in layer_lines() {
        let name = line_of.layer.name().to_string();
        let entry = layers::LAYERS.iter().find(|entry| entry.name == name);
        let entry = entry.unwrap_or_else(|| panic!("{name} is not in the list"));
        text += &line(&[
            &format!("`{}`, `{name}`", line_of.rust),
            entry.summary,
            &options_of(&line_of),
            entry.torch,
            entry.keras,
            line_of.differences,
        ]);
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
    text += "\n## Layers\n\nWhat differs, and the options: [layers.md](layers.md).\n\n| PyTorch | Keras | gradus |\n|---|---|---|\n";
    for entry in layers::LAYERS {
        text += &line(&[entry.torch, entry.keras, &format!("`{}`", entry.name)]);
    }
    text
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
fn the_page_of_layers_says_what_the_list_says() {
    holds("docs/layers.md", &page_of_layers());
}

#[test]
fn every_layer_has_a_line_whose_required_options_are_options() {
    let lines = layer_lines();
    let found: Vec<&str> = lines.iter().map(|line| line.layer.name()).collect();
    let listed: Vec<&str> = layers::LAYERS.iter().map(|entry| entry.name).collect();
    assert_eq!(found, listed, "layer_lines() in this file has each layer once, in order");
    for line in &lines {
        let options = line.layer.options();
        for required in line.required {
            assert!(options.get(required).is_some(), "{} has no {required}", line.rust);
        }
        // What a layer writes into a file makes it again.
        let again = layers::from_name(line.layer.name(), options.clone())
            .unwrap_or_else(|error| panic!("{}: {error}", line.rust));
        assert_eq!(again.options(), options, "{}", line.rust);
    }
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
const PAGES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/command.md",
    "docs/correctness.md",
    "docs/data.md",
    "docs/distributed.md",
    "docs/equivalents.md",
    "docs/layers.md",
    "docs/library.md",
    "docs/limits.md",
    "docs/losses.md",
    "docs/networks.md",
    "docs/performance.md",
    "docs/public-api.md",
    "docs/ranking.md",
    "docs/rates.md",
    "docs/recommenders.md",
    "docs/rejected.md",
    "docs/tuning.md",
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
