//! Queries of a saved recommender: the best items for a user, and the items most similar to one.

use std::path::Path;

use gradus::data::EntityKind;
use gradus::recommend::{Ids, Interactions, Model, Scored, most_popular};
use gradus::{Device, Error, data};

use crate::output::{Failure, Outcome};
use crate::recommend::Recommend;
use crate::recommend::answer::{Answer, Excluded, Reason, known_by};
use crate::saved::Kind;
use crate::{output, saved};

impl Recommend {
    /// Answers the query on the command line.
    pub(super) fn ask(&self, path: &Path) -> Outcome {
        let usage = |message: &str| Err(Failure::Usage(message.into()));
        match (&self.user, &self.similar_to) {
            (None, None) if !self.popular => {
                return usage("--user ID, --similar-to ITEM or --popular is needed");
            }
            (None, _) if self.interactions.is_some() => {
                return usage("--interactions: with --model it goes with --user alone");
            }
            _ => {}
        }
        if self.why && self.user.is_none() {
            return usage("--why: it goes with --user, whose items pull an item");
        }
        saved::check_kind("--model", path, Kind::Recommender)?;
        let device =
            if self.json { self.device.open(false)? } else { self.device.open_and_report()? };
        let model = self.saved_model(path, &device)?;
        let titles = self.titles.as_deref().map(data::read_titles).transpose();
        let titles = titles.map_err(|error| Failure::from(error).of("--titles"))?;
        let mut answer = match (&self.user, &self.similar_to) {
            (Some(user), _) => self.for_user(model, user)?,
            (None, Some(item)) => self.like_item(model, item)?,
            (None, None) => self.popular(&model, None)?,
        };
        answer.titles = titles;
        if answer.items.len() < self.count.get() {
            output::note(&format!(
                "note: {} items are left; --count is {}",
                answer.items.len(),
                self.count
            ));
        }
        if self.json {
            return output::print_json(&answer.as_json(path, device.name()));
        }
        output::print(&answer.as_text())
    }

    /// Loads the saved recommender and adds the users and items of the feature files.
    fn saved_model(&self, path: &Path, device: &Device) -> Outcome<Model> {
        let mut model =
            Model::load(path, device).map_err(|error| Failure::from(error).of("--model"))?;
        if model.seen().is_none() {
            let message = format!(
                "--model: {} was saved before it was trained; it knows no items",
                path.display()
            );
            return Err(Failure::Failed(message));
        }
        for (flag, file, kind) in [
            ("--user-features", &self.user_features, EntityKind::Users),
            ("--item-features", &self.item_features, EntityKind::Items),
        ] {
            if let Some(file) = file {
                let entities = self.entities(flag, file, kind)?;
                model.add_entities(&entities).map_err(|error| Failure::from(error).of(flag))?;
            }
        }
        Ok(model)
    }

    /// Items known by their features alone, if requested.
    fn wanted_items(&self, model: &Model) -> Outcome<Vec<String>> {
        if !self.new_items {
            return Ok(Vec::new());
        }
        let found = model.new_items();
        if found.is_empty() {
            let message = "--new-items: the recommender knows no item by its features alone; --item-features FILE names some";
            return Err(Failure::Failed(message.into()));
        }
        Ok(found)
    }

    fn for_user(&self, model: Model, user: &str) -> Outcome<Answer> {
        let known = seen(&model)?;
        let wanted = self.wanted_items(&model)?;
        match row(known.user_ids(), "user", user, known.users()) {
            Ok(_) if wanted.is_empty() => self.best_of(&model, user, &wanted),
            Ok(_) => self.best_of(&model.with_newcomers(&[], &wanted)?, user, &wanted),
            Err(unknown) => match model.with_newcomers(&[user.into()], &wanted) {
                Ok(model) => self.best_of(&model, user, &wanted),
                Err(Error::Unknown { .. }) if self.popular => self.popular(&model, Some(user)),
                Err(Error::Unknown { .. }) => Err(unknown
                    .of("--user")
                    .and("--popular answers with the items that most users chose")),
                Err(other) => Err(Failure::from(other).of("--user")),
            },
        }
    }

