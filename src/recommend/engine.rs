//! What a device does for a recommender: the seam between the model and the devices.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::recommend::best::Scored;
use crate::recommend::features::Features;
use crate::recommend::interactions::Interactions;
use crate::recommend::metrics::{Convention, Metrics};
use crate::recommend::sampling::Rules;

/// How the hits of a row move it; see [`crate::recommend::sampling`].
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// rate / √G with the sum G of the squares so far, from 1.
    #[default]
    Adagrad,
    /// The rate itself.
    Sgd,
}

/// What an update must know besides the samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LearningRatePolicy {
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub user_alpha: f64,
    pub item_alpha: f64,
    /// LightFM's gradient of the user's bias under WARP and BPR.
    pub user_bias_gradient: bool,
    /// At least 1.
    pub batch_size: usize,
}

/// What users or items are made of; rows are `components` long, without padding.
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
}

/// All that training changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub users: Table,
    pub items: Table,
}

/// The sizes and side features of a model; fixed for an engine's life.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub users: u32,
    pub items: u32,
    pub components: usize,
    pub user_features: Option<Arc<Features>>,
    pub item_features: Option<Arc<Features>>,
}

/// What an epoch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Σ of the samples' losses.
    pub loss: f64,
    /// Draws of negatives.
    pub draws: u64,
    /// Samples that moved something.
    pub updates: u64,
}

/// An epoch that was ended in its midst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// How many of its batches were done.
    pub batches: usize,
    /// What they came to.
    pub tally: Tally,
    /// The fingerprint of the interactions that it goes over; none in a file of an older form.
    pub over: Option<u64>,
}

/// A recommender's tables on a device.
pub(crate) trait Engine: Debug + Send {
    /// Writes tables.
    fn set_state(&mut self, state: &State) -> Result<()>;

    /// Reads tables.
    fn state(&self) -> Result<State>;

    /// Brings interactions to the device, to train on.
    fn set_interactions(&mut self, interactions: Arc<Interactions>) -> Result<()>;

    /// Some batches of a pass over the interactions, in the order and with the arithmetic that [`crate::recommend::sampling`] defines.
    /// What they come to is added to the tally, batch by batch: it does not depend on how many are run at once.
    fn batches(
        &mut self,
        rules: &Rules,
        learning_rate_policy: &LearningRatePolicy,
        epoch: u32,
        which: Range<usize>,
        tally: &mut Tally,
    ) -> Result<()>;

    /// One whole pass.
    #[cfg(test)]
    fn epoch(
        &mut self,
        rules: &Rules,
        learning_rate_policy: &LearningRatePolicy,
        epoch: u32,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        self.batches(rules, learning_rate_policy, epoch, 0..usize::MAX, &mut tally)?;
        Ok(tally)
    }

    /// Whether all embeddings and biases are finite.
    fn is_finite(&self) -> Result<bool>;

    /// Scores of all items for each of these users: [users, items], each (dot + item's bias) + user's bias.
    fn scores(&self, users: &[u32]) -> Result<Vec<f32>>;

    /// For each interaction of `wanted`, in its order: how many other items score at least as high, those of `excluded` left out.
    fn ranks(&self, wanted: &Interactions, excluded: Option<&Interactions>) -> Result<Vec<u32>>;

    /// How well `test` is ranked, the items of `train` left out. A device that has the ranks sums them up itself.
    fn metrics(
        &self,
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        Metrics::new(convention, test, train, &self.ranks(test, train)?, k)
    }

    /// The `n` best items of each of these users, without those of `seen`.
    fn best(
        &self,
        users: &[u32],
        n: usize,
        seen: Option<&Interactions>,
    ) -> Result<Vec<Vec<Scored>>>;

    /// The `n` items whose vectors point most nearly the way of this one's, without itself.
    fn similar(&self, item: u32, n: usize) -> Result<Vec<Scored>>;
}
