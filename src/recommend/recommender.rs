//! The description of a recommender: sizes, loss, options.

use crate::cpu::random::Random;
use crate::recommend::engine::{Engine, Layout, Optimizer, State, Table, UpdateOptions};
use crate::recommend::gpu::state::GpuEngine;
use crate::recommend::host::CpuEngine;
use crate::recommend::interactions::{Interactions, size};
use crate::recommend::sampling::{Loss, MOST_POSITIVES, RankWeight, Rules};
use crate::recommend::side::SideFeatures;
use crate::runtime::device::Device;
use crate::{Error, Result};

/// Upper limit of the default batch size.
const LARGEST_BATCH: usize = 4096;

/// A description of a recommender: s(user, item) = ⟨p, q⟩ + user bias + item bias.
///
/// The defaults are LightFM's except for the batch: 10 components, Adagrad at 0.05, 10 draws, WARP.
/// Embeddings are initialized uniformly in ±½ / components, biases to 0.
///
/// | LightFM | gradus |
/// |---|---|
/// | `LightFM(no_components=32, loss="warp")` | `Recommender::new(users, items).components(32).loss(Loss::Warp)` |
/// | `learning_schedule="adagrad"`, `"adadelta"` | [`Recommender::optimizer`] |
/// | `fit`, `fit_partial`, `predict`, `predict_rank` | the same names on [`Model`](super::Model) |
/// | `user_features=`, `item_features=` | [`Recommender::user_features`], [`Recommender::item_features`] |
/// | `Dataset.fit`, `build_item_features` | [`SideFeatures::fit`] |
/// | `sample_weight` | [`crate::recommend::Interactions::weighted`]; for counts [`crate::recommend::Confidence`] |
/// | `user_alpha`, `item_alpha` | [`Recommender::user_alpha`], [`Recommender::item_alpha`]: here only rows that are hit decay, in LightFM all rows, so the same value has less effect |
/// | `max_sampled` | [`Recommender::max_sampled`]: here it also limits BPR's draws |
/// | `num_threads` | always all cores; the result has the same bits for any number |
#[derive(Clone, Debug)]
pub struct Recommender {
    pub(crate) users: usize,
    pub(crate) items: usize,
    pub(crate) user_features: Option<SideFeatures>,
    pub(crate) item_features: Option<SideFeatures>,
    pub(crate) options: Options,
}

/// All numeric and named options; saved verbatim.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Options {
    pub components: usize,
    pub loss: Loss,
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub max_sampled: u32,
    pub margin: f32,
    pub rank_weight: RankWeight,
    pub exact_rank: bool,
    pub k: u32,
    pub n: u32,
    pub user_alpha: f64,
    pub item_alpha: f64,
    pub user_bias_gradient: bool,
    pub batch_size: Option<usize>,
    pub seed: u64,
}

impl Recommender {
    /// A recommender for the given numbers of users and items.
    pub fn new(users: usize, items: usize) -> Self {
        let options = Options {
            components: 10,
            loss: Loss::Warp,
            optimizer: Optimizer::Adagrad,
            learning_rate: 0.05,
            max_sampled: 10,
            margin: 1.0,
            rank_weight: RankWeight::Log,
            exact_rank: false,
            k: 5,
            n: 10,
            user_alpha: 0.0,
            item_alpha: 0.0,
            user_bias_gradient: false,
            batch_size: None,
            seed: 7,
        };
        Recommender { users, items, user_features: None, item_features: None, options }
    }

    /// Number of users.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Length of an embedding, 1 to 4,096 (default 10).
    pub fn components(mut self, components: usize) -> Self {
        self.options.components = components;
        self
    }

    /// Training loss (default [`Loss::Warp`]).
    pub fn loss(mut self, loss: Loss) -> Self {
        self.options.loss = loss;
        self
    }

    /// Update rule for the rows that are hit (default [`Optimizer::Adagrad`]).
    pub fn optimizer(mut self, optimizer: Optimizer) -> Self {
        self.options.optimizer = optimizer;
        self
    }

