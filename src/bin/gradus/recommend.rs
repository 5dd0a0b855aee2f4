//! `gradus recommend`: trains a recommender on a file of ratings, or queries a saved one.

mod answer;
mod files;
mod lookup;
mod report;
mod training;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus::recommend::{Confidence, Loss};

use crate::interrupt::Interrupt;
use crate::numbers;
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::saved::{self, Kind};

/// Trains a recommender on a file of ratings, tests it on held-out ones; or queries a saved one
#[derive(Args)]
pub struct Recommend {
    /// A table of users, items and ratings (or likes), with or without a header, or lines
    /// `user::item::rating::time`; plain or .gz. With --model: the user's rated items, which are
    /// excluded from the answer
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    interactions: Option<PathBuf>,
    /// Queries a saved recommender (--out) instead of training one, by --user, --similar-to or
    /// --popular
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// With --model: the best items for this user, by the ids in the ratings file. Otherwise the
    /// column of users, if its name does not identify it
    #[arg(long, value_name = "ID", group = "question", allow_negative_numbers = true)]
    user: Option<String>,
    /// The column of items, if its name does not identify it
    #[arg(long, value_name = "COLUMN")]
    item: Option<String>,
    /// The column of ratings, if its name does not identify it
    #[arg(long, value_name = "COLUMN")]
    rating: Option<String>,
    /// The column of counts (of plays, clicks, purchases), if its name does not identify it: they
    /// are the weights of the interactions
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// The column of times, if its name does not identify it: Unix times or dates
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Handling of repeated pairs of user and item [default: counts are added up, any other file is
    /// rejected]
    #[arg(long, value_name = "WHAT")]
    duplicates: Option<DuplicatesName>,
    /// A table of items' ids and features, e.g. MovieLens' movies.csv: words, numbers, genres as
    /// a|b|c. With --model: features of items it was not trained on
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    item_features: Option<PathBuf>,
    /// A table of users' ids and features. With --model: features of users it was not trained on
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    user_features: Option<PathBuf>,
    /// A table of items' ids and titles, shown with the answers
    #[arg(long, value_name = "FILE", requires = "model")]
    titles: Option<PathBuf>,
    /// The items most similar to this one
    #[arg(
        long,
        value_name = "ITEM",
        requires = "model",
        group = "question",
        conflicts_with = "interactions",
        allow_negative_numbers = true
    )]
    similar_to: Option<String>,
    /// The items chosen by the most users; with --user for a user unknown to the recommender
    #[arg(long, requires = "model", conflicts_with = "similar_to")]
    popular: bool,
    /// Names the items of the user that pull each item
    #[arg(long, requires = "model")]
    why: bool,
    /// Includes items known by their features alone
    #[arg(long, requires = "model")]
    new_items: bool,
    /// Number of items to show
    #[arg(long, value_name = "N", requires = "model", default_value = "10", value_parser = numbers::count, allow_negative_numbers = true)]
    count: NonZeroUsize,
    /// The loss
    #[arg(long, value_name = "NAME", default_value = "warp", conflicts_with_all = ["model", "resume"])]
    loss: LossName,
    /// The length of an embedding
    #[arg(long, value_name = "N", default_value = "64", conflicts_with_all = ["model", "resume"], value_parser = numbers::components, allow_negative_numbers = true)]
    components: NonZeroUsize,
    /// Passes over the interactions, with --resume additional ones [default: 20; with --resume the
    /// remaining ones]
    #[arg(long, value_name = "N", conflicts_with = "model", value_parser = numbers::count, allow_negative_numbers = true)]
    epochs: Option<NonZeroUsize>,
    /// The learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05, conflicts_with_all = ["model", "resume"], value_parser = numbers::positive, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Ratings from this value on count as liked; the others are left out [default: 4 if the
    /// highest is from 4 to 5, else four fifths of the highest]
    #[arg(long, value_name = "RATING", conflicts_with_all = ["model", "resume"], value_parser = numbers::rating, allow_negative_numbers = true)]
    min_rating: Option<f32>,
    /// Maps counts to weights of the interactions: the confidence that they were liked, normalized
    /// to mean 1
    #[arg(long, value_name = "NAME", default_value = "log", conflicts_with_all = ["model", "resume"])]
    confidence: ConfidenceName,
    /// Selects the interactions held out for the test
    #[arg(long, value_name = "NAME", default_value = "random", conflicts_with_all = ["model", "resume"])]
    split: SplitName,
    /// Fraction of the interactions to test on
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, conflicts_with_all = ["model", "resume"], value_parser = numbers::share, allow_negative_numbers = true)]
    test_fraction: f64,
    /// Seed of the split, the initial embeddings and all draws
    #[arg(long, value_name = "SEED", default_value_t = 7, conflicts_with_all = ["model", "resume"], value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Maximum number of draws per interaction
    #[arg(long, value_name = "N", default_value = "10", conflicts_with_all = ["model", "resume"], value_parser = numbers::draws, allow_negative_numbers = true)]
    max_sampled: u32,
    /// Interactions per batch [default: a tenth of them, at most 4096]
    #[arg(long, value_name = "N", conflicts_with_all = ["model", "resume"], value_parser = numbers::count, allow_negative_numbers = true)]
    batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Resumes a saved recommender with its options and the interactions it was trained on; an
    /// interrupted run continues to its last epoch. Requires --out
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    resume: Option<PathBuf>,
    /// After the test trains again, on all interactions, for as many epochs, and saves that model
    /// (scikit-learn's `refit`)
    #[arg(long, requires = "out", conflicts_with = "model")]
    refit: bool,
    /// File in which the recommender is saved after each epoch
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    out: Option<PathBuf>,
    /// File for one JSON document per line, one line per epoch; with --resume lines are appended
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    log: Option<PathBuf>,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Handling of repeated pairs of user and item.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DuplicatesName {
    /// Reject the file.
    Refuse,
    /// Keep the last one, by time if the file has times.
    Last,
    /// Add up the ratings.
    Sum,
}

