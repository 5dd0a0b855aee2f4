//! A recommender on a device: training, prediction, recommendation.

use std::sync::Arc;

use crate::nn::train::history::Stop;
use crate::recommend::best::Scored;
use crate::recommend::engine::{Cut, Engine, State};
use crate::recommend::interactions::{Ids, Interactions};
use crate::recommend::metrics::{Convention, Metrics};
use crate::recommend::preparation::Preparation;
use crate::recommend::recommender::{Recommender, engine};
use crate::recommend::side::SideFeatures;
use crate::recommend::tables::EmbeddingTable;
use crate::runtime::device::Device;
use crate::{Error, Result};

/// A recommender on a device. Created by [`Recommender::on`] or [`Model::load`].
#[derive(Debug)]
pub struct Model {
    pub(crate) description: Recommender,
    pub(crate) device: Device,
    pub(crate) engine: Box<dyn Engine>,
    /// Epochs trained since initialization.
    pub(crate) epochs: u32,
    /// Union of all interactions it was trained on.
    pub(crate) seen: Option<Arc<Interactions>>,
    /// Completed epochs, as far as known.
    pub(crate) history: Vec<Epoch>,
    /// Total epochs after the last requested training run.
    pub(crate) planned: u32,
    /// The epoch in which the last training run was interrupted.
    pub(crate) cut: Option<Cut>,
    pub(crate) preparation: Option<Preparation>,
}

/// Totals of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Mean loss of an interaction. WARP: weight · (margin − s⁺ + s⁻) of the violating pair, 0 if
    /// none was found; BPR: ln(1 + e^−(s⁺ − s⁻)); logistic: binary cross-entropy.
    pub loss: f64,
    /// Negatives drawn.
    pub sampled: u64,
    /// Interactions that updated parameters.
    pub updates: u64,
    /// Wall time; 0 if loaded from a file.
    pub seconds: f64,
}

/// Result of [`Model::fit`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Epochs of this call.
    pub epochs: Vec<Epoch>,
    /// Reason for ending early, if it did.
    pub stopped: Option<Stop>,
}

impl History {
    /// Median wall time of an epoch; 0 without epochs. The median, because the first epoch on a GPU
    /// includes compiling its pipelines.
    pub fn seconds_per_epoch(&self) -> f64 {
        median(self.epochs.iter().map(|epoch| epoch.seconds))
    }

    /// Median number of negatives drawn per second; 0 if none are drawn.
    pub fn sampled_pairs_per_second(&self) -> f64 {
        median(
            self.epochs
                .iter()
                .filter(|epoch| epoch.seconds > 0.0)
                .map(|epoch| epoch.sampled as f64 / epoch.seconds),
        )
    }
}

/// 0 if empty.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(&value) if values.len() % 2 == 1 => value,
        Some(&value) => 0.5 * (values[middle - 1] + value),
        None => 0.0,
    }
}

impl Recommender {
    /// Creates the model on a device with its initial embeddings.
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain, [`Error::Shape`] for features of a
    /// different number of users or items; errors of the device.
    pub fn on(self, device: &Device) -> Result<Model> {
        let layout = self.layout()?;
        let mut engine = engine(layout, device)?;
        engine.set_state(&self.first_state())?;
        Ok(Model::new(self, device.clone(), engine))
    }
}

impl Model {
    pub(crate) fn new(description: Recommender, device: Device, engine: Box<dyn Engine>) -> Self {
        Model {
            description,
            device,
            engine,
            epochs: 0,
            seen: None,
            history: Vec::new(),
            planned: 0,
            cut: None,
            preparation: None,
        }
    }

    pub(super) fn check_sizes(&self, name: &str, interactions: &Interactions) -> Result<()> {
        let Recommender { users, items, .. } = self.description;
        if (interactions.users(), interactions.items()) == (users, items) {
            return Ok(());
        }
        Err(Error::Shape {
            operation: "recommend".into(),
            found: format!("{name} are [{}, {}]", interactions.users(), interactions.items()),
            allowed: format!("the model has [{users} users, {items} items]"),
        })
    }

