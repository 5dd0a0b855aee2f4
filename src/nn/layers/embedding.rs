//! The optional first layer of a model: its inputs are ids, its outputs the table rows of those
//! ids.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Ids are features, and f32 holds whole numbers exactly up to here.
const MOST_ROWS: usize = 1 << 24;

/// A table of `rows` vectors of `width` numbers; the vectors of `ids` ids, concatenated, are the
/// input of the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Embedding {
    pub ids: usize,
    pub rows: usize,
    pub width: usize,
}

impl Embedding {
    /// Checks that the sizes fit the kernels' counts.
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

    /// Elements of the table.
    pub fn length(&self) -> usize {
        self.rows * self.width
    }

    /// Output elements per row of ids.
    pub fn outputs(&self) -> usize {
        self.ids.saturating_mul(self.width)
    }
}
