//! Recommender engine: the interface between the model and the devices.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::recommend::best::Scored;
use crate::recommend::features::Features;
use crate::recommend::interactions::Interactions;
use crate::recommend::metrics::{Convention, Metrics};
use crate::recommend::sampling::Rules;

/// Update rule for rows; see [`crate::recommend::sampling`].
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// rate / √G, where G is the running sum of squared gradients, initially 1.
    #[default]
    Adagrad,
    /// The learning rate, constant.
    Sgd,
    /// √(M + ε) / √(G + ε), without a learning rate: G is the running mean of squared gradients and
    /// M that of squared updates, both initially 0, G ← ρ G + (1 − ρ) g². On the CPU alone. LightFM's
    /// defaults are ρ = 0.95 and ε = 1e-6.
    Adadelta {
        /// Decay of the running means, in (0, 1).
        rho: f64,
        /// Added below the roots, > 0.
        epsilon: f64,
    },
}

/// Update parameters other than the samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateOptions {
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub user_alpha: f64,
    pub item_alpha: f64,
    /// True to apply LightFM's user-bias gradient under WARP and BPR.
    pub user_bias_gradient: bool,
    /// At least 1.
    pub batch_size: usize,
}

/// Parameters of one side (users or items); rows are `components` long, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// [features, components].
    pub embeddings: Vec<f64>,
    /// [features].
    pub biases: Vec<f64>,
    /// G of each component: [features, components].
    pub embedding_squares: Vec<f64>,
    /// G of each bias: [features].
    pub bias_squares: Vec<f64>,
    /// M of each component, [features, components]; empty unless the optimizer is Adadelta.
    pub embedding_updates: Vec<f64>,
    /// M of each bias; empty unless the optimizer is Adadelta.
    pub bias_updates: Vec<f64>,
}

/// All trained state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub users: Table,
    pub items: Table,
}

/// Sizes and side features of a model; fixed for an engine's lifetime.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub users: u32,
    pub items: u32,
    pub components: usize,
    pub user_features: Option<Arc<Features>>,
    pub item_features: Option<Arc<Features>>,
}

/// Totals of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Σ of the samples' losses.
    pub loss: f64,
    /// Negatives drawn.
    pub draws: u64,
    /// Samples that updated parameters.
    pub updates: u64,
}

/// An epoch interrupted before its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Batches completed.
    pub batches: usize,
    /// Totals of the completed batches.
    pub tally: Tally,
    /// Fingerprint of the interactions of the epoch; `None` in files of an older version.
    pub over: Option<u64>,
}

/// A recommender's tables on a device.
pub(crate) trait Engine: Debug + Send + Sync {
    /// Writes tables.
    fn set_state(&mut self, state: &State) -> Result<()>;

    /// Reads tables.
    fn state(&self) -> Result<State>;

    /// Uploads the interactions to train on.
    fn set_interactions(&mut self, interactions: Arc<Interactions>) -> Result<()>;

    /// Runs a range of batches of an epoch, in the order and with the arithmetic defined by
    /// [`crate::recommend::sampling`]. Their totals are added to the tally batch by batch, so the
    /// result does not depend on the number of batches per call.
    fn batches(
        &mut self,
        rules: &Rules,
        update_options: &UpdateOptions,
        epoch: u32,
        which: Range<usize>,
        tally: &mut Tally,
    ) -> Result<()>;

    /// Runs one full epoch.
    #[cfg(test)]
    fn epoch(
        &mut self,
        rules: &Rules,
        update_options: &UpdateOptions,
        epoch: u32,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        self.batches(rules, update_options, epoch, 0..usize::MAX, &mut tally)?;
        Ok(tally)
    }

    /// True if all embeddings and biases are finite.
    fn is_finite(&self) -> Result<bool>;

    /// Scores of all items for each of these users: [users, items], each (dot + item bias) + user
    /// bias.
    fn scores(&self, users: &[u32]) -> Result<Vec<f32>>;

    /// For each interaction of `wanted`, in order: the number of other items, except those of
    /// `excluded`, that score at least as high.
    fn ranks(&self, wanted: &Interactions, excluded: Option<&Interactions>) -> Result<Vec<u32>>;

    /// Ranking metrics of `test`, excluding the items of `train`. A device that holds the ranks
    /// reduces them itself.
    fn metrics(
        &self,
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        Metrics::new(convention, test, train, &self.ranks(test, train)?, k)
    }

    /// The `n` best items of each of these users, excluding those of `seen`.
    fn best(
        &self,
        users: &[u32],
        n: usize,
        seen: Option<&Interactions>,
    ) -> Result<Vec<Vec<Scored>>>;

    /// The `n` items with the highest cosine similarity to this one, excluding itself.
    fn similar(&self, item: u32, n: usize) -> Result<Vec<Scored>>;
}