    /// The best items for a user with a row in the model.
    fn best_of(&self, model: &Model, user: &str, new: &[String]) -> Outcome<Answer> {
        let known = seen(model)?;
        let row = row(known.user_ids(), "user", user, known.users())?;
        let trained_on = known.of(row as usize);
        let rated = self.interactions.as_deref().map(|path| self.rated(path, user)).transpose()?;
        let mut others: Vec<u32> =
            rated.iter().flatten().filter_map(|item| place(known.item_ids(), item)).collect();
        others.retain(|item| {
            (*item as usize) < known.items() && trained_on.binary_search(item).is_err()
        });
        let mut best =
            match model.recommend(row, self.count.get().saturating_add(others.len()), true) {
                // Unknown user: all of their interactions were held out, and they have no features.
                Err(Error::Input { .. }) if trained_on.is_empty() => {
                    return self.popular(model, Some(user));
                }
                other => other?,
            };
        best.retain(|found| !others.contains(&found.item));
        best.truncate(self.count.get());
        let excluded = Excluded {
            trained_on: trained_on.len(),
            rated: rated.as_ref().map(Vec::len),
            items: trained_on.len() + others.len(),
        };
        let (items, count) = (known.items(), best.len());
        let heading = match trained_on {
            [] => format!(
                "user {user}, known by features alone: the {count} best of {items} items{}",
                excluded.of_file(self)
            ),
            _ => format!(
                "user {user}: the {count} best of {items} items, {}",
                excluded.in_words(self)
            ),
        };
        let reasons = match (self.why, trained_on) {
            (false, _) => None,
            (true, []) => {
                let message = format!(
                    "--why: user {user} is known by features alone: no item of the user pulls another"
                );
                return Err(Failure::Failed(message));
            }
            (true, _) => Some(reasons(model, row, &best)?),
        };
        let items = with_ids(known.item_ids(), &best);
        Ok(Answer {
            asked: Some(("user", user.into())),
            items,
            new: self.new_items.then(|| new.to_vec()),
            reasons,
            titles: None,
            excluded: Some(excluded),
            heading,
            measure: "score",
        })
    }

    /// The most popular items, for everybody or for an unknown user.
    fn popular(&self, model: &Model, user: Option<&str>) -> Outcome<Answer> {
        if let (true, Some(user)) = (self.why, user) {
            let message = format!(
                "--why: user {user} has no history that the recommender learned from: nothing pulls an item"
            );
            return Err(Failure::Failed(message));
        }
        let known = seen(model)?;
        let rated = match (user, &self.interactions) {
            (Some(user), Some(path)) => Some(self.rated(path, user)?),
            _ => None,
        };
        let mut others: Vec<u32> =
            rated.iter().flatten().filter_map(|item| place(known.item_ids(), item)).collect();
        others.retain(|item| (*item as usize) < known.items());
        others.sort_unstable();
        let found = most_popular(known, self.count.get(), &others);
        let excluded =
            Excluded { trained_on: 0, rated: rated.as_ref().map(Vec::len), items: others.len() };
        let heading = match user {
            Some(user) => format!(
                "user {user} has no history that the recommender learned from: the {} items that most users chose{}",
                found.len(),
                excluded.of_file(self)
            ),
            None => format!("the {} of {} items that most users chose", found.len(), known.items()),
        };
        if self.json && user.is_some() {
            output::note(&format!("note: {heading}"));
        }
        Ok(Answer {
            asked: user.map(|user| ("user", user.into())),
            items: with_ids(known.item_ids(), &found),
            new: None,
            reasons: None,
            titles: None,
            excluded: user.map(|_| excluded),
            heading,
            measure: "users",
        })
    }

    fn like_item(&self, model: Model, item: &str) -> Outcome<Answer> {
        let known = seen(&model)?;
        let mut wanted = self.wanted_items(&model)?;
        let unknown = row(known.item_ids(), "item", item, known.items()).err();
        if unknown.is_some() && !wanted.iter().any(|id| id == item) {
            wanted.push(item.into());
        }
        let extended =
            if wanted.is_empty() { Ok(model) } else { model.with_newcomers(&[], &wanted) };
        let model = match (extended, unknown) {
            (Err(Error::Unknown { .. }), Some(unknown)) => return Err(unknown.of("--similar-to")),
            (other, _) => other.map_err(|error| Failure::from(error).of("--similar-to"))?,
        };
        let known = seen(&model)?;
        let row = row(known.item_ids(), "item", item, known.items())
            .map_err(|failure| failure.of("--similar-to"))?;
        let found = model.similar_items(row, self.count.get())?;
        let by = if known_by(&wanted, item) == "features" {
            ", known by its features alone"
        } else {
            ""
        };
        let heading = format!(
            "item {item}{by}: the {} of {} items that are most like it",
            found.len(),
            known.items()
        );
        let items = with_ids(known.item_ids(), &found);
        Ok(Answer {
            asked: Some(("similar_to", item.into())),
            items,
            new: self.new_items.then_some(wanted),
            reasons: None,
            titles: None,
            excluded: None,
            heading,
            measure: "cosine",
        })
    }
}

