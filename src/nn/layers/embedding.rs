//! The embedding layer that a model may begin with: its inputs are ids, and what goes on is the
//! rows of a table that they name.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Ids are features, and f32 holds whole numbers up to here.
const MOST_ROWS: usize = 1 << 24;

/// A table of `rows` vectors of `width` numbers; `ids` of them, one behind the other, are the input
/// of the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Embedding {
    pub ids: usize,
    pub rows: usize,
    pub width: usize,
}

impl Embedding {
    /// Sizes that the kernels can count.
    pub fn check(&self) -> Result<()> {
        for (name, size) in [("ids", self.ids), ("rows", self.rows), ("width", self.width)] {
            if size == 0 || size > MOST_ROWS {
                return Err(Error::option("embedding", name, size, "from 1 to 16777216"));
            }
        }
        let (numbers, most) = (self.rows as u64 * self.width as u64, u64::from(u32::MAX));
        if numbers > most {
            let advice = "use fewer rows or a smaller width".into();
            return Err(Error::TooLarge {
                name: "an embedding".into(),
                bytes: 4 * numbers,
                limit: 4 * most,
                advice,
            });
        }
        Ok(())
    }

    /// Numbers of the table.
    pub fn length(&self) -> usize {
        self.rows * self.width
    }

    /// Numbers that the ids of a row stand for.
    pub fn outputs(&self) -> usize {
        self.ids.saturating_mul(self.width)
    }

    /// Refuses features that are no ids of its rows.
    pub fn check_ids(&self, operation: &str, features: &[f32]) -> Result<()> {
        let is_id = |id: f32| id >= 0.0 && id < self.rows as f32 && id.fract() == 0.0;
        let Some(at) = features.iter().position(|&id| !is_id(id)) else { return Ok(()) };
        Err(Error::Input {
            operation: operation.into(),
            name: "features".into(),
            found: format!(
                "hold {} in row {}, column {}",
                features[at],
                at / self.ids,
                at % self.ids
            ),
            allowed: format!(
                "ids of the embedding's rows: whole numbers from 0 to {}",
                self.rows - 1
            ),
        })
    }
}
