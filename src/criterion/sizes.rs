//! The sizes of a call: rows, columns and the shape of its values, from the shapes of its inputs.

use crate::criterion::inputs::{input_error, shape_error, wants_labels};
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// Sizes of a call with valid shapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Rows of a row-wise loss; the leading axis of a pointwise loss.
    pub rows: usize,
    /// Elements per row.
    pub row_length: usize,
    /// Length of the last axis.
    pub columns: usize,
    /// The shape of the unreduced value.
    pub value_shape: Vec<usize>,
}

impl Sizes {
    /// The sizes for the shapes of predictions and targets.
    pub fn of(
        loss: &dyn LossDefinition,
        predictions: &[usize],
        targets: &[usize],
        labels: bool,
    ) -> Result<Self> {
        let name = loss.name();
        let rowwise = !loss.is_pointwise();
        let takes_labels = loss.targets().takes_labels();
        if labels && !takes_labels {
            let allowed = format!(
                "it takes dense targets (floats) of the predictions' shape {predictions:?}"
            );
            return Err(input_error(loss, "targets", "are class labels", allowed));
        }
        if rowwise && predictions.is_empty() {
            let found = format!("predictions are {predictions:?}");
            return Err(shape_error(name, found, "they must be [rows, classes]"));
        }
        if !labels && !loss.targets().takes_dense() {
            return Err(wants_labels(name));
        }
        let leading = if rowwise { &predictions[..predictions.len() - 1] } else { predictions };
        let fitting = if labels { leading } else { predictions };
        if targets != fitting {
            let found = format!("predictions are {predictions:?} but targets are {targets:?}");
            let allowed = if labels && !loss.targets().takes_dense() {
                format!("targets must be labels {leading:?}")
            } else if takes_labels {
                format!("targets must be labels {leading:?} or dense {predictions:?}")
            } else {
                format!("targets must be {predictions:?} too")
            };
            return Err(shape_error(name, found, &allowed));
        }
        let elements: usize = predictions.iter().product();
        if elements == 0 {
            return Err(Error::Empty {
                operation: name.into(),
                name: format!("predictions {predictions:?}"),
            });
        }
        if elements > u32::MAX as usize {
            return Err(Error::TooLarge {
                name: format!("predictions {predictions:?} of {name}"),
                bytes: 4 * elements as u64,
                limit: 4 * u64::from(u32::MAX),
                advice: "split them and use reduction `divisor`".into(),
            });
        }
        let columns = predictions.last().copied().unwrap_or(1);
        let (rows, value_shape) = if rowwise {
            (elements / columns, leading.to_vec())
        } else {
            (predictions.first().copied().unwrap_or(1), predictions.to_vec())
        };
        Ok(Sizes { rows, row_length: elements / rows, columns, value_shape })
    }

    /// The shape of one number per row.
    fn row_shape(&self, rowwise: bool) -> &[usize] {
        if rowwise { &self.value_shape } else { &self.value_shape[..self.value_shape.len().min(1)] }
    }

    /// True if a weight or mask has one number per row, false if one per element.
    pub fn is_per_row(
        &self,
        loss: &dyn LossDefinition,
        name: &str,
        shape: &[usize],
    ) -> Result<bool> {
        let rowwise = !loss.is_pointwise();
        if !rowwise && shape == self.value_shape {
            return Ok(false);
        }
        let rows = self.row_shape(rowwise);
        // [rows, 1] is equivalent to [rows].
        let trimmed = if shape.len() == rows.len() + 1 && shape.last() == Some(&1) {
            &shape[..rows.len()]
        } else {
            shape
        };
        if trimmed == rows {
            return Ok(true);
        }
        let elements = if rowwise {
            String::new()
        } else {
            format!("{:?} (one for each element) or ", self.value_shape)
        };
        let found = format!("{name} is {shape:?}");
        Err(shape_error(
            loss.name(),
            found,
            &format!("it must be {elements}{rows:?} (one for each row)"),
        ))
    }

    /// True if a class mask is shared by all rows, false if it is per cell.
    pub fn is_per_column(
        &self,
        loss: &dyn LossDefinition,
        predictions: &[usize],
        shape: &[usize],
    ) -> Result<bool> {
        if shape == predictions {
            return Ok(shape.len() == 1);
        }
        if shape == [self.columns] {
            return Ok(true);
        }
        let allowed =
            format!("it must be [{}] (one for each class) or {predictions:?}", self.columns);
        Err(shape_error(loss.name(), format!("class_mask is {shape:?}"), &allowed))
    }
}
