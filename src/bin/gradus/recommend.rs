//! `gradus recommend`: a recommender on a file of ratings, from the command line; and what a saved one answers.

mod lookup;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use gradus::data::{self, Duplicates, Ratings, RatingsOptions};
use gradus::recommend::{
    Epoch, Fit, History, Interactions, Loss, Metrics, Model, Preparation, Recommender, popularity,
};
use gradus::{Device, HeldOut, Stop, text};
use serde_json::{Value, json};

use crate::interrupt::Interrupt;
use crate::numbers;
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::saved::{self, Kind};

/// The length of the list that is tested.
const TOP: usize = 10;

/// Epochs where nobody says.
const EPOCHS: usize = 20;

/// Trains a recommender on a file of ratings, tests it on held-out ones; or asks a saved one
#[derive(Args)]
pub struct Recommend {
    /// A table of users, items and ratings (or likes), with a header or without, or lines `user::item::rating::time`; plain or .gz. With --model: what of it the user has rated is left out
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    interactions: Option<PathBuf>,
    /// Asks a saved recommender (--out) instead of training one, by --user or --similar-to
    #[arg(long, value_name = "FILE", requires = "question")]
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
    /// What becomes of a user and an item that stand in the file again
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    duplicates: DuplicatesName,
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
    /// Ratings from here on count as liked; the others are left out
    #[arg(long, value_name = "RATING", default_value_t = 4.0, conflicts_with_all = ["model", "resume"], value_parser = numbers::rating, allow_negative_numbers = true)]
    min_rating: f32,
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
    /// Goes on with a saved recommender, its options and the interactions that it was trained on; one that was cut goes on to its last epoch
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    resume: Option<PathBuf>,
    /// Where to save the recommender, after each epoch
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    out: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// What becomes of a user and an item that stand in the file again.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DuplicatesName {
    /// The file is refused.
    Refuse,
    /// The last rating counts.
    Last,
    /// The ratings are added up.
    Sum,
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

/// Whether a recommender says how many epochs it shall have: a file of gradus 0.1.0 does not.
fn says(model: &Model) -> bool {
    model.epochs_left() > 0 || !model.history().is_empty()
}

/// What came of a training.
struct Trained {
    device: String,
    /// How many of the interactions were not held out.
    to_train: usize,
    interactions: Interactions,
    history: History,
    /// The epochs of the whole training, those that a saved recommender had behind it first.
    all: Vec<Epoch>,
    before: usize,
    /// Epochs that were asked for.
    epochs: usize,
    preparation: Preparation,
    /// Why it ended before its last epoch.
    stopped: Option<Stop>,
    test: Option<Metrics>,
    /// What the most chosen items alone come to on the same test.
    popularity: Option<Metrics>,
    /// Whether the file has ratings; else its lines are likes.
    has_ratings: bool,
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
            saved::check_out("--out", out, &[("--interactions", path.clone())])?;
        }
        if let Some(path) = &self.resume {
            saved::check_kind("--resume", path, Kind::Recommender)?;
        }
        // The ratings are read before a device is opened; what was held out is known before.
        let preparation = self.preparation();
        let ratings = self.ratings(path)?;
        ratings.notes.iter().for_each(|note| output::note(&format!("note: {}: {note}", path.display())));
        let interactions = Interactions::from_ratings(&ratings, preparation.min_rating, false)
            .map_err(|error| Failure::from(error).of("--min-rating"))?;
        self.note_left_out(&ratings, &interactions, preparation.min_rating);
        let interrupt = Interrupt::listen()?;
        let trained = self.train(interactions, preparation, &interrupt)?;
        let trained = Trained { has_ratings: ratings.has_ratings, ..trained };
        let told = if self.json { output::document(&self.as_json(path, &trained)) } else { self.as_text(&trained) };
        output::print_beside(self.out.as_deref(), &told)?;
        match &trained.stopped {
            Some(stop) => {
                let kept = match &self.out {
                    Some(path) => format!("saved to {}: go on with --resume", path.display()),
                    None => "nothing is saved: --out was not given".into(),
                };
                Err(Failure::Interrupted(format!("{stop}; {kept}")))
            }
            None if interrupt.is_asked() => Err(Failure::Interrupted("the training was over".into())),
            None => Ok(()),
        }
    }

    /// Reads a file of ratings.
    fn ratings(&self, path: &Path) -> Outcome<Ratings> {
        let duplicates = match self.duplicates {
            DuplicatesName::Refuse => Duplicates::Refuse,
            DuplicatesName::Last => Duplicates::Last,
            DuplicatesName::Sum => Duplicates::Sum,
        };
        let options = RatingsOptions {
            user: self.user.clone().filter(|_| self.model.is_none()),
            item: self.item.clone(),
            rating: self.rating.clone(),
            duplicates,
            ..RatingsOptions::default()
        };
        let columns = [("--user", &options.user), ("--item", &options.item), ("--rating", &options.rating)];
        data::read_ratings_with(path, &options).map_err(|error| {
            let is_named = |column: &Option<String>| matches!((&error, column), (gradus::Error::Unknown { found, .. }, Some(name)) if found == name);
            let flag = columns.iter().find(|(_, column)| is_named(column)).map_or(&"--interactions", |(flag, _)| flag);
            match Failure::from(error).of(flag) {
                Failure::Failed(message) if flag == &"--user" => {
                    Failure::Failed(message + "; the id of a user is asked for with --model")
                }
                other => other,
            }
        })
    }

    /// What becomes of the ratings: of a saved recommender the same as before, so that what was held out stays so.
    fn preparation(&self) -> Preparation {
        let asked = Preparation {
            min_rating: self.min_rating,
            held_out: HeldOut { seed: self.seed, share: self.test_fraction },
        };
        let described = self.resume.as_deref().and_then(saved::description).map(|(_, described)| described);
        let kept = described.and_then(|described| serde_json::from_value(described["preparation"].clone()).ok());
        kept.unwrap_or(asked)
    }

    /// Users of whose ratings none is high enough drop out: said, with the first line of the first one.
    fn note_left_out(&self, ratings: &Ratings, interactions: &Interactions, min_rating: f32) {
        let Some(ids) = interactions.user_ids() else { return };
        let is_left: Vec<bool> = ratings.user_ids.iter().map(|id| ids.row(id).is_ok()).collect();
        let mut left_out: Vec<(u32, u32)> = (0..ratings.users.len())
            .filter(|&place| !is_left[ratings.users[place] as usize])
            .map(|place| (ratings.users[place], ratings.lines[place]))
            .collect();
        left_out.sort_unstable();
        left_out.dedup_by_key(|(user, _)| *user);
        if let Some((user, line)) = left_out.iter().min_by_key(|(_, line)| *line) {
            let user = &ratings.user_ids[*user as usize];
            output::note(&format!(
                "note: {} user(s) have no rating of {min_rating} or more and are left out; the first is user {user} in line {line}",
                left_out.len(),
            ));
        }
    }

    fn train(&self, interactions: Interactions, preparation: Preparation, interrupt: &Interrupt) -> Outcome<Trained> {
        let HeldOut { seed, share } = preparation.held_out;
        let (train, test) = interactions.split(share, seed)?;
        if train.is_empty() || (share > 0.0 && test.is_empty()) {
            let message = format!(
                "--test-fraction {share} of {} interaction(s) leaves {} to train and {} to test on; at least one each is needed",
                interactions.len(),
                train.len(),
                test.len()
            );
            return Err(Failure::Failed(message));
        }
        let device = if self.json { self.device.open(false)? } else { self.device.open_and_tell()? };
        let mut model = match &self.resume {
            Some(path) => self.resumed(path, &train, &device)?,
            None => self.recommender(&interactions).on(&device)?,
        };
        model.set_preparation(preparation);
        let before = model.epochs() as usize;
        let left = self.resume.as_ref().filter(|_| says(&model)).map(|_| model.epochs_left());
        let epochs = self.epochs.map(NonZeroUsize::get).or(left).unwrap_or(EPOCHS);
        let step = interrupt.clone();
        let mut fit = Fit::new().epochs(epochs).on_step(move |_, _| step.flow());
        if let Some(path) = &self.out {
            fit = fit.checkpoint(path);
        }
        let history = model.train(&train, fit)?;
        interrupt.end_at_once();
        let is_tested = !test.is_empty() && history.stopped.is_none();
        let popularity = if is_tested { Some(popularity(&test, &train, TOP)?) } else { None };
        let test = if is_tested { Some(model.evaluate(&test, Some(&train), TOP)?) } else { None };
        let all = model.history().to_vec();
        let stopped = history.stopped.clone();
        let device = device.describe();
        Ok(Trained {
            device,
            to_train: train.len(),
            interactions,
            history,
            all,
            before,
            epochs,
            preparation,
            stopped,
            test,
            popularity,
            has_ratings: true,
        })
    }

    fn recommender(&self, interactions: &Interactions) -> Recommender {
        let mut recommender = Recommender::new(interactions.users(), interactions.items())
            .components(self.components.get())
            .loss(self.loss.into())
            .learning_rate(self.learning_rate)
            .max_sampled(self.max_sampled)
            .seed(self.seed);
        if let Some(batch_size) = self.batch_size {
            recommender = recommender.batch_size(batch_size.get());
        }
        recommender
    }

    /// A saved recommender, if it was trained on these interactions.
    fn resumed(&self, path: &Path, train: &Interactions, device: &Device) -> Outcome<Model> {
        let model = Model::load(path, device).map_err(|error| Failure::from(error).of("--resume"))?;
        if model.seen().is_none_or(|seen| seen != train) {
            let message = format!(
                "--resume: {} was trained on other interactions than --interactions has; take the file that it was trained on",
                path.display()
            );
            return Err(Failure::Failed(message));
        }
        if self.epochs.is_none() && says(&model) {
            let (done, left) = (model.epochs() as usize, model.epochs_left());
            output::note(&match left {
                0 => "resumed: the saved training is over; --epochs N adds to it".into(),
                _ => format!("resumed: {done} of {} epochs are done", done + left),
            });
        }
        Ok(model)
    }

    fn as_json(&self, path: &Path, trained: &Trained) -> Value {
        let told = |metrics: Metrics| {
            json!({
                "precision_at_10": metrics.precision_at_k,
                "recall_at_10": metrics.recall_at_k,
                "auc": metrics.auc,
                "mrr": metrics.mrr,
                "ndcg_at_10": metrics.ndcg_at_k,
            })
        };
        let (test, popularity) = (trained.test.map(told), trained.popularity.map(told));
        let losses: Vec<f64> = trained.all.iter().map(|epoch| epoch.loss).collect();
        let Preparation { min_rating, held_out } = trained.preparation;
        let mut document = json!({
            "users": trained.interactions.users(),
            "items": trained.interactions.items(),
            "interactions": trained.interactions.len(),
            "history": { "loss": losses },
            "test": test,
            "seconds_per_epoch": trained.history.seconds_per_epoch(),
            "sampled_pairs_per_second": trained.history.sampled_pairs_per_second(),
            "device": trained.device,
            "interactions_to_train": trained.to_train,
            "epochs_before": trained.before,
            "stopped": trained.stopped.as_ref().map(ToString::to_string),
            "popularity": popularity,
            "settings": {
                "gradus": env!("CARGO_PKG_VERSION"),
                "interactions": output::path(path),
                "user": self.user,
                "item": self.item,
                "rating": self.rating,
                "loss": Loss::from(self.loss),
                "components": self.components,
                "epochs": trained.epochs,
                "learning_rate": self.learning_rate,
                "batch_size": self.batch_size,
                "max_sampled": self.max_sampled,
                "min_rating": min_rating,
                "test_fraction": held_out.share,
                "seed": held_out.seed,
                "resume": self.resume.as_deref().map(output::path),
            },
        });
        // A saved recommender has its own options.
        let described = self.resume.as_deref().and_then(saved::description).map(|(_, described)| described);
        for name in ["loss", "components", "learning_rate", "batch_size", "max_sampled"] {
            if let Some(own) = described.as_ref().and_then(|described| described["options"].get(name)) {
                document["settings"][name] = own.clone();
            }
        }
        document
    }

    fn as_text(&self, trained: &Trained) -> String {
        let mut table = output::table(&["epoch", "loss", "pairs drawn", "updates", "time"]);
        for (index, epoch) in trained.all.iter().enumerate() {
            table.add_row([
                (index + 1).to_string(),
                text::number(epoch.loss),
                text::count(epoch.sampled),
                text::count(epoch.updates),
                text::seconds(epoch.seconds),
            ]);
        }
        let (users, items) = (trained.interactions.users(), trained.interactions.items());
        let (all, to_train) = (trained.interactions.len(), trained.to_train);
        let what = match trained.has_ratings {
            true => format!("interactions of a rating of {} or more", trained.preparation.min_rating),
            false => "likes".into(),
        };
        let mut text = format!("{users} users, {items} items, {all} {what}, {to_train} of them to train on\n{table}\n");
        let each = trained.history.seconds_per_epoch();
        text += &format!("{} an epoch (the median)", text::seconds(each));
        let pairs = trained.history.sampled_pairs_per_second();
        if pairs > 0.0 {
            text += &format!(", {} pairs drawn a second", text::rate(pairs));
        }
        text.push('\n');
        if let Some(test) = &trained.test {
            text += &output::folded(&format!("test ({} users): {}\n", test.users, in_words(test)));
        }
        if let Some(popularity) = &trained.popularity {
            text += &output::folded(&format!("popularity alone: {}\n", in_words(popularity)));
        }
        text
    }
}

fn in_words(metrics: &Metrics) -> String {
    format!(
        "precision@10 {:.4}, recall@10 {:.4}, AUC {:.4}, MRR {:.4}, MAP@10 {:.4}, NDCG@10 {:.4}",
        metrics.precision_at_k, metrics.recall_at_k, metrics.auc, metrics.mrr, metrics.map_at_k, metrics.ndcg_at_k
    )
}