    /// Learning rate, > 0 (default 0.05).
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.options.learning_rate = rate;
        self
    }

    /// Maximum draws per interaction, 1 to 65,536 (default 10). More draws find rarer violations:
    /// slower and often better.
    pub fn max_sampled(mut self, draws: u32) -> Self {
        self.options.max_sampled = draws;
        self
    }

    /// WARP: required score margin of a positive item over a negative one, finite (default 1).
    pub fn margin(mut self, margin: f32) -> Self {
        self.options.margin = margin;
        self
    }

    /// WARP: cost of a rank (default [`RankWeight::Log`]).
    pub fn rank_weight(mut self, weight: RankWeight) -> Self {
        self.options.rank_weight = weight;
        self
    }

    /// WARP: if true, scores all items to count the rank instead of estimating it from draws, and
    /// picks a random violator (default false). Costs a scan of the items for each interaction.
    pub fn exact_rank(mut self, exact: bool) -> Self {
        self.options.exact_rank = exact;
        self
    }

    /// k-OS WARP: trains on the `k`-th best (default 5) of `n` (default 10, at most 64) drawn items
    /// of the user.
    pub fn k_of_n(mut self, k: u32, n: u32) -> Self {
        (self.options.k, self.options.n) = (k, n);
        self
    }

    /// L2 strength for the users' embeddings and biases, ≥ 0 (default 0): each hit of a row also
    /// subtracts rate · alpha · row. Rows that are not hit do not decay ("lazy").
    pub fn user_alpha(mut self, alpha: f64) -> Self {
        self.options.user_alpha = alpha;
        self
    }

    /// As [`Recommender::user_alpha`], for the items.
    pub fn item_alpha(mut self, alpha: f64) -> Self {
        self.options.item_alpha = alpha;
        self
    }

    /// If true, WARP and BPR update the user's bias as LightFM does (default false). Its true
    /// derivative is 0, and no ranking depends on it.
    pub fn user_bias_gradient(mut self, moves: bool) -> Self {
        self.options.user_bias_gradient = moves;
        self
    }

    /// Interactions per batch of gradients, > 0. 1 is LightFM's serial algorithm (with alphas of
    /// 0). Default: a tenth of the interactions, at most 4,096. Up to that size quality does not
    /// depend on it; speed does.
    pub fn batch_size(mut self, interactions: usize) -> Self {
        self.options.batch_size = Some(interactions);
        self
    }

    /// Seed of the initial embeddings, the order and all draws (default 7).
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    /// The users' side features, given as a list ([`crate::recommend::Features`]) or encoded from a
    /// table ([`SideFeatures::fit`]); without them each user has its own embedding. On a GPU as
    /// [`Recommender::item_features`].
    pub fn user_features(mut self, features: impl Into<SideFeatures>) -> Self {
        self.user_features = Some(features.into());
        self
    }

    /// The items' side features; without them each item has its own embedding. On a GPU a batch
    /// allocates, for each interaction, the feature count of the item with the most features: if a
    /// few items have many features, use a smaller `batch_size`.
    pub fn item_features(mut self, features: impl Into<SideFeatures>) -> Self {
        self.item_features = Some(features.into());
        self
    }

    /// The validated sizes.
    pub(crate) fn layout(&self) -> Result<Layout> {
        self.options.check()?;
        let (users, items) = (size("users", self.users)?, size("items", self.items)?);
        for (name, features, entities) in
            [("user", &self.user_features, self.users), ("item", &self.item_features, self.items)]
        {
            if let Some(features) = features
                .as_ref()
                .map(SideFeatures::features)
                .filter(|features| features.entities() != entities)
            {
                return Err(Error::Shape {
                    operation: "recommend".into(),
                    found: format!(
                        "{name} features are of {} {name}s but there are {entities}",
                        features.entities()
                    ),
                    allowed: format!("give each of the {entities} its features"),
                });
            }
        }
        Ok(Layout {
            users,
            items,
            components: self.options.components,
            user_features: self.user_features.as_ref().map(SideFeatures::shared),
            item_features: self.item_features.as_ref().map(SideFeatures::shared),
        })
    }

    /// Embeddings uniform in ±½ / components, biases 0, squares 1.
    pub(crate) fn first_state(&self) -> State {
        let table = |entities: usize, features: &Option<SideFeatures>, stream: u64| {
            let rows = features.as_ref().map_or(entities, |side| side.features().features());
            let (mut random, components) =
                (Random::new(self.options.seed, stream), self.options.components);
            let embeddings: Vec<f64> = (0..rows * components)
                // Rounded to f32, so that every device starts from the same numbers.
                .map(|_| f64::from(((random.uniform() - 0.5) / components as f64) as f32))
                .collect();
            let averages = matches!(self.options.optimizer, Optimizer::Adadelta { .. });
            let (square, updates) = if averages { (0.0, rows) } else { (1.0, 0) };
            Table {
                embedding_squares: vec![square; embeddings.len()],
                embeddings,
                biases: vec![0.0; rows],
                bias_squares: vec![square; rows],
                embedding_updates: vec![0.0; updates * components],
                bias_updates: vec![0.0; updates],
            }
        };
        State {
            users: table(self.users, &self.user_features, 0),
            items: table(self.items, &self.item_features, 1),
        }
    }
}