/// The interactions that a recommender was trained on.
fn seen(model: &Model) -> Outcome<&Interactions> {
    model.seen().ok_or_else(|| Failure::Failed("--model: the recommender knows no items".into()))
}

/// The row of an id; ids are row numbers if the model was trained without a file's ids.
fn row(ids: Option<&Ids>, kind: &str, id: &str, count: usize) -> Outcome<u32> {
    let number = id.parse().ok().filter(|&number: &u32| (number as usize) < count);
    match (ids, number) {
        (Some(ids), _) => ids.row(id).map_err(|error| match near(ids.raw(), id) {
            found if found.is_empty() => Failure::from(error),
            found => Failure::from(error).and(&format!("near it: {}", found.join(", "))),
        }),
        (None, Some(number)) => Ok(number),
        (None, None) => {
            Err(Failure::Failed(format!("unknown {kind} `{id}`; known: 0 to {}", count - 1)))
        }
    }
}

/// Maximum number of similar ids in a message.
const MOST_NEAR: usize = 5;

/// Known ids similar to an unknown one: one letter in three may be wrong, at most two. Numbers are
/// not treated as misspelt.
fn near<'i>(ids: &'i [String], id: &str) -> Vec<&'i str> {
    let most = (id.chars().count() / 3).min(2);
    if most == 0 || id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let length = |text: &str| text.chars().count();
    let close = ids.iter().filter(|known| length(known).abs_diff(length(id)) <= most);
    let mut found: Vec<(usize, &str)> = close
        .map(|known| (strsim::osa_distance(known, id), known.as_str()))
        .filter(|(far, _)| *far <= most)
        .collect();
    // A stable sort: equally near ids keep their order.
    found.sort_by_key(|(far, _)| *far);
    found.into_iter().take(MOST_NEAR).map(|(_, known)| known).collect()
}

/// The row of an item, if the model knows it.
fn place(ids: Option<&Ids>, item: &str) -> Option<u32> {
    ids.map_or_else(|| item.parse().ok(), |ids| ids.row(item).ok())
}

impl Recommend {
    /// The items of a user in a file of ratings, whatever the rating: a rated item was seen.
    fn rated(&self, path: &Path, user: &str) -> Outcome<Vec<String>> {
        let ratings = self.ratings(path)?;
        let of_user = ratings
            .users
            .iter()
            .zip(&ratings.items)
            .filter(|(found, _)| ratings.user_ids[**found as usize] == user);
        Ok(of_user.map(|(_, item)| ratings.item_ids[*item as usize].clone()).collect())
    }
}

/// The reasons of items, by the ids of the user's items.
fn reasons(model: &Model, user: u32, best: &[Scored]) -> Outcome<Vec<Reason>> {
    let items: Vec<u32> = best.iter().map(|found| found.item).collect();
    let ids = seen(model)?.item_ids();
    let of = |found: gradus::recommend::Reasons| Reason {
        because: found
            .because
            .iter()
            .map(|because| (id_of(ids, because.item), because.part))
            .collect(),
        rest: found.rest,
        item_bias: found.item_bias,
        user_bias: found.user_bias,
    };
    Ok(model.reasons(user, &items)?.into_iter().map(of).collect())
}

fn id_of(ids: Option<&Ids>, item: u32) -> String {
    ids.map_or_else(|| item.to_string(), |ids| ids.raw()[item as usize].clone())
}

fn with_ids(ids: Option<&Ids>, found: &[Scored]) -> Vec<(String, f32)> {
    found.iter().map(|found| (id_of(ids, found.item), found.score)).collect()
}