    /// Rejects interactions from another file, whose rows mean other ids.
    pub(super) fn check_ids(&self, name: &str, interactions: &Interactions) -> Result<()> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let differ = |known: Option<&Ids>, given: Option<&Ids>| matches!((known, given), (Some(a), Some(b)) if a != b);
        for (which, known, given) in [
            ("users", seen.user_ids(), interactions.user_ids()),
            ("items", seen.item_ids(), interactions.item_ids()),
        ] {
            if differ(known, given) {
                return Err(Error::Input {
                    operation: "recommend".into(),
                    name: name.into(),
                    found: format!("number other {which} than those that the model was trained on"),
                    allowed: "parts of one file (`Interactions::split`), or rows by `Ids::row` of its ids".into(),
                });
            }
        }
        Ok(())
    }

    /// Scores of pairs: item `items[i]` for user `users[i]`. Only their order within a user is
    /// meaningful.
    ///
    /// # Errors
    /// [`Error::Shape`] for lists of different lengths, [`Error::Input`] for a user or an item out
    /// of range.
    pub fn predict(&self, users: &[u32], items: &[u32]) -> Result<Vec<f32>> {
        if users.len() != items.len() {
            return Err(Error::Shape {
                operation: "recommend".into(),
                found: format!("users are [{}] but items are [{}]", users.len(), items.len()),
                allowed: "they must be of one length".into(),
            });
        }
        users.iter().try_for_each(|&user| self.check_user(user))?;
        items.iter().try_for_each(|&item| self.check_item(item))?;
        let mut distinct = users.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut predictions = vec![0.0; users.len()];
        let mut order: Vec<usize> = (0..users.len()).collect();
        order.sort_by_key(|&index| users[index]);
        let mut next = 0;
        for part in distinct.chunks(self.users_at_a_time()) {
            let scores = self.engine.scores(part)?;
            for (row, &user) in part.iter().enumerate() {
                while next < order.len() && users[order[next]] == user {
                    predictions[order[next]] =
                        scores[row * self.description.items + items[order[next]] as usize];
                    next += 1;
                }
            }
        }
        Ok(predictions)
    }

    /// Users per batch of all-item scores: 64 MiB, at least one user.
    fn users_at_a_time(&self) -> usize {
        ((1 << 24) / self.description.items).max(1)
    }

    pub(super) fn check_user(&self, user: u32) -> Result<()> {
        within("user", user, self.description.users)
    }

    pub(super) fn check_item(&self, item: u32) -> Result<()> {
        within("item", item, self.description.items)
    }

    /// Rank of each interaction of `test`, in order: the number of other items that score at least
    /// as high, from 0. The items of `train` are excluded; ties count against the item.
    ///
    /// # Errors
    /// [`Error::Shape`] for interactions of different sizes; errors of the device.
    pub fn predict_rank(
        &self,
        test: &Interactions,
        train: Option<&Interactions>,
    ) -> Result<Vec<u32>> {
        self.check_held_out(test, train)?;
        self.engine.ranks(test, train)
    }

    fn check_held_out(&self, test: &Interactions, train: Option<&Interactions>) -> Result<()> {
        for (name, interactions) in
            std::iter::once(("test", test)).chain(train.map(|train| ("train", train)))
        {
            self.check_sizes(name, interactions)?;
            self.check_ids(name, interactions)?;
        }
        Ok(())
    }

    /// Ranking metrics on held-out interactions; see [`Metrics`]. Disliked items of `test` count as
    /// negatives. On a GPU, ranks and metrics are computed there, the metrics in f32: within 1e-4
    /// (typically 1e-7) of [`Metrics::new`] on the result of [`Model::predict_rank`].
    ///
    /// # Errors
    /// As [`Model::predict_rank`]; [`Error::Option`] for a `k` of 0; [`Error::Empty`] if no user
    /// has a test item.
    pub fn evaluate(
        &self,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        self.evaluate_as(Convention::LightFm, test, train, k)
    }

    /// As [`Model::evaluate`], by another library's definitions.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_as(
        &self,
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        let liked = test.liked();
        self.check_held_out(&liked, train)?;
        self.engine.metrics(convention, &liked, train, k)
    }

    /// The `n` best items for a user, excluding the user's training items if `filter_seen`. Ties go
    /// to the lower item.
    ///
    /// # Errors
    /// [`Error::Input`] for a user out of range, or without interactions and side features: its
    /// scores would be random.
    pub fn recommend(&self, user: u32, n: usize, filter_seen: bool) -> Result<Vec<Scored>> {
        Ok(self.recommend_all(&[user], n, filter_seen)?.remove(0))
    }

    /// As [`Model::recommend`], for many users at once. On a GPU the items are selected there, and
    /// `n` per user are read back.
    ///
    /// # Errors
    /// As [`Model::recommend`].
    pub fn recommend_all(
        &self,
        users: &[u32],
        n: usize,
        filter_seen: bool,
    ) -> Result<Vec<Vec<Scored>>> {
        for &user in users {
            self.check_user(user)?;
            self.check_known(user)?;
        }
        let seen = if filter_seen { self.seen.as_deref() } else { None };
        self.engine.best(users, n, seen)
    }

    /// A user's items in training.
    pub(super) fn seen_by(&self, user: u32) -> &[u32] {
        self.seen.as_ref().map_or(&[], |seen| seen.of(user as usize))
    }

    fn check_known(&self, user: u32) -> Result<()> {
        let by_features = self
            .description
            .user_features
            .as_ref()
            .is_some_and(|side| side.has_table_feature(user as usize));
        if by_features || !self.seen_by(user).is_empty() {
            return Ok(());
        }
        Err(Error::Input {
            operation: "recommend".into(),
            name: format!("user {user}"),
            found: "has no interactions that the model was trained on, and no side features".into(),
            allowed: "take a user that has".into(),
        })
    }

    /// The `n` items with the highest cosine similarity, excluding the item itself. On a GPU they
    /// are compared and selected there, in f32: two items whose cosines differ by less than 1e-6
    /// may be swapped.
    ///
    /// # Errors
    /// [`Error::Input`] for an item out of range.
    pub fn similar_items(&self, item: u32, n: usize) -> Result<Vec<Scored>> {
        self.check_item(item)?;
        self.engine.similar(item, n)
    }

    /// The embeddings and biases of users and of items, with the state of their optimizer.
    ///
    /// ```
    /// use gradus::Device;
    /// use gradus::recommend::{Interactions, Recommender};
    /// let mut model = Recommender::new(2, 3).components(4).on(&Device::cpu())?;
    /// model.fit(&Interactions::new(2, 3, &[(0, 0), (1, 2)])?, 5)?;
    /// let [users, items] = model.tables()?;
    /// assert_eq!((users.embeddings.dim(), items.biases.len()), ((2, 4), 3));
    /// let score = users.embeddings.row(0).dot(&items.embeddings.row(2)) + users.biases[0] + items.biases[2];
    /// assert!((score - f64::from(model.predict(&[0], &[2])?[0])).abs() < 1e-6);
    ///
    /// let mut other = Recommender::new(2, 3).components(4).on(&Device::cpu())?;
    /// other.set_tables(&users, &items)?;
    /// assert_eq!(other.predict(&[0], &[2])?, model.predict(&[0], &[2])?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the device.
    pub fn tables(&self) -> Result<[EmbeddingTable; 2]> {
        let State { users, items } = self.engine.state()?;
        let components = self.description.options.components;
        Ok([EmbeddingTable::of(users, components)?, EmbeddingTable::of(items, components)?])
    }

    /// Sets what [`Model::tables`] reads, to go on with the training of another model or library.
    ///
    /// # Errors
    /// [`Error::Shape`] for tables of other sizes, [`Error::Option`] for squared sums that are not
    /// positive or numbers that are not finite; errors of the device.
    pub fn set_tables(&mut self, users: &EmbeddingTable, items: &EmbeddingTable) -> Result<()> {
        let rows = |entities: usize, side: &Option<SideFeatures>| {
            side.as_ref().map_or(entities, |side| side.features().features())
        };
        let Recommender { users: user_count, items: item_count, options, .. } = &self.description;
        let state = State {
            users: users.table(
                "users",
                rows(*user_count, &self.description.user_features),
                options.components,
                options.optimizer,
            )?,
            items: items.table(
                "items",
                rows(*item_count, &self.description.item_features),
                options.components,
                options.optimizer,
            )?,
        };
        self.engine.set_state(&state)
    }

    /// The model's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of epochs trained.
    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    /// Epochs remaining in the last training run, including one resumed from a file.
    pub fn epochs_left(&self) -> usize {
        self.planned.saturating_sub(self.epochs) as usize
    }

    /// The epochs trained. Files of gradus 0.1.0 do not store them.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The description (sizes, features and options), to train another model on other interactions
    /// of the same users and items.
    pub fn recommender(&self) -> &Recommender {
        &self.description
    }

    /// Side features of the users.
    pub fn user_features(&self) -> Option<&SideFeatures> {
        self.description.user_features.as_ref()
    }

    /// Side features of the items.
    pub fn item_features(&self) -> Option<&SideFeatures> {
        self.description.item_features.as_ref()
    }

    /// Preparation of the ratings file it was trained on.
    pub fn preparation(&self) -> Option<Preparation> {
        self.preparation
    }

    /// Sets the preparation of the ratings file; saved with the recommender.
    pub fn set_preparation(&mut self, preparation: Preparation) {
        self.preparation = Some(preparation);
    }

    /// Union of the interactions it was trained on.
    pub fn seen(&self) -> Option<&Interactions> {
        self.seen.as_deref()
    }
}

fn within(name: &str, found: u32, count: usize) -> Result<()> {
    if (found as usize) < count {
        return Ok(());
    }
    Err(Error::Input {
        operation: "recommend".into(),
        name: format!("{name} {found}"),
        found: "was never seen".into(),
        allowed: format!("the model knows {name}s 0 to {}", count - 1),
    })
}
