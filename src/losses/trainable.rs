//! Which losses a model is trained with.

use crate::templates::argument::Domain;
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// Refuses a loss that no model is trained with: of lists of classes, whose padding a model's rows have no room for, and of other
/// inputs than predictions and targets.
pub(crate) fn check_trainable(loss: &dyn LossDefinition) -> Result<()> {
    let found = match loss.arguments() {
        [] if loss.targets() == Domain::ClassList => "is one of lists of classes".to_string(),
        [] => return Ok(()),
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
