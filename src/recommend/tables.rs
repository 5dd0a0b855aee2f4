//! The trained numbers of a recommender, as arrays.

use ndarray::{Array1, Array2};

use crate::recommend::engine::{Optimizer, Table};
use crate::{Error, Result};

/// The parameters of one side of a recommender, users or items, with the state of their optimizer:
/// [`Model::tables`](crate::recommend::Model::tables). A row belongs to a user or an item, or to a
/// feature if the side has features.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingTable {
    /// [rows, components].
    pub embeddings: Array2<f64>,
    /// `[rows]`.
    pub biases: Array1<f64>,
    /// Adagrad's sums of squared gradients of the embeddings, at first 1, or Adadelta's running means
    /// of them, at first 0: [rows, components].
    pub embedding_squares: Array2<f64>,
    /// Those of the biases, `[rows]`.
    pub bias_squares: Array1<f64>,
    /// Adadelta's running means of squared updates of the embeddings, [rows, components]; [0,
    /// components] with other optimizers.
    pub embedding_updates: Array2<f64>,
    /// Those of the biases, `[rows]` or `[0]`.
    pub bias_updates: Array1<f64>,
}

impl EmbeddingTable {
    pub(super) fn of(table: Table, components: usize) -> Result<Self> {
        let rows = table.biases.len();
        let square = |values: Vec<f64>| {
            Array2::from_shape_vec((values.len() / components.max(1), components), values)
                .map_err(|error| shape("an embedding table", error.to_string(), rows, components))
        };
        Ok(EmbeddingTable {
            embeddings: square(table.embeddings)?,
            biases: table.biases.into(),
            embedding_squares: square(table.embedding_squares)?,
            bias_squares: table.bias_squares.into(),
            embedding_updates: square(table.embedding_updates)?,
            bias_updates: table.bias_updates.into(),
        })
    }

    /// The flat table, after a check against the sizes of a model.
    pub(super) fn table(
        &self,
        side: &str,
        rows: usize,
        components: usize,
        optimizer: Optimizer,
    ) -> Result<Table> {
        let averages = matches!(optimizer, Optimizer::Adadelta { .. });
        let updates = if averages { rows } else { 0 };
        let of = |table: &Array2<f64>, rows: usize| table.dim() == (rows, components);
        let fits = of(&self.embeddings, rows)
            && of(&self.embedding_squares, rows)
            && of(&self.embedding_updates, updates)
            && [self.biases.len(), self.bias_squares.len()] == [rows; 2]
            && self.bias_updates.len() == updates;
        if !fits {
            let found = format!(
                "embeddings {:?}, their squares {:?} and updates {:?}, with {}, {} and {} biases",
                self.embeddings.shape(),
                self.embedding_squares.shape(),
                self.embedding_updates.shape(),
                self.biases.len(),
                self.bias_squares.len(),
                self.bias_updates.len()
            );
            return Err(shape(side, found, rows, components));
        }
        let table = Table {
            embeddings: self.embeddings.iter().copied().collect(),
            biases: self.biases.to_vec(),
            embedding_squares: self.embedding_squares.iter().copied().collect(),
            bias_squares: self.bias_squares.to_vec(),
            embedding_updates: self.embedding_updates.iter().copied().collect(),
            bias_updates: self.bias_updates.to_vec(),
        };
        let least = if averages { 0.0 } else { f64::MIN_POSITIVE };
        check(side, "embeddings", &table.embeddings, f64::MIN)?;
        check(side, "biases", &table.biases, f64::MIN)?;
        check(side, "embedding_squares", &table.embedding_squares, least)?;
        check(side, "bias_squares", &table.bias_squares, least)?;
        check(side, "embedding_updates", &table.embedding_updates, 0.0)?;
        check(side, "bias_updates", &table.bias_updates, 0.0)?;
        Ok(table)
    }
}

/// Rejects numbers that are not finite or below the least.
fn check(side: &str, name: &str, values: &[f64], least: f64) -> Result<()> {
    match values.iter().find(|value| !(value.is_finite() && **value >= least)) {
        None => Ok(()),
        Some(value) => {
            let allowed = match least {
                0.0 => "finite and >= 0",
                least if least > 0.0 => "finite and > 0",
                _ => "finite",
            };
            Err(Error::option(side, name, value, allowed))
        }
    }
}

fn shape(side: &str, found: String, rows: usize, components: usize) -> Error {
    Error::Shape {
        operation: "recommend".into(),
        found: format!("{side}: {found}"),
        allowed: format!(
            "the model has [{rows}, {components}] embeddings and [{rows}] biases; updates are those \
             of adadelta alone"
        ),
    }
}
