//! Input files of a training run: ratings, side features, and the settings of a saved recommender.

use std::path::{Path, PathBuf};

use gradus::data::{Duplicates, Entities, EntityKind, Ratings, RatingsOptions, TableOptions};
use gradus::recommend::{Confidence, Ids, Interactions, Preparation, Refit, SideFeatures};
use gradus::{Error, HeldOut, data};

use crate::output::{Failure, Outcome};
use crate::recommend::{DuplicatesName, Recommend, SplitName};
use crate::{output, saved};

/// All inputs of a training run.
pub(super) struct Read {
    pub preparation: Preparation,
    /// All interactions; their weights are confidences.
    pub interactions: Interactions,
    pub train: Interactions,
    pub test: Interactions,
    /// True if the file has ratings; otherwise each line is a like.
    pub has_ratings: bool,
    /// True if the file has counts, or repeats some of its likes.
    pub has_weights: bool,
    pub user_features: Option<SideFeatures>,
    pub item_features: Option<SideFeatures>,
}

impl Recommend {
    pub(super) fn read(&self, path: &Path) -> Outcome<Read> {
        let ratings = self.ratings(path)?;
        ratings
            .notes
            .iter()
            .for_each(|note| output::note(&format!("note: {}: {note}", path.display())));
        let preparation = self.preparation(path, &ratings);
        let interactions = Interactions::from_ratings(&ratings, preparation.min_rating, false)
            .map_err(|error| Failure::from(error).of("--min-rating"))?
            .with_confidence(preparation.confidence);
        self.note_left_out(&ratings, &interactions, preparation.min_rating);
        let (train, test) = self.split(&preparation, &interactions, &ratings)?;
        let side = |flag: &str, file: &Option<PathBuf>, kind: EntityKind, ids: Option<&Ids>| match (
            file, ids,
        ) {
            (Some(file), Some(ids)) => self.side_features(flag, file, kind, ids).map(Some),
            _ => Ok(None),
        };
        Ok(Read {
            preparation,
            user_features: side(
                "--user-features",
                &self.user_features,
                EntityKind::Users,
                interactions.user_ids(),
            )?,
            item_features: side(
                "--item-features",
                &self.item_features,
                EntityKind::Items,
                interactions.item_ids(),
            )?,
            interactions,
            train,
            test,
            has_ratings: ratings.has_ratings,
            has_weights: ratings.weights.is_some()
                || !ratings.has_ratings && ratings.ratings.iter().any(|&n| n != 1.0),
        })
    }

    /// Reads a file of ratings.
    pub(super) fn ratings(&self, path: &Path) -> Outcome<Ratings> {
        let duplicates = match self.duplicates {
            None => Duplicates::Auto,
            Some(DuplicatesName::Refuse) => Duplicates::Refuse,
            Some(DuplicatesName::Last) => Duplicates::Last,
            Some(DuplicatesName::Sum) => Duplicates::Sum,
        };
        let options = RatingsOptions {
            user: self.user.clone().filter(|_| self.model.is_none()),
            item: self.item.clone(),
            rating: self.rating.clone(),
            weight: self.weight.clone(),
            time: self.time.clone(),
            duplicates,
            ..RatingsOptions::default()
        };
        let columns = [
            ("--user", &options.user),
            ("--item", &options.item),
            ("--rating", &options.rating),
            ("--weight", &options.weight),
            ("--time", &options.time),
        ];
        data::read_ratings_with(path, &options).map_err(|error| {
            let is_named = |column: &Option<String>| matches!((&error, column), (Error::Unknown { found, .. }, Some(name)) if found == name);
            let flag = columns.iter().find(|(_, column)| is_named(column)).map_or(&"--interactions", |(flag, _)| flag);
            match Failure::from(error).of(flag) {
                Failure::Failed(message) if flag == &"--user" => {
                    Failure::Failed(message + "; the id of a user is asked for with --model")
                }
                other => other,
            }
        })
    }

    /// Reads a file of features.
    pub(super) fn entities(&self, flag: &str, path: &Path, kind: EntityKind) -> Outcome<Entities> {
        let name = match kind {
            EntityKind::Users => self.user.as_deref().filter(|_| self.model.is_none()),
            EntityKind::Items => self.item.as_deref(),
        };
        let read = |name| data::read_entities(path, kind, name, &TableOptions::default());
        let found = match (read(name), name) {
            // The column may have another name than in the interactions file.
            (Err(Error::Unknown { found, .. }), Some(name)) if found == name => read(None),
            (other, _) => other,
        };
        let found = found.map_err(|error| Failure::from(error).of(flag))?;
        found
            .table
            .notes()
            .iter()
            .for_each(|note| output::note(&format!("note: {}: {note}", path.display())));
        Ok(found)
    }

