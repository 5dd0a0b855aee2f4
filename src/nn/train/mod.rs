//! Training: steps, epochs, their reports and saved state.

pub(crate) mod pass;
pub(crate) mod score;
pub(crate) mod small;

pub(crate) mod average;
mod averaged;
pub(crate) mod baseline;
pub(crate) mod batched_engine;
pub(crate) mod callback;
mod checkpoint;
mod copy;
pub(crate) mod diagnosis;
mod early_stopping;
pub(crate) mod engine;
mod epochs;
mod evaluate_rows;
pub(crate) mod exchange;
pub(crate) mod features;
mod fit;
pub(crate) mod gpu;
pub(crate) mod history;
pub(crate) mod host;
pub(crate) mod learning_rate_policy;
pub(crate) mod link;
mod measured;
#[cfg(feature = "mpi")]
mod mpi;
pub(crate) mod options;
mod progress;
mod record;
pub(crate) mod reduce;
pub(crate) mod row_history;
pub(crate) mod row_results;
pub(crate) mod samples;
mod stream;
mod tensorboard;
mod together;
pub(crate) mod trace;
pub(crate) mod training;
pub(crate) mod training_run;
pub(crate) mod updates;
pub(crate) mod validation_data;
pub(crate) mod weights;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;
pub use average::Average;
pub use early_stopping::EarlyStopping;
pub use features::{FeatureArray, FeatureElement};
pub use history::{Baseline, Epoch, History, Stop};
pub use options::{Fit, StepReport};
pub use reduce::Reduce;
pub use row_history::{RowClassHistory, RowHistory};
pub use row_results::{RowClasses, RowResults};
pub use score::Score;
pub use tensorboard::TensorBoard;
pub use weights::ClassWeight;

#[cfg(test)]
mod embedding_tests;
