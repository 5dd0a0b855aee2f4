//! Check that a model can be trained with a loss.

use crate::templates::argument::Domain;
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// An input without which its loss is plain cross-entropy, and which no training labels give.
const NOT_PASSED: &str = "expected_count";

/// True for a loss that takes how frequent each class is among the labels of a training.
pub(crate) fn takes_class_prior(loss: &dyn LossDefinition) -> bool {
    loss.inputs().iter().any(|input| input.name == "class_prior")
}

/// Rejects a loss that models cannot be trained with: a loss over class lists, whose padding does
/// not fit a model's rows, a loss with inputs other than predictions and targets, and one that is
/// plain cross-entropy without a further input.
pub(crate) fn check_trainable(loss: &dyn LossDefinition) -> Result<()> {
    let found = match loss.arguments() {
        [] if loss.targets() == Domain::ClassList => "is one of lists of classes".to_string(),
        [] => match loss.inputs().iter().find(|input| input.name == NOT_PASSED) {
            Some(input) => format!("takes {}, which a model does not pass", input.name),
            None => return Ok(()),
        },
        arguments => format!(
            "takes {}",
            arguments.iter().map(|argument| argument.name).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(Error::Input {
        operation: loss.name().into(),
        name: "the loss".into(),
        found,
        allowed:
            "a model takes one of predictions and targets; make a criterion of this one (`Loss::on`) and hand its \
                  gradients on"
                .into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::losses::from_name;

    #[test]
    fn a_loss_of_counts_that_a_model_does_not_pass_is_refused() {
        let check = |name| check_trainable(&*from_name(name, &Value::Null).unwrap());
        let error = check("sampled_softmax").unwrap_err().to_string();
        assert!(error.contains("takes expected_count, which a model does not pass"), "{error}");
        for name in [
            "ldam",
            "logit_adjusted_cross_entropy",
            "focal",
            "asymmetric",
            "rank_xendcg",
            "pairwise_mse",
            "generalized_kl",
        ] {
            check(name).unwrap();
        }
    }
}
