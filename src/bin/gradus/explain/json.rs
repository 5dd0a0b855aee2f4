//! The explanation as one JSON document.

use gradus::explain::{Bin, Calibration, LossCell, RankedBy, Slice, SuspiciousLabels};
use serde_json::{Map, Value, json};

use crate::explain::found::{Feature, Features, Found};
use crate::explain::part::{LargeLoss, Section};
use crate::explain::sharpness::Sharpness;
use crate::explain::subject::Subject;
use crate::explain::words::conditions;

/// The document. A section that is not known is null, and `why_not` says why.
pub fn of(found: &Found, subject: &Subject, device: &str) -> Value {
    let mut why_not = Map::new();
    let mut section = |name: &str, content: Result<Value, &String>| match content {
        Ok(content) => content,
        Err(reason) => {
            why_not.insert(name.into(), json!(reason));
            Value::Null
        }
    };
    let labels = section("suspicious_labels", each(&found.labels, |of| labels(of, found, subject)));
    let slices = section("slices", each(&found.slices, |of| slices(of, subject)));
    let cells = section("class_pairs", each(&found.cells, |of| cells(of, subject)));
    let features = section("features", each(&found.features, features));
    let calibration = section("calibration", each(&found.calibration, calibration));
    let training = found.training.as_ref();
    let training =
        training.map(|found| section("training_rows", each(found, |of| of.json(subject))));
    let sharpness = found.sharpness.as_ref();
    let sharpness = sharpness.map(|found| section("sharpness", each(found, Sharpness::json)));
    json!({
        "device": device,
        "rows": found.rows,
        "loss": found.loss,
        "mean_loss": found.mean_loss,
        "accuracy": found.accuracy,
        "share_of_top_1_percent": found.top_shares[0],
        "share_of_top_10_percent": found.top_shares[1],
        "suspicious_labels": labels,
        "largest_losses":
            found.large.iter().map(|of| large(of, subject)).collect::<Vec<Value>>(),
        "slices": slices,
        "class_pairs": cells,
        "features": features,
        "calibration": calibration,
        "training_rows": training,
        "sharpness": sharpness,
        "why_not": why_not,
    })
}

pub fn each<T>(section: &Section<T>, content: impl FnOnce(&T) -> Value) -> Result<Value, &String> {
    section.as_ref().map(content)
}

/// A row: its number among those that were explained, its place in the file, and its cells.
fn place(row: usize, subject: &Subject) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("row".into(), json!(row));
    object.insert("place".into(), json!(subject.place(row)));
    let cells: Map<String, Value> =
        subject.cells(row).into_iter().map(|(name, cell)| (name, json!(cell))).collect();
    if !cells.is_empty() {
        object.insert("cells".into(), cells.into());
    }
    object
}

fn with(mut object: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        object.extend(more);
    }
    object.into()
}

fn labels(found: &SuspiciousLabels, all: &Found, subject: &Subject) -> Value {
    let row = |&row: &usize| {
        with(
            place(row, subject),
            json!({
                "label": subject.class(found.cross_entropy.target[row]),
                "suggested": subject.class(found.suggested[row]),
                "suspicion": found.suspicion[row],
            }),
        )
    };
    let disputed = found.disputed();
    json!({
        "ranked_by": match found.ranked_by {
            RankedBy::GeneralizedCrossEntropy => "generalized_cross_entropy",
            RankedBy::Both => "both",
            _ => "cross_entropy",
        },
        "disputed": disputed.len(),
        "disputed_share": found.share,
        "rows": disputed.iter().take(all.top).map(row).collect::<Vec<Value>>(),
    })
}

fn large(found: &LargeLoss, subject: &Subject) -> Value {
    let targets = match found.class {
        Some((target, predicted, p)) => json!({
            "target": subject.class(target),
            "predicted": subject.class(predicted),
            "target_probability": p,
        }),
        None => {
            let target = subject.target_numbers(found.row);
            let names = subject.outputs.iter();
            let pairs = names.zip(target.into_iter().zip(&found.numbers));
            let of = |(name, (target, predicted)): (&String, (f64, &f64))| {
                (name.clone(), json!({ "target": target, "predicted": predicted }))
            };
            json!({ "targets": pairs.map(of).collect::<Map<String, Value>>() })
        }
    };
    let own = json!({
        "loss": found.loss,
        "share_of_loss": found.share,
        "gradient_norm": found.gradient_norm,
    });
    with(with(place(found.row, subject), targets).as_object().cloned().unwrap_or_default(), own)
}

fn slices(found: &[Slice], subject: &Subject) -> Value {
    let of = |slice: &Slice| {
        json!({
            "where": conditions(slice, subject),
            "rows": slice.rows.len(),
            "mean_loss": slice.mean_loss,
            "rest_loss": slice.rest_loss,
            "share_of_loss": slice.share_of_loss,
            "t": slice.t,
            "p": slice.p,
        })
    };
    found.iter().map(of).collect()
}

fn cells(found: &[LossCell], subject: &Subject) -> Value {
    let of = |cell: &LossCell| {
        json!({
            "target": subject.class(cell.target),
            "predicted": subject.class(cell.predicted),
            "rows": cell.rows,
            "mean_loss": cell.mean_loss,
            "share_of_loss": cell.share,
        })
    };
    found.iter().map(of).collect()
}

fn features(found: &Features) -> Value {
    let of = |feature: &&Feature| {
        json!({
            "name": feature.name,
            "increase": feature.increase.map(|(increase, _)| increase),
            "deviation": feature.increase.map(|(_, deviation)| deviation),
            "attribution": feature.attribution,
        })
    };
    json!({
        "shuffled_rows": found.shuffled_rows,
        "attributed_rows": found.attributed_rows,
        "largest_residual": found.residual,
        "list": found.ordered().iter().map(of).collect::<Vec<Value>>(),
    })
}

pub fn calibration(found: &Calibration) -> Value {
    let bin = |bin: &Bin| {
        json!({
            "above": bin.limits[0],
            "up_to": bin.limits[1],
            "rows": bin.rows,
            "confidence": bin.confidence,
            "accuracy": bin.accuracy,
        })
    };
    json!({
        "expected_error": found.expected_error,
        "brier": found.brier,
        "log_loss": found.log_loss,
        "overconfidence": found.overconfidence(),
        "temperature": found.temperature,
        "log_loss_at_temperature": found.log_loss_at_temperature,
        "expected_error_at_temperature": found.expected_error_at_temperature,
        "bins": found.bins.iter().map(bin).collect::<Vec<Value>>(),
    })
}
