//! `gradus recommend`: a recommender on a file of ratings, from the command line; and what a saved one answers.

mod lookup;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use gradus::data::{self, Ratings};
use gradus::recommend::{History, Interactions, Loss, Metrics, Recommender};
use gradus::text;
use serde_json::{Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::{numbers, saved};

/// The length of the list that is tested.
const TOP: usize = 10;

/// Trains a recommender on a file of ratings, tests it on held-out ones; or asks a saved one
#[derive(Args)]
pub struct Recommend {
    /// A CSV with a header as MovieLens', or lines `user::item::rating::time`; plain or .gz. With --model: what of it the user has rated is left out
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    interactions: Option<PathBuf>,
    /// Asks a saved recommender (--out) instead of training one, by --user or --similar-to
    #[arg(long, value_name = "FILE", requires = "question")]
    model: Option<PathBuf>,
    /// The best items for this user, by the ids of the ratings' file
    #[arg(long, value_name = "ID", requires = "model", group = "question", value_parser = numbers::id, allow_negative_numbers = true)]
    user: Option<u32>,
    /// The items that are most like this one
    #[arg(long, value_name = "ITEM", requires = "model", group = "question", conflicts_with = "interactions", value_parser = numbers::id, allow_negative_numbers = true)]
    similar_to: Option<u32>,
    /// How many items are told
    #[arg(long, value_name = "N", requires = "model", default_value = "10", value_parser = numbers::count, allow_negative_numbers = true)]
    count: NonZeroUsize,
    /// What is learned from
    #[arg(long, value_name = "NAME", default_value = "warp", conflicts_with = "model")]
    loss: LossName,
    /// The length of an embedding
    #[arg(long, value_name = "N", default_value = "64", conflicts_with = "model", value_parser = numbers::components, allow_negative_numbers = true)]
    components: NonZeroUsize,
    /// Passes over the interactions
    #[arg(long, value_name = "N", default_value = "20", conflicts_with = "model", value_parser = numbers::count, allow_negative_numbers = true)]
    epochs: NonZeroUsize,
    /// The learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05, conflicts_with = "model", value_parser = numbers::positive, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Ratings from here on count as liked; the others are left out
    #[arg(long, value_name = "RATING", default_value_t = 4.0, conflicts_with = "model", value_parser = numbers::rating, allow_negative_numbers = true)]
    min_rating: f32,
    /// Share of the interactions to test on
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, conflicts_with = "model", value_parser = numbers::share, allow_negative_numbers = true)]
    test_fraction: f64,
    /// What the split, the first embeddings and all draws follow from
    #[arg(long, value_name = "SEED", default_value_t = 7, conflicts_with = "model", value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Draws before an interaction is given up
    #[arg(long, value_name = "N", default_value = "10", conflicts_with = "model", value_parser = numbers::draws, allow_negative_numbers = true)]
    max_sampled: u32,
    /// Interactions whose gradients are taken at once; without it a tenth of them, at most 4096
    #[arg(long, value_name = "N", conflicts_with = "model", value_parser = numbers::count, allow_negative_numbers = true)]
    batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Where to save the recommender
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    out: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
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

/// What came of a training.
struct Trained {
    device: String,
    /// How many of the interactions were not held out.
    to_train: usize,
    interactions: Interactions,
    history: History,
    test: Option<Metrics>,
}

impl Recommend {
    pub fn run(&self) -> Outcome {
        if let Some(path) = &self.model {
            return self.ask(path);
        }
        let Some(path) = &self.interactions else {
            return Err(Failure::Usage("--interactions FILE or --model FILE is needed".into()));
        };
        if let Some(out) = &self.out {
            saved::check_out(out)?;
        }
        let ratings = data::read_ratings(path).map_err(|error| Failure::from(error).of("--interactions"))?;
        let interactions = Interactions::from_ratings(&ratings, self.min_rating, false)
            .map_err(|error| Failure::from(error).of("--min-rating"))?;
        self.note_left_out(&ratings, &interactions);
        let trained = self.train(interactions)?;
        if self.json {
            return output::print_json(&self.as_json(path, &trained));
        }
        output::print(&self.as_text(&trained))
    }

    /// Users of whose ratings none is high enough drop out: said, with the first line of the first one.
    fn note_left_out(&self, ratings: &Ratings, interactions: &Interactions) {
        let Some(ids) = interactions.user_ids() else { return };
        let mut left_out: Vec<(u32, u32)> = (0..ratings.users.len())
            .filter(|&place| ids.row(ratings.users[place]).is_err())
            .map(|place| (ratings.users[place], ratings.lines[place]))
            .collect();
        left_out.sort_unstable();
        left_out.dedup_by_key(|(user, _)| *user);
        if let Some((user, line)) = left_out.iter().min_by_key(|(_, line)| *line) {
            output::note(&format!(
                "note: {} user(s) have no rating of {} or more and are left out; the first is user {user} in line {line}",
                left_out.len(),
                self.min_rating
            ));
        }
    }

