//! Losses for classes, steps of a scale, several labels, and probabilities of classes.

use crate::advise::advice::{Candidate, Warning};
use crate::advise::classes::Classes;
use crate::advise::neighbours::{NOISE, NOTE};
use crate::advise::rules::candidate::{candidate, percent, rounded};
use crate::advise::statistics::{IMBALANCE, ROWS_PER_CLASS};
use crate::advise::task::{Task, TaskKind};
use crate::error::text::{count, significant};

/// More classes than this, and than half of the rows, are no classes.
const MANY_CLASSES: usize = 20;

/// Share of rows with a label below which it is rare.
const RARE_LABEL: f64 = 0.05;

/// Larger weights of the positive side make the rarest labels dominate.
const MOST_POS_WEIGHT: f64 = 10.0;

const PROBABILITIES: [&str; 2] = ["the probability of each class", "log loss, accuracy"];
const BALANCED: [&str; 2] =
    ["probabilities as if all classes were equally frequent", "balanced accuracy"];

/// Losses for one class of several, with warnings.
pub(in crate::advise) fn of_classes(
    task: &Task,
    found: &Classes,
) -> (Vec<Candidate>, Vec<Warning>) {
    let (mut list, mut warnings) = (Vec::new(), Vec::new());
    let is_imbalanced = found.imbalance >= IMBALANCE;
    let noise =
        found.agreement.and_then(|agreement| agreement.noise).filter(|share| *share >= NOTE);
    let ratio = format!(
        "the most frequent class has {} times the rows of the rarest, `{}` (limit {IMBALANCE})",
        significant(found.imbalance, 3),
        found.rarest
    );
    if is_imbalanced {
        list.push(
            candidate(
                "cross_entropy",
                BALANCED,
                format!("{ratio}: balanced weights, so that each class counts equally; logit adjustment (subtract ln prior from the logits of the unweighted loss) does the same after the training"),
                "Menon 2021; Cui 2019",
            )
            .balanced(),
        );
        let text = format!(
            "imbalanced classes: {ratio}; accuracy is {} for a model that always says the most frequent one: judge by balanced accuracy or log loss",
            percent(majority(task))
        );
        warnings.push(Warning { kind: "imbalanced", text });
    }
    let rows: usize = task.classes.iter().map(|(_, rows)| rows).sum();
    if task.classes.len() > MANY_CLASSES.max(rows / 2) {
        let text = format!(
            "{} classes in {} rows: a quantity written as text, or a name of each row? Nothing can be learnt of a class with one row",
            count(task.classes.len() as u64),
            count(rows as u64)
        );
        warnings.push(Warning { kind: "many_classes", text });
    }
    let plain = match is_imbalanced {
        true => "unweighted, for log loss and accuracy on rows as they come: weights would bias the probabilities".to_string(),
        false => format!(
            "proper: probabilities are estimated as they are; largest over smallest class {} (limit {IMBALANCE})",
            significant(found.imbalance, 3)
        ),
    };
    list.push(candidate("cross_entropy", PROBABILITIES, plain, "Gneiting, Raftery 2007"));
    if let Some(share) = noise {
        let text = format!(
            "up to {} of the labels are against neighbours that agree (limit {}): wrong labels?",
            percent(share),
            percent(NOTE)
        );
        warnings.push(Warning { kind: "label_noise", text: text.clone() });
        // Under imbalance it drops the rare classes.
        if share >= NOISE && !is_imbalanced {
            let place = usize::from(share < 2.0 * NOISE);
            list.insert(
                place,
                candidate(
                    "generalized_cross_entropy",
                    ["the class; probabilities want a temperature", "accuracy"],
                    format!("{text}; its gradient vanishes for labels that the model disbelieves"),
                    "Zhang, Sabuncu 2018",
                )
                .with("q", 0.7),
            );
        }
    }
    let is_small = (found.fewest as f64) < ROWS_PER_CLASS && task.outputs > 2;
    if is_small {
        let text = format!(
            "class `{}` has {} rows (limit {ROWS_PER_CLASS})",
            found.rarest,
            count(found.fewest as u64)
        );
        if found.fewest < 10 {
            warnings.push(Warning {
                kind: "rare_class",
                text: format!("{text}: a held-out part may have none of them"),
            });
        }
        list.push(smoothing(format!(
            "{text}: keeps the logits of few rows small; costs calibration"
        )));
    } else {
        list.push(smoothing("for accuracy alone: keeps logits small, costs calibration".into()));
    }
    if task.rivals.contains(&TaskKind::Ordinal) && !task.reason.contains("words") {
        list.push(candidate(
            "ordinal",
            ["the probability to be above each step", "mean absolute error of the step"],
            "only if the numbers are steps of a scale and no names",
            "Li, Lin 2006",
        ));
    }
    if task.outputs == 2 && !is_imbalanced {
        list.push(candidate(
            "squared_hinge",
            ["the class", "accuracy"],
            "a margin between two classes, without probabilities",
            "Chang, Hsieh, Lin 2008",
        ));
    }
    list.truncate(5);
    (list, warnings)
}