    /// Features of the users or items with interactions, and of those known by features alone.
    fn side_features(
        &self,
        flag: &str,
        path: &Path,
        kind: EntityKind,
        known: &Ids,
    ) -> Outcome<SideFeatures> {
        let entities = self.entities(flag, path, kind)?;
        let side =
            SideFeatures::fit(&entities, known).map_err(|error| Failure::from(error).of(flag))?;
        let kind = if kind == EntityKind::Users { "users" } else { "items" };
        let (all, new) = (known.raw().len(), side.new_ids().len());
        let missing = all - (entities.ids.len() - new);
        let mut message =
            format!("note: {}: features of {} of the {all} {kind}", path.display(), all - missing);
        if new > 0 {
            message += &format!("; {new} more are known by their features alone");
        }
        output::note(&message);
        Ok(side)
    }

    /// Preprocessing of the ratings. A resumed recommender keeps its saved settings, so that the
    /// held-out interactions stay held out.
    fn preparation(&self, path: &Path, ratings: &Ratings) -> Preparation {
        let described =
            self.resume.as_deref().and_then(saved::description).map(|(_, described)| described);
        let kept = described
            .and_then(|described| serde_json::from_value(described["preparation"].clone()).ok());
        let asked = Preparation {
            min_rating: self.min_rating.unwrap_or_else(|| liked(path, ratings, kept.is_none())),
            held_out: HeldOut { seed: self.seed, share: self.test_fraction },
            by_time: self.split == SplitName::Time,
            confidence: Confidence::from(self.confidence),
            refit: if self.refit { Refit::Planned } else { Refit::No },
        };
        let mut found: Preparation = kept.unwrap_or(asked);
        if self.refit && found.refit == Refit::No && found.held_out.share > 0.0 {
            found.refit = Refit::Planned;
        }
        found
    }

    fn split(
        &self,
        preparation: &Preparation,
        interactions: &Interactions,
        ratings: &Ratings,
    ) -> Outcome<(Interactions, Interactions)> {
        let HeldOut { seed, share } = preparation.held_out;
        let (train, test) = if preparation.by_time {
            interactions
                .split_latest(share, ratings)
                .map_err(|error| Failure::from(error).of("--split time"))?
        } else {
            interactions.split(share, seed)?
        };
        if train.is_empty() || (share > 0.0 && test.is_empty()) {
            let message = format!(
                "--test-fraction {share} of {} interaction(s) leaves {} to train and {} to test on; at least one each is needed",
                interactions.len(),
                train.len(),
                test.len()
            );
            return Err(Failure::Failed(message));
        }
        let tested: Vec<usize> =
            (0..test.users()).filter(|&user| !test.of(user).is_empty()).collect();
        let new = tested.iter().filter(|&&user| train.of(user).is_empty()).count();
        if preparation.by_time && new > 0 {
            output::note(&format!(
                "note: of the {} users to test on {new} have nothing before the split: no more is known of them than --user-features say",
                tested.len()
            ));
        }
        Ok((train, test))
    }

    /// Notes the users dropped because all of their ratings are too low, with the line of the first
    /// one.
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
}

/// Ratings of at least 4 of 5 stars count as liked.
const LIKED_STARS: f32 = 4.0;

/// Default threshold from which a rating counts as liked: 4 if the highest rating is from 4 to 5,
/// else the same fraction of the highest, which is reported.
fn liked(path: &Path, ratings: &Ratings, prints: bool) -> f32 {
    let ends = ratings
        .ratings
        .iter()
        .fold([f32::INFINITY, f32::NEG_INFINITY], |[least, most], &rating| {
            [least.min(rating), most.max(rating)]
        });
    let [least, most] = ends;
    if !ratings.has_ratings || (LIKED_STARS..=5.0).contains(&most) || most <= 0.0 {
        return LIKED_STARS;
    }
    let liked = (f64::from(most) * 0.8) as f32;
    if prints {
        output::note(&format!(
            "note: {}: the ratings go from {least} to {most}: those of {liked} or more count as liked; --min-rating says otherwise",
            path.display()
        ));
    }
    liked
}
