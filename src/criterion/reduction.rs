//! How the values of all elements or rows become one.

use crate::{Error, Result};

/// How the values of all elements or rows become one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reduction {
    /// They stay as they are; the gradient takes an upstream of their shape.
    None,
    /// Σ
    Sum,
    /// Σ ÷ number of values; for class labels ÷ Σ of the class weights of the rows kept. As PyTorch.
    #[default]
    Mean,
    /// Σ ÷ number of rows. PyTorch's `batchmean`.
    BatchMean,
    /// Σ ÷ Σ weight. Keras' `mean_with_sample_weight`.
    WeightedMean,
    /// Σ ÷ a given number: for gradient accumulation and several devices, where the count is global.
    Divisor(f64),
}

impl Reduction {
    /// The reduction of a name: `none`, `sum`, `mean`, `batch_mean`, `weighted_mean`, `divisor(8)`.
    ///
    /// # Errors
    /// [`Error::Option`] with the names there are.
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

/// What the value is where nothing is left to average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnEmpty {
    /// 0, and `count` says that it was nothing. As Keras and Liger.
    #[default]
    Zero,
    /// NaN, as PyTorch.
    Nan,
}