/// Confidence as a function of the count.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConfidenceName {
    /// Proportional to ln(1 + count).
    Log,
    /// Proportional to the count.
    Linear,
    /// 1 for any count.
    Binary,
}

impl From<ConfidenceName> for Confidence {
    fn from(name: ConfidenceName) -> Confidence {
        match name {
            ConfidenceName::Log => Confidence::Log,
            ConfidenceName::Linear => Confidence::Linear,
            ConfidenceName::Binary => Confidence::Binary,
        }
    }
}

/// Selection of the held-out interactions.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum SplitName {
    /// Random interactions.
    Random,
    /// The latest interactions.
    Time,
}

/// Loss names.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LossName {
    /// Draws until an item ranks too high; errors at the top weigh most.
    Warp,
    /// As warp, for the k-th best of the user's items.
    WarpKos,
    /// One popular item against each chosen one.
    Bpr,
    /// Each chosen item independently.
    Logistic,
}

impl From<LossName> for Loss {
    fn from(name: LossName) -> Loss {
        match name {
            LossName::Warp => Loss::Warp,
            LossName::WarpKos => Loss::WarpKos,
            LossName::Bpr => Loss::Bpr,
            LossName::Logistic => Loss::Logistic,
        }
    }
}

impl Recommend {
    pub fn run(&self) -> Outcome {
        if let Some(path) = &self.model {
            return self.ask(path);
        }
        let Some(path) = &self.interactions else {
            return Err(Failure::Usage("--interactions FILE or --model FILE is needed".into()));
        };
        if self.refit && self.resume.is_none() && self.test_fraction == 0.0 {
            let message = "--refit: with --test-fraction 0 the training is on all interactions already; leave one of them out";
            return Err(Failure::Usage(message.into()));
        }
        let features =
            [("--user-features", &self.user_features), ("--item-features", &self.item_features)];
        let features = features.into_iter().filter_map(|(flag, path)| Some((flag, path.clone()?)));
        let inputs: Vec<(&str, PathBuf)> =
            [("--interactions", path.clone())].into_iter().chain(features).collect();
        if let Some(out) = &self.out {
            saved::check_out("--out", out, &inputs)?;
        }
        if let Some(log) = &self.log {
            saved::check_log(log, &inputs, [self.resume.as_deref(), self.out.as_deref()])?;
            if self.json {
                saved::check_log_beside_document(log)?;
            }
        }
        if let Some(path) = &self.resume {
            saved::check_kind("--resume", path, Kind::Recommender)?;
            saved::check_resumed(Some(path), self.out.as_deref())?;
        }
        // Read all files before opening a device; the held-out interactions are fixed before that
        // too.
        let data = self.read(path)?;
        let interrupt = Interrupt::listen()?;
        let mut trained = self.train(&data, &interrupt)?;
        let logged = std::mem::replace(&mut trained.logged, Ok(()));
        let report = if self.json {
            output::document(&self.as_json(path, &data, &trained))
        } else {
            self.as_text(&data, &trained)
        };
        output::print_beside(self.out.as_deref(), &report)?;
        match &trained.stopped {
            Some(stop) => {
                let kept = match &self.out {
                    Some(path) => format!("saved to {}: go on with --resume", path.display()),
                    None => "nothing is saved: --out was not given".into(),
                };
                Err(Failure::Interrupted(format!("{stop}; {kept}")))
            }
            None if interrupt.is_asked() && trained.is_refit_left => {
                let message = "the training was over, the one on all interactions was not begun: go on with --resume";
                Err(Failure::Interrupted(message.into()))
            }
            None if interrupt.is_asked() => {
                Err(Failure::Interrupted("the training was over".into()))
            }
            None => logged,
        }
    }
}
