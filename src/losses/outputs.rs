//! Compatibility check between the loss and the activation of a model's last layer.

use crate::templates::argument::Domain;
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// The loss's interpretation of the outputs of a model's last layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outputs {
    /// Logits: the loss applies softmax or sigmoid.
    Logits,
    /// Scores, compared with each other or with a margin.
    Scores,
    /// Logarithms of probabilities.
    Logarithms,
    /// Numbers, used unchanged.
    Numbers,
}

fn outputs(loss: &dyn LossDefinition) -> Outputs {
    let targets = loss.targets();
    match loss.predictions() {
        Domain::LogDistribution | Domain::LogProbability => Outputs::Logarithms,
        Domain::Logits => Outputs::Logits,
        Domain::Real | Domain::Exponent if targets.pads() => Outputs::Scores,
        Domain::Real | Domain::Exponent => match targets {
            Domain::Class
            | Domain::Label
            | Domain::Logits
            | Domain::Probability
            | Domain::ZeroOne => Outputs::Logits,
            Domain::Sign => Outputs::Scores,
            _ => Outputs::Numbers,
        },
        _ => Outputs::Numbers,
    }
}

/// Rejects a last layer with an activation that conflicts with the loss. A softmax or sigmoid
/// before a loss that applies one itself trains slowly and to a worse model, without any error.
pub(crate) fn check_outputs(loss: &dyn LossDefinition, activation: &str) -> Result<()> {
    let outputs = outputs(loss);
    let (is_softmax, is_sigmoid) = (activation == "softmax", activation == "sigmoid");
    let takes = match outputs {
        Outputs::Logits if is_softmax || is_sigmoid => "logits and does the rest itself",
        Outputs::Scores if is_softmax => "scores of any size",
        Outputs::Logarithms if is_softmax || is_sigmoid => "logarithms of probabilities",
        _ => return Ok(()),
    };
    let advice = match outputs {
        Outputs::Logarithms => {
            "leave the activation of the last layer out and take a loss of logits, such as cross_entropy"
        }
        _ if is_sigmoid => {
            "leave the activation of the last layer out, or take a loss of probabilities, such as bce; the sigmoid of a prediction is its probability"
        }
        _ => {
            "leave the activation of the last layer out (Dense::new(classes)), or take a loss of numbers, such as mse; the softmax of a \
             prediction is its probabilities"
        }
    };
    Err(Error::Input {
        operation: loss.name().into(),
        name: "the last layer".into(),
        found: format!("has the activation {activation}, but the loss takes {takes}"),
        allowed: advice.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::CATALOGUE;

    #[test]
    fn a_softmax_is_refused_under_every_loss_that_takes_one_itself_and_under_no_other() {
        let refused = |activation: &str| -> Vec<&str> {
            let losses =
                CATALOGUE.iter().map(|entry| (entry.make)(&serde_json::Value::Null).unwrap());
            let of_outputs = losses.filter(|loss| loss.arguments().is_empty());
            of_outputs
                .filter(|loss| check_outputs(&**loss, activation).is_err())
                .map(|loss| loss.name())
                .collect()
        };
        let by_softmax = refused("softmax");
        for name in [
            "cross_entropy",
            "focal",
            "bce_with_logits",
            "hinge",
            "multiclass_hinge",
            "nll",
            "lambda_rank",
        ] {
            assert!(by_softmax.contains(&name), "{name} is not in {by_softmax:?}");
        }
        for name in ["mse", "mae", "huber", "bce", "dice", "total_variation", "poisson_nll"] {
            assert!(!by_softmax.contains(&name), "{name}");
        }
        let by_sigmoid = refused("sigmoid");
        assert!(
            by_sigmoid.contains(&"bce_with_logits") && by_sigmoid.contains(&"cross_entropy"),
            "{by_sigmoid:?}"
        );
        assert!(!by_sigmoid.contains(&"hinge") && !by_sigmoid.contains(&"bce"), "{by_sigmoid:?}");
        assert!(refused("tanh").is_empty() && refused("identity").is_empty());
    }
}
