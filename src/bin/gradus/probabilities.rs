//! Probabilities of classes from the outputs of a model, where its loss says what they are.

use gradus::Model;
use ndarray::{Array2, Axis};

use crate::output::{Failure, Outcome};

/// Losses whose outputs are logits of all classes together: softmax.
const SOFTMAX: [&str; 6] = [
    "cross_entropy",
    "linear_cross_entropy",
    "focal",
    "poly1_cross_entropy",
    "poly_cross_entropy",
    "generalized_cross_entropy",
];

/// Losses whose outputs are the logits of each class against all others: sigmoid.
const SIGMOID: [&str; 5] = [
    "bce_with_logits",
    "binary_focal",
    "soft_margin",
    "multilabel_soft_margin",
    "linear_multilabel_soft_margin",
];

/// The probability of each class, in rows that add up to 1 where a row has one class.
pub fn of(model: &Model, outputs: &Array2<f32>, one_class: bool) -> Outcome<Array2<f64>> {
    let outputs = outputs.mapv(f64::from);
    let loss = model.loss().map_or("", |loss| loss.name());
    let mut found = match model.output_activation() {
        "softmax" => return Ok(outputs),
        "sigmoid" => outputs,
        "identity" if SOFTMAX.contains(&loss) => softmax(outputs),
        "identity" if SIGMOID.contains(&loss) => outputs.mapv(|x| 1.0 / (1.0 + (-x).exp())),
        "identity" if loss == "nll" => outputs.mapv(f64::exp),
        _ => {
            let message = format!("--output: {loss} gives no probabilities; allowed: class, raw");
            return Err(Failure::Usage(message));
        }
    };
    if one_class {
        for mut row in found.axis_iter_mut(Axis(0)) {
            let sum = row.sum();
            if sum > 0.0 {
                row /= sum;
            }
        }
    }
    Ok(found)
}

fn softmax(mut logits: Array2<f64>) -> Array2<f64> {
    for mut row in logits.axis_iter_mut(Axis(0)) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|x| (x - largest).exp());
        let sum = row.sum();
        row /= sum;
    }
    logits
}
