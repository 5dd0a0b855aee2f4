//! Reductions of the values of all elements or rows.

use crate::{Error, Result};

/// The reduction of the values of all elements or rows to one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reduction {
    /// No reduction; the upstream gradient has the shape of the values.
    None,
    /// Σ
    Sum,
    /// Σ ÷ number of values; for class labels ÷ Σ of the class weights of the included rows. As in
    /// PyTorch.
    #[default]
    Mean,
    /// Σ ÷ number of rows. PyTorch's `batchmean`.
    BatchMean,
    /// Σ ÷ Σ weight. Keras' `mean_with_sample_weight`.
    WeightedMean,
    /// Σ ÷ a given number: for gradient accumulation and multiple devices, where the count is
    /// global.
    Divisor(f64),
}

impl Reduction {
    /// The reduction with the given name: `none`, `sum`, `mean`, `batch_mean`, `weighted_mean`,
    /// `divisor(8)`.
    ///
    /// # Errors
    /// [`Error::Option`] with the list of valid names.
    pub fn named(name: &str) -> Result<Self> {
        let divisor =
            name.strip_prefix("divisor(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
        match (name, divisor) {
            ("none", _) => Ok(Reduction::None),
            ("sum", _) => Ok(Reduction::Sum),
            ("mean", _) => Ok(Reduction::Mean),
            ("batch_mean", _) => Ok(Reduction::BatchMean),
            ("weighted_mean", _) => Ok(Reduction::WeightedMean),
            (_, Some(divisor)) => Ok(Reduction::Divisor(divisor)),
            _ => Err(Error::option(
                "loss",
                "reduction",
                name,
                "none, sum, mean, batch_mean, weighted_mean or divisor(NUMBER)",
            )),
        }
    }
}

/// The value of an empty reduction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnEmpty {
    /// 0, with a `count` of 0. As in Keras and Liger.
    #[default]
    Zero,
    /// NaN, as in PyTorch.
    Nan,
}
