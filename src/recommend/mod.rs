//! Recommenders: embeddings of users and items trained on interactions, by WARP, k-OS WARP, BPR or
//! logistic loss.
//!
//! A [`Recommender`] describes sizes and options; [`Recommender::on`] places it on a device as a
//! [`Model`], which is trained on [`Interactions`], ranks, recommends and is evaluated by
//! [`Metrics`].
//!
//! ```
//! use gradus::Device;
//! use gradus::recommend::{Interactions, Loss, Recommender};
//!
//! // Users 0 to 2 like items 0 to 3, users 3 to 5 like items 4 to 7; each has left one out.
//! let likes = |user: u32, item: u32| user / 3 == item / 4 && item % 4 != user % 3;
//! let pairs: Vec<(u32, u32)> = (0..48).map(|pair| (pair / 8, pair % 8)).filter(|&(user, item)| likes(user, item)).collect();
//! let chosen = Interactions::new(6, 8, &pairs)?;
//!
//! let mut model = Recommender::new(6, 8).components(4).loss(Loss::Warp).on(&Device::cpu())?;
//! let history = model.fit(&chosen, 100)?;
//! assert!(history.epochs[99].loss < history.epochs[0].loss);
//! assert_eq!(model.recommend(1, 1, true)?[0].item, 1); // what user 1 has left out
//! assert_eq!(model.recommend(5, 1, true)?[0].item, 6);
//!
//! let left_out = Interactions::new(6, 8, &[(0, 0), (1, 1), (2, 2), (3, 4), (4, 5), (5, 6)])?;
//! assert_eq!(model.evaluate(&left_out, Some(&chosen), 1)?.precision_at_k, 5.0 / 6.0); // five of six users' first one
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Choice of loss
//!
//! | loss | learns from | good for |
//! |---|---|---|
//! | [`Loss::Warp`] | each positive item against the first drawn violator, weighted more the worse the estimated rank | the top of the list: the first to try |
//! | [`Loss::WarpKos`] | as WARP, for the k-th best of the user's items | users of several tastes |
//! | [`Loss::Bpr`] | each positive item against one drawn by popularity | the AUC over popular items |
//! | [`Loss::Logistic`] | each interaction separately, liked or disliked | data with dislikes |
//!
//! MovieLens latest-small (2016; ratings from 4 on, 671 users, 6,170 items, 20 % held out, training
//! items excluded from the ranking), 32 components, 20 epochs, learning rate 0.05, means of three
//! seeds; after the slash, LightFM 1.17 with the same settings on its own splits:
//!
//! | | precision@10 | recall@10 | AUC |
//! |---|---|---|---|
//! | WARP | .148 / .149 | .140 / .134 | .909 / .907 |
//! | k-OS WARP | .141 / .140 | .136 / .130 | .875 / .875 |
//! | BPR | .121 / .120 | .120 / .117 | .848 / .846 |
//! | logistic | .101 / .100 | .088 / .086 | .868 / .867 |
//! | WARP, `max_sampled(100)` | .156 | .154 | .908 |
//!
//! `GRADUS_MOVIELENS=ratings.csv cargo test --release --test recommend -- --ignored --nocapture`,
//! on the CPU, 2026-11-22.
//!
//! # Beyond ratings
//!
//! | | |
//! |---|---|
//! | counts of plays, clicks, purchases | [`Confidence`]: weights of the interactions |
//! | features of users and items (genres, years) | [`SideFeatures`]; entities known only by features: [`Model::with_newcomers`] |
//! | a user without data | [`most_popular`] |
//! | prediction of later interactions | [`Interactions::split_latest`] |
//!
//! Everything is reproducible. Draws are counted, not timed; updates have a fixed order; two runs
//! on a device give the same bits, with any number of threads. [`sampling`] defines the algorithm
//! exactly.
//!
//! # Sources
//!
//! J. Weston, S. Bengio and N. Usunier, *WSABIE: scaling up to large vocabulary image annotation*
//! (2011); J. Weston, H. Yee and R. Weiss, *Learning to rank recommendations with the k-order
//! statistic loss* (2013); S. Rendle et al., *BPR: Bayesian personalized ranking from implicit
//! feedback* (2009); M. Kula, *Metadata embeddings for user and item cold-start recommendations*
//! (2015), whose LightFM the definitions follow.

pub(crate) mod kernels;

mod best;
mod confidence;
mod engine;
mod features;
mod file;
mod fit;
mod gpu;
mod host;
mod interactions;
mod metrics;
mod model;
mod newcomers;
mod popularity;
mod preparation;
mod reasons;
mod recommender;
mod rows;
pub mod sampling;
mod side;
mod sparse;
mod splits;
mod tables;
mod training;

pub use best::Scored;
pub use confidence::Confidence;
pub use engine::Optimizer;
pub use features::Features;
pub use fit::Fit;
pub use interactions::{Ids, Interactions};
pub use metrics::{Convention, Metrics};
pub use model::{Epoch, History, Model};
pub use popularity::{most_popular, popularity};
pub use preparation::{Preparation, Refit};
pub use reasons::{Because, Reasons};
pub use recommender::Recommender;
pub use sampling::{Loss, RankWeight};
pub use side::SideFeatures;
pub use tables::EmbeddingTable;
