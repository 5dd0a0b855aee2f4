//! Check that a model can be trained with a loss.

use crate::templates::argument::Domain;
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// Inputs without which their losses treat all classes alike.
const FREQUENCIES: [&str; 2] = ["class_prior", "expected_count"];

/// Rejects a loss that models cannot be trained with: a loss over class lists, whose padding does
/// not fit a model's rows, a loss with inputs other than predictions and targets, and one that is
/// plain cross-entropy without a further input.
pub(crate) fn check_trainable(loss: &dyn LossDefinition) -> Result<()> {
    let found = match loss.arguments() {
        [] if loss.targets() == Domain::ClassList => "is one of lists of classes".to_string(),
        [] => match loss.inputs().iter().find(|input| FREQUENCIES.contains(&input.name)) {
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
    fn a_loss_of_frequencies_that_a_model_does_not_pass_is_refused() {
        let check = |name| check_trainable(&*from_name(name, &Value::Null).unwrap());
        for name in ["ldam", "logit_adjusted_cross_entropy", "sampled_softmax"] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.contains("which a model does not pass"), "{error}");
        }
        for name in ["focal", "asymmetric", "rank_xendcg", "pairwise_mse", "generalized_kl"] {
            check(name).unwrap();
        }
    }
}
