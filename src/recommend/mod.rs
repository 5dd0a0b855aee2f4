//! Recommenders: embeddings of users and items that are trained on who chose what, by WARP, k-OS WARP, BPR or logistic loss.

mod engine;
mod features;
mod file;
mod host;
mod interactions;
mod metrics;
mod model;
mod recommender;
mod rows;
pub mod sampling;

pub use engine::Optimizer;
pub use features::Features;
pub use interactions::{Ids, Interactions};
pub use metrics::{Convention, Metrics};
pub use model::{Epoch, History, Model, Scored};
pub use recommender::Recommender;
pub use sampling::{Loss, RankWeight};