    fn train(&self, interactions: Interactions) -> Outcome<Trained> {
        let (train, test) = interactions.split(self.test_fraction, self.seed)?;
        if train.is_empty() || (self.test_fraction > 0.0 && test.is_empty()) {
            let message = format!(
                "--test-fraction {} of {} interaction(s) leaves {} to train and {} to test on; at least one each is needed",
                self.test_fraction,
                interactions.len(),
                train.len(),
                test.len()
            );
            return Err(Failure::Failed(message));
        }
        let mut recommender = Recommender::new(interactions.users(), interactions.items())
            .components(self.components.get())
            .loss(self.loss.into())
            .learning_rate(self.learning_rate)
            .max_sampled(self.max_sampled)
            .seed(self.seed);
        if let Some(batch_size) = self.batch_size {
            recommender = recommender.batch_size(batch_size.get());
        }
        let device = if self.json { self.device.open(false)? } else { self.device.open_and_tell()? };
        let mut model = recommender.on(&device)?;
        let history = model.fit(&train, self.epochs.get())?;
        let test = if test.is_empty() { None } else { Some(model.evaluate(&test, Some(&train), TOP)?) };
        if let Some(path) = &self.out {
            model.save(path).map_err(|error| Failure::from(error).of("--out"))?;
        }
        Ok(Trained { device: device.describe(), to_train: train.len(), interactions, history, test })
    }

    fn as_json(&self, path: &Path, trained: &Trained) -> Value {
        let test = trained.test.map(|test| {
            json!({
                "precision_at_10": test.precision_at_k,
                "recall_at_10": test.recall_at_k,
                "auc": test.auc,
                "mrr": test.mrr,
                "ndcg_at_10": test.ndcg_at_k,
            })
        });
        let losses: Vec<f64> = trained.history.epochs.iter().map(|epoch| epoch.loss).collect();
        json!({
            "users": trained.interactions.users(),
            "items": trained.interactions.items(),
            "interactions": trained.interactions.len(),
            "history": { "loss": losses },
            "test": test,
            "seconds_per_epoch": trained.history.seconds_per_epoch(),
            "sampled_pairs_per_second": trained.history.sampled_pairs_per_second(),
            "device": trained.device,
            "interactions_to_train": trained.to_train,
            "settings": {
                "gradus": env!("CARGO_PKG_VERSION"),
                "interactions": output::path(path),
                "loss": Loss::from(self.loss),
                "components": self.components,
                "epochs": self.epochs,
                "learning_rate": self.learning_rate,
                "batch_size": self.batch_size,
                "max_sampled": self.max_sampled,
                "min_rating": self.min_rating,
                "test_fraction": self.test_fraction,
                "seed": self.seed,
            },
        })
    }

    fn as_text(&self, trained: &Trained) -> String {
        let mut table = output::table(&["epoch", "loss", "pairs drawn", "updates", "time"]);
        for (index, epoch) in trained.history.epochs.iter().enumerate() {
            table.add_row([
                (index + 1).to_string(),
                text::number(epoch.loss),
                text::count(epoch.sampled as u64),
                text::count(epoch.updates as u64),
                text::seconds(epoch.seconds),
            ]);
        }
        let (users, items) = (trained.interactions.users(), trained.interactions.items());
        let (all, to_train) = (trained.interactions.len(), trained.to_train);
        let mut text = format!(
            "{users} users, {items} items, {all} interactions of a rating of {} or more, {to_train} of them to train on\n{table}\n",
            self.min_rating
        );
        let each = trained.history.seconds_per_epoch();
        text += &format!("{} an epoch (the median)", text::seconds(each));
        let pairs = trained.history.sampled_pairs_per_second();
        if pairs > 0.0 {
            text += &format!(", {} pairs drawn a second", text::rate(pairs));
        }
        text.push('\n');
        if let Some(test) = &trained.test {
            text += &output::folded(&format!(
                "test ({} users): precision@10 {:.4}, recall@10 {:.4}, AUC {:.4}, MRR {:.4}, MAP@10 {:.4}, NDCG@10 {:.4}\n",
                test.users, test.precision_at_k, test.recall_at_k, test.auc, test.mrr, test.map_at_k, test.ndcg_at_k
            ));
        }
        text
    }
}
