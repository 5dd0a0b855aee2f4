//! Permutation importance on the loss.

use ndarray::Array2;

use crate::cpu::random::Permutation;
use crate::explain::checks::{check_losses, refused};
use crate::nn::train::features::FeatureElement;
use crate::{Error, Model, Result, Targets};

/// Separates the orders of this file from those of trainings with the same seed.
const PURPOSE: u64 = 0x7065_726d_7574_6521;

/// How much the loss rises if a feature says nothing: its column is shuffled between the rows, so
/// that its distribution stays (Breiman 2001; Fisher, Rudin, Dominici 2019).
///
/// Two columns that say the same hide each other: the model takes the other one.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationImportance {
    repeats: usize,
    seed: u64,
}

/// The importance of a feature, or of columns that are shuffled together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FeatureImportance {
    /// The columns.
    pub columns: Vec<usize>,
    /// Mean rise of the mean loss over the repeats.
    pub increase: f64,
    /// Deviation of that rise over the repeats (divided by their number).
    pub deviation: f64,
}

impl Default for PermutationImportance {
    fn default() -> Self {
        PermutationImportance { repeats: 5, seed: 0 }
    }
}

impl PermutationImportance {
    /// Five repeats, as scikit-learn's `permutation_importance`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of shuffles of each feature (default 5).
    pub fn repeats(mut self, repeats: usize) -> Self {
        self.repeats = repeats;
        self
    }

    /// Seed of the shuffles (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The order in which a feature is shuffled: row `i` gets the value of row `order[i]`.
    pub fn order(&self, rows: u32, feature: usize, repeat: usize) -> Vec<usize> {
        let number = feature * self.repeats + repeat;
        let order = Permutation::new(rows, self.seed ^ PURPOSE, number as u32);
        (0..rows).map(|row| order.at(row) as usize).collect()
    }

    /// The importance of each of `groups` of columns, in their order; of each column if there are
    /// none. The columns of a word that was made several numbers belong together: alone each says
    /// little that the others do not.
    ///
    /// # Errors
    /// As [`Model::evaluate_rows`]; [`Error::Option`] for 0 repeats, [`Error::Input`] for a column
    /// out of range.
    pub fn measure<'a>(
        &self,
        model: &mut Model,
        features: &Array2<f32>,
        targets: impl Into<Targets<'a>>,
        groups: &[Vec<usize>],
    ) -> Result<Vec<FeatureImportance>> {
        const NAME: &str = "permutation importance";
        if self.repeats == 0 {
            return Err(Error::option(NAME, "repeats", 0, "at least 1"));
        }
        let single: Vec<Vec<usize>> = (0..features.ncols()).map(|column| vec![column]).collect();
        let groups = if groups.is_empty() { &single } else { groups };
        if let Some(column) = groups.iter().flatten().find(|column| **column >= features.ncols()) {
            let allowed = format!("below {}, the number of columns", features.ncols());
            return Err(refused(NAME, "a group", format!("has the column {column}"), &allowed));
        }
        let rows = u32::try_from(features.nrows()).map_err(|_| Error::TooLarge {
            name: "the order of the rows".into(),
            bytes: 4 * features.nrows() as u64,
            limit: 4 * u64::from(u32::MAX),
            advice: "take fewer rows".into(),
        })?;
        let targets = targets.into();
        let mut mean_loss = |features: &Array2<f32>| {
            let given = FeatureElement::features(features);
            let found = model.row_results(NAME, given, &targets, false)?;
            check_losses(NAME, &found.loss, found.rows())?;
            Ok::<f64, Error>(found.mean_loss())
        };
        let base = mean_loss(features)?;
        let mut shuffled = features.clone();
        let mut found = Vec::with_capacity(groups.len());
        for (feature, columns) in groups.iter().enumerate() {
            let mut rises = Vec::with_capacity(self.repeats);
            for repeat in 0..self.repeats {
                let order = self.order(rows, feature, repeat);
                for &column in columns {
                    let from = features.column(column);
                    let places = shuffled.column_mut(column).into_iter().zip(&order);
                    places.for_each(|(to, &row)| *to = from[row]);
                }
                rises.push(mean_loss(&shuffled)? - base);
            }
            for &column in columns {
                shuffled.column_mut(column).assign(&features.column(column));
            }
            let increase = rises.iter().sum::<f64>() / self.repeats as f64;
            let squares: f64 = rises.iter().map(|rise| (rise - increase).powi(2)).sum();
            let deviation = (squares / self.repeats as f64).sqrt();
            found.push(FeatureImportance { columns: columns.clone(), increase, deviation });
        }
        Ok(found)
    }
}
