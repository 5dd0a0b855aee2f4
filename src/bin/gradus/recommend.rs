//! `gradus recommend`: a recommender on a file of ratings, from the command line; and what a saved one answers.

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

/// Trains a recommender on a file of ratings, tests it on held-out ones; or asks a saved one
#[derive(Args)]
pub struct Recommend {
    /// A table of users, items and ratings (or likes), with a header or without, or lines `user::item::rating::time`; plain or .gz. With --model: what of it the user has rated is left out
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    interactions: Option<PathBuf>,
    /// Asks a saved recommender (--out) instead of training one, by --user, --similar-to or --popular
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// With --model: the best items for this user, by the ids of the ratings' file. Else the column of users, where its name does not say
    #[arg(long, value_name = "ID", group = "question", allow_negative_numbers = true)]
    user: Option<String>,
    /// The column of items, where its name does not say
    #[arg(long, value_name = "COLUMN")]
    item: Option<String>,
    /// The column of ratings, where its name does not say
    #[arg(long, value_name = "COLUMN")]
    rating: Option<String>,
    /// The column of counts (of plays, clicks, purchases), where its name does not say: they are the weights of the interactions
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// The column of times, where its name does not say: Unix times or dates
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// What becomes of a user and an item that stand in the file again; without it counts are added up, and any other file is refused
    #[arg(long, value_name = "WHAT")]
    duplicates: Option<DuplicatesName>,
    /// A table of items' ids and features, such as MovieLens' movies.csv: words, numbers, genres as a|b|c. With --model: of items that it was not trained on
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    item_features: Option<PathBuf>,
    /// A table of users' ids and features. With --model: of users that it was not trained on
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    user_features: Option<PathBuf>,
    /// A table of items' ids and titles, which are shown with the answers
    #[arg(long, value_name = "FILE", requires = "model")]
    titles: Option<PathBuf>,
    /// The items that are most like this one
    #[arg(
        long,
        value_name = "ITEM",
        requires = "model",
        group = "question",
        conflicts_with = "interactions",
        allow_negative_numbers = true
    )]
    similar_to: Option<String>,
    /// The items that most users chose; with --user for a user that the recommender does not know
    #[arg(long, requires = "model", conflicts_with = "similar_to")]
    popular: bool,
    /// Also answers with items that are known by their features alone
    #[arg(long, requires = "model")]
    new_items: bool,
    /// How many items are told
    #[arg(long, value_name = "N", requires = "model", default_value = "10", value_parser = numbers::count, allow_negative_numbers = true)]
    count: NonZeroUsize,
    /// What is learned from
    #[arg(long, value_name = "NAME", default_value = "warp", conflicts_with_all = ["model", "resume"])]
    loss: LossName,
    /// The length of an embedding
    #[arg(long, value_name = "N", default_value = "64", conflicts_with_all = ["model", "resume"], value_parser = numbers::components, allow_negative_numbers = true)]
    components: NonZeroUsize,
    /// Passes over the interactions, with --resume further ones [default: 20; with --resume those that are left]
    #[arg(long, value_name = "N", conflicts_with = "model", value_parser = numbers::count, allow_negative_numbers = true)]
    epochs: Option<NonZeroUsize>,
    /// The learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05, conflicts_with_all = ["model", "resume"], value_parser = numbers::positive, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Ratings from here on count as liked; the others are left out [default: 4 where the highest is from 4 to 5, else four fifths of the highest]
    #[arg(long, value_name = "RATING", conflicts_with_all = ["model", "resume"], value_parser = numbers::rating, allow_negative_numbers = true)]
    min_rating: Option<f32>,
    /// What counts are worth as weights of the interactions: the confidence that they were liked, of a mean of 1
    #[arg(long, value_name = "NAME", default_value = "log", conflicts_with_all = ["model", "resume"])]
    confidence: ConfidenceName,
    /// Which interactions are held out to test on
    #[arg(long, value_name = "NAME", default_value = "random", conflicts_with_all = ["model", "resume"])]
    split: SplitName,
    /// Share of the interactions to test on
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, conflicts_with_all = ["model", "resume"], value_parser = numbers::share, allow_negative_numbers = true)]
    test_fraction: f64,
    /// What the split, the first embeddings and all draws follow from
    #[arg(long, value_name = "SEED", default_value_t = 7, conflicts_with_all = ["model", "resume"], value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Draws before an interaction is given up
    #[arg(long, value_name = "N", default_value = "10", conflicts_with_all = ["model", "resume"], value_parser = numbers::draws, allow_negative_numbers = true)]
    max_sampled: u32,
    /// Interactions whose gradients are taken at once; without it a tenth of them, at most 4096
    #[arg(long, value_name = "N", conflicts_with_all = ["model", "resume"], value_parser = numbers::count, allow_negative_numbers = true)]
    batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Goes on with a saved recommender, its options and the interactions that it was trained on; one that was cut goes on to its last epoch. Wants --out
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    resume: Option<PathBuf>,
    /// Behind the test trains again, on all interactions, for as many epochs, and saves that (scikit-learn's `refit`)
    #[arg(long, requires = "out", conflicts_with = "model")]
    refit: bool,
    /// Where to save the recommender, after each epoch
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    out: Option<PathBuf>,
    /// A file for one JSON document a line, of each epoch as it ends; with --resume behind those that are there
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    log: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// What becomes of a user and an item that stand in the file again.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DuplicatesName {
    /// The file is refused.
    Refuse,
    /// The last one counts, by its time if the file has times.
    Last,
    /// The ratings are added up.
    Sum,
}

/// What counts are worth.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConfidenceName {
    /// In proportion to ln(1 + count).
    Log,
    /// In proportion to the count.
    Linear,
    /// 1, whatever the count.
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

/// Which interactions are held out.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum SplitName {
    /// Random ones.
    Random,
    /// The latest.
    Time,
}

/// The names of the losses.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LossName {
    /// Draws until an item lies too high; ranks at the top count most.
    Warp,
    /// As warp, for the k-th best of the user's items.
    WarpKos,
    /// One popular item against each chosen one.
    Bpr,
    /// Each chosen item by itself.
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
        }
        if let Some(path) = &self.resume {
            saved::check_kind("--resume", path, Kind::Recommender)?;
            saved::check_resumed(Some(path), self.out.as_deref())?;
        }
        // All files are read before a device is opened; what was held out is known before.
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
