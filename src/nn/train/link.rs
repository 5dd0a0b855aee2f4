//! From a model's outputs to probabilities of classes.

use crate::losses::{Domain, LossDefinition};
use crate::nn::activations::activation::Activation;
use crate::nn::activations::{Sigmoid, Softmax};

/// Losses whose outputs are logits of all classes jointly.
const SOFTMAX: [&str; 6] = [
    "cross_entropy",
    "linear_cross_entropy",
    "focal",
    "poly1_cross_entropy",
    "poly_cross_entropy",
    "generalized_cross_entropy",
];

/// Losses whose outputs are one logit for each column.
const SIGMOID: [&str; 5] = [
    "bce_with_logits",
    "binary_focal",
    "soft_margin",
    "multilabel_soft_margin",
    "linear_multilabel_soft_margin",
];

/// How outputs become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Softmax over the columns.
    Softmax,
    /// A logit for each column.
    Sigmoid,
    /// They are probabilities.
    Identity,
    /// They are logarithms of probabilities.
    Logarithm,
}

impl Link {
    /// The link of a model's outputs; `None` if its loss defines no probabilities, as a hinge loss.
    pub fn of(loss: &dyn LossDefinition, activation: &str) -> Option<Self> {
        if activation == Softmax.name() || activation == Sigmoid.name() {
            return Some(Link::Identity);
        }
        match loss.name() {
            _ if activation != "identity" => None,
            name if SOFTMAX.contains(&name) => Some(Link::Softmax),
            name if SIGMOID.contains(&name) => Some(Link::Sigmoid),
            _ if loss.predictions() == Domain::LogDistribution => Some(Link::Logarithm),
            _ => None,
        }
    }

    /// The probabilities of the classes of a row, which add up to 1. A single output is the
    /// second of two classes.
    pub fn probabilities(self, outputs: &[f64]) -> Vec<f64> {
        if let [output] = *outputs {
            let p = match self {
                Link::Softmax | Link::Sigmoid => 1.0 / (1.0 + (-output).exp()),
                Link::Identity => output,
                Link::Logarithm => output.exp(),
            };
            return vec![1.0 - p, p];
        }
        let mut found: Vec<f64> = match self {
            Link::Softmax => {
                let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                outputs.iter().map(|output| (output - largest).exp()).collect()
            }
            Link::Sigmoid => outputs.iter().map(|output| 1.0 / (1.0 + (-output).exp())).collect(),
            Link::Identity => outputs.to_vec(),
            Link::Logarithm => outputs.iter().map(|output| output.exp()).collect(),
        };
        let sum: f64 = found.iter().sum();
        if sum > 0.0 {
            found.iter_mut().for_each(|p| *p /= sum);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::CATALOGUE;

    #[test]
    fn the_names_are_those_of_losses() {
        let names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert!(SOFTMAX.iter().chain(&SIGMOID).all(|name| names.contains(name)));
    }

    #[test]
    fn probabilities_add_up_to_one() {
        assert_eq!(Link::Sigmoid.probabilities(&[0.0]), [0.5, 0.5]);
        assert_eq!(Link::Identity.probabilities(&[0.25]), [0.75, 0.25]);
        let found = Link::Softmax.probabilities(&[1000.0, 1000.0 + 3_f64.ln()]);
        assert!((found[0] - 0.25).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12, "{found:?}");
        let found = Link::Sigmoid.probabilities(&[0.0, 0.0, 0.0]);
        assert!(found.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-15), "{found:?}");
    }
}