/// Share of the most frequent class.
fn majority(task: &Task) -> f64 {
    let rows: usize = task.classes.iter().map(|(_, rows)| rows).sum();
    task.classes.iter().map(|(_, rows)| *rows).max().unwrap_or(0) as f64 / rows.max(1) as f64
}

fn smoothing(reason: String) -> Candidate {
    candidate("cross_entropy", ["the class", "accuracy"], reason, "Szegedy 2016")
        .with("label_smoothing", 0.1)
}

/// Losses for steps of a scale.
pub(in crate::advise) fn of_ordinal(
    task: &Task,
    found: &Classes,
) -> (Vec<Candidate>, Vec<Warning>) {
    let steps = task.classes.len();
    let mut list = vec![
        candidate(
            "ordinal",
            [
                "the probability to be above each step; the class is their median",
                "mean absolute error of the step",
            ],
            format!(
                "{steps} steps in an order: a step beside the true one is less wrong than a far one"
            ),
            "Li, Lin 2006; Cao 2020",
        ),
        candidate(
            "huber",
            ["a center between median and mean", "MAE"],
            "the steps as numbers, with equal distances between them",
            "Huber 1981",
        ),
        candidate("mse", ["the mean", "RMSE, R²"], "the mean step, for RMSE", "Gneiting 2011"),
        candidate(
            "cross_entropy",
            PROBABILITIES,
            "a probability for each step, without their order",
            "Gneiting, Raftery 2007",
        ),
    ];
    let mut warnings = Vec::new();
    if found.imbalance >= IMBALANCE {
        let text = format!(
            "imbalanced steps: the most frequent has {} times the rows of the rarest, `{}` (limit {IMBALANCE})",
            significant(found.imbalance, 3),
            found.rarest
        );
        warnings.push(Warning { kind: "imbalanced", text });
        list[3] = list[3].clone().balanced();
        list[3].reason = "balanced weights, if each step counts equally; without the order".into();
        list[3].estimates = BALANCED[0];
        list[3].metric = BALANCED[1];
    }
    (list, warnings)
}

/// Losses for several labels a row.
pub(in crate::advise) fn of_multilabel(task: &Task, rows: usize) -> (Vec<Candidate>, Vec<Warning>) {
    let shares: Vec<f64> =
        task.classes.iter().map(|(_, with)| *with as f64 / rows.max(1) as f64).collect();
    let rarest = task.classes.iter().min_by_key(|(_, with)| *with);
    let (name, with) = rarest.map_or(("", 0), |(name, with)| (name.as_str(), *with));
    let least = with as f64 / rows.max(1) as f64;
    let mut list = vec![candidate(
        "bce_with_logits",
        ["the probability of each label", "log loss, F1 of each label"],
        format!("labels of their own, in {} of the rows or more", percent(least)),
        "Gneiting, Raftery 2007",
    )];
    let mut warnings = Vec::new();
    if least < RARE_LABEL {
        let weights: Vec<f64> = shares
            .iter()
            .map(|share| rounded(((1.0 - share) / share.max(1e-9)).clamp(1.0, MOST_POS_WEIGHT)))
            .collect();
        let reason = format!(
            "`{name}` is in {} of the rows (limit {}): a weight for the rows that have a label, at most {MOST_POS_WEIGHT}",
            percent(least),
            percent(RARE_LABEL)
        );
        warnings.push(Warning {
            kind: "rare_label",
            text: format!(
                "label `{name}` is in {} of the rows: judge it by F1 or average precision",
                percent(least)
            ),
        });
        list.push(Candidate {
            pos_weight: weights,
            ..candidate(
                "bce_with_logits",
                ["labels, with recall for rare ones", "F1, balanced accuracy"],
                reason,
                "King, Zeng 2001",
            )
        });
        list.push(candidate(
            "binary_focal",
            ["labels; probabilities want a temperature", "F1, average precision"],
            "rows that are right already weigh less",
            "Lin 2017",
        ));
    }
    list.push(candidate(
        "multilabel_soft_margin",
        ["the probability of each label", "log loss"],
        "the mean over a row's labels, as PyTorch's; the same estimate",
        "Gneiting, Raftery 2007",
    ));
    (list, warnings)
}

/// Losses for probabilities of classes.
pub(in crate::advise) fn of_soft_labels() -> Vec<Candidate> {
    let dense = "takes a distribution for each row, which the library's arrays give and a file's classes do not";
    vec![
        candidate(
            "mse",
            ["the probability of each class", "Brier score"],
            "squared error is proper: it estimates the probabilities as they are",
            "Brier 1950; Gneiting, Raftery 2007",
        ),
        Candidate {
            library_only: dense,
            ..candidate(
                "cross_entropy",
                PROBABILITIES,
                "the likelihood of the given shares",
                "Gneiting, Raftery 2007",
            )
        },
        Candidate {
            library_only: dense,
            ..candidate(
                "kl_div",
                PROBABILITIES,
                "as cross_entropy, less the entropy of the targets: 0 where they are met",
                "Kullback, Leibler 1951",
            )
        },
    ]
}