/// The engine for a device.
pub(crate) fn engine(layout: Layout, device: &Device) -> Result<Box<dyn Engine>> {
    match device {
        Device::Gpu(gpu) => Ok(Box::new(GpuEngine::new(layout, gpu)?)),
        Device::Cpu => Ok(Box::new(CpuEngine::<f32>::new(layout))),
        Device::Reference => Ok(Box::new(CpuEngine::<f64>::new(layout))),
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        let refuse = |name: &str, found: String, allowed: &str| {
            Err(Error::option("recommend", name, found, allowed))
        };
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if self.components == 0 || self.components > 4096 {
            return refuse("components", self.components.to_string(), "1 to 4096");
        }
        if !positive(self.learning_rate) {
            return refuse("learning_rate", self.learning_rate.to_string(), "> 0 and finite");
        }
        if let Optimizer::Adadelta { rho, epsilon } = self.optimizer {
            if !(rho > 0.0 && rho < 1.0) {
                return refuse("rho", rho.to_string(), "in (0, 1)");
            }
            if !positive(epsilon) {
                return refuse("epsilon", epsilon.to_string(), "> 0 and finite");
            }
        }
        if self.max_sampled == 0 || self.max_sampled > 1 << 16 {
            return refuse("max_sampled", self.max_sampled.to_string(), "1 to 65536");
        }
        if !self.margin.is_finite() {
            return refuse("margin", self.margin.to_string(), "finite");
        }
        if self.k == 0 || self.k > self.n {
            return refuse("k", self.k.to_string(), &format!("1 to n, which is {}", self.n));
        }
        if self.n as usize > MOST_POSITIVES {
            return refuse("n", self.n.to_string(), &format!("1 to {MOST_POSITIVES}"));
        }
        for (name, alpha) in [("user_alpha", self.user_alpha), ("item_alpha", self.item_alpha)] {
            if !(alpha >= 0.0 && alpha.is_finite()) {
                return refuse(name, alpha.to_string(), ">= 0 and finite");
            }
        }
        if self.batch_size == Some(0) {
            return refuse("batch_size", "0".into(), "> 0");
        }
        Ok(())
    }

    /// The sampling rules.
    pub(crate) fn rules(&self, items: u32) -> Rules {
        let table = if self.exact_rank {
            self.rank_weight.of_ranks(items)
        } else {
            self.rank_weight.of_draws(items, self.max_sampled)
        };
        Rules {
            loss: self.loss,
            seed: self.seed,
            max_sampled: self.max_sampled,
            margin: self.margin,
            rank_weights: table,
            exact_rank: self.exact_rank,
            k: self.k,
            n: self.n,
        }
    }

    /// The update parameters for training on these interactions.
    pub(crate) fn update_options(&self, interactions: &Interactions) -> UpdateOptions {
        let tenth = (interactions.len() / 10).clamp(1, LARGEST_BATCH);
        UpdateOptions {
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            user_alpha: self.user_alpha,
            item_alpha: self.item_alpha,
            user_bias_gradient: self.user_bias_gradient,
            batch_size: self.batch_size.unwrap_or(tenth),
        }
    }
}
