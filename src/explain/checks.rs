//! Checks of inputs and their errors.

use crate::{Error, Result};

/// The error of an input that an explanation does not take.
pub(super) fn refused(
    operation: &str,
    name: &str,
    found: impl Into<String>,
    allowed: &str,
) -> Error {
    Error::Input {
        operation: operation.into(),
        name: name.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}

/// Rejects losses that are not finite, and columns of another length.
pub(super) fn check_losses(operation: &str, losses: &[f64], rows: usize) -> Result<()> {
    if losses.len() != rows {
        return Err(Error::Shape {
            operation: operation.into(),
            found: format!("{} losses but {rows} rows", losses.len()),
            allowed: "there must be one loss for each row".into(),
        });
    }
    if losses.is_empty() {
        return Err(Error::Empty { operation: operation.into(), name: "the rows".into() });
    }
    match losses.iter().position(|loss| !loss.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite {
            operation: operation.into(),
            name: "the losses".into(),
            found: losses[row].to_string(),
            position: format!("row {row}"),
            count: losses.iter().filter(|loss| !loss.is_finite()).count(),
        }),
    }
}
