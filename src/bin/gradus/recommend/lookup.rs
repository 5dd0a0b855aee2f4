//! What a saved recommender answers: the best items of a user, and the items that are most like one.

use std::collections::HashMap;
use std::path::Path;

use gradus::recommend::{Ids, Interactions, Model, Scored};
use gradus::{data, text};
use serde_json::{Value, json};

use super::Recommend;
use crate::output::{self, Failure, Outcome};
use crate::saved::{self, Kind};

/// The items of a list, best first, and what is told with them.
struct Answer {
    /// The key of the question in the JSON document, and the id that was asked about.
    asked: (&'static str, String),
    items: Vec<(String, f32)>,
    /// The titles of items, by id.
    titles: Option<HashMap<String, String>>,
    excluded: Option<Excluded>,
    heading: String,
    /// What the items are sorted by.
    measure: &'static str,
}

/// Which items of a user are left out.
struct Excluded {
    /// Those that the saved model was trained on.
    trained_on: usize,
    /// Those that stand in the file beside it, of any rating.
    rated: Option<usize>,
    /// All of them together, as far as the model knows them.
    items: usize,
}

impl Recommend {
    /// Answers the question that stands on the command line.
    pub(super) fn ask(&self, path: &Path) -> Outcome {
        saved::check_kind("--model", path, Kind::Recommender)?;
        let device = if self.json { self.device.open(false)? } else { self.device.open_and_tell()? };
        let model = Model::load(path, &device).map_err(|error| Failure::from(error).of("--model"))?;
        let known = model.seen().ok_or_else(|| {
            Failure::Failed(format!("--model: {} was saved before it was trained; it knows no items", path.display()))
        })?;
        let titles = self.titles.as_deref().map(data::read_titles).transpose();
        let titles = titles.map_err(|error| Failure::from(error).of("--titles"))?;
        let mut answer = match (&self.user, &self.similar_to) {
            (Some(user), _) => self.for_user(&model, known, user)?,
            (None, Some(item)) => self.like_item(&model, known, item)?,
            (None, None) => return Err(Failure::Usage("--user ID or --similar-to ITEM is needed".into())),
        };
        answer.titles = titles;
        if answer.items.len() < self.count.get() {
            output::note(&format!("note: {} items are left; --count is {}", answer.items.len(), self.count));
        }
        if self.json {
            return output::print_json(&answer.as_json(path, device.name()));
        }
        output::print(&answer.as_text())
    }

    fn for_user(&self, model: &Model, known: &Interactions, user: &str) -> Outcome<Answer> {
        let row = row(known.user_ids(), "user", user, known.users()).map_err(|failure| failure.of("--user"))?;
        let trained_on = known.of(row as usize);
        let rated = self.interactions.as_deref().map(|path| self.rated(path, user)).transpose()?;
        let mut others: Vec<u32> = rated.iter().flatten().filter_map(|item| place(known.item_ids(), item)).collect();
        others.retain(|item| (*item as usize) < known.items() && trained_on.binary_search(item).is_err());
        let mut best = model.recommend(row, self.count.get().saturating_add(others.len()), true).map_err(|error| {
            // The library speaks of rows.
            if trained_on.is_empty() && matches!(error, gradus::Error::Input { .. }) {
                let message =
                    format!("--user: user {user} is known but nothing of theirs was trained on (all held out?)");
                return Failure::Failed(message);
            }
            error.into()
        })?;
        best.retain(|found| !others.contains(&found.item));
        best.truncate(self.count.get());
        let excluded = Excluded {
            trained_on: trained_on.len(),
            rated: rated.as_ref().map(Vec::len),
            items: trained_on.len() + others.len(),
        };
        let items = known.items();
        let heading = format!("user {user}: the {} best of {items} items, {}", best.len(), excluded.in_words(self));
        let items = with_ids(known.item_ids(), &best);
        Ok(Answer {
            asked: ("user", user.into()),
            items,
            titles: None,
            excluded: Some(excluded),
            heading,
            measure: "score",
        })
    }

    fn like_item(&self, model: &Model, known: &Interactions, item: &str) -> Outcome<Answer> {
        let row = row(known.item_ids(), "item", item, known.items()).map_err(|failure| failure.of("--similar-to"))?;
        let found = model.similar_items(row, self.count.get())?;
        let heading = format!("item {item}: the {} of {} items that are most like it", found.len(), known.items());
        let items = with_ids(known.item_ids(), &found);
        Ok(Answer {
            asked: ("similar_to", item.into()),
            items,
            titles: None,
            excluded: None,
            heading,
            measure: "cosine",
        })
    }
}

/// The row of an id; where the model was trained without a file's ids, ids are rows.
fn row(ids: Option<&Ids>, kind: &str, id: &str, count: usize) -> Outcome<u32> {
    let number = id.parse().ok().filter(|&number: &u32| (number as usize) < count);
    match (ids, number) {
        (Some(ids), _) => Ok(ids.row(id)?),
        (None, Some(number)) => Ok(number),
        (None, None) => Err(Failure::Failed(format!("unknown {kind} `{id}`; known: 0 to {}", count - 1))),
    }
}

/// The row of an item that the model may not know.
fn place(ids: Option<&Ids>, item: &str) -> Option<u32> {
    ids.map_or_else(|| item.parse().ok(), |ids| ids.row(item).ok())
}

impl Recommend {
    /// The items of a user in a file of ratings, whatever the rating: who has rated an item has seen it.
    fn rated(&self, path: &Path, user: &str) -> Outcome<Vec<String>> {
        let ratings = self.ratings(path)?;
        let of_user =
            ratings.users.iter().zip(&ratings.items).filter(|(found, _)| ratings.user_ids[**found as usize] == user);
        Ok(of_user.map(|(_, item)| ratings.item_ids[*item as usize].clone()).collect())
    }
}

fn with_ids(ids: Option<&Ids>, found: &[Scored]) -> Vec<(String, f32)> {
    let id = |found: &Scored| ids.map_or_else(|| found.item.to_string(), |ids| ids.raw()[found.item as usize].clone());
    found.iter().map(|found| (id(found), found.score)).collect()
}

/// An id in a JSON document: a number where it is one.
fn id_as_json(id: &str) -> Value {
    let number = id.parse::<u64>().ok().filter(|number| number.to_string() == id);
    number.map_or_else(|| json!(id), |number| json!(number))
}

impl Excluded {
    fn in_words(&self, asked: &Recommend) -> String {
        let trained_on = format!("without {} that the model was trained on", self.trained_on);
        match (self.rated, &asked.interactions) {
            (Some(rated), Some(path)) => {
                let more = self.items - self.trained_on;
                format!("{trained_on} and {more} more of the {rated} rated in {}", path.display())
            }
            _ => format!("{trained_on} (held-out ones may be among them: --interactions FILE excludes all rated ones)"),
        }
    }
}

impl Answer {
    fn as_json(&self, model: &Path, device: &str) -> Value {
        let (asked, id) = &self.asked;
        let item = |(item, number): &(String, f32)| {
            let mut told = json!({ "item": id_as_json(item), self.measure: number });
            if let Some(titles) = &self.titles {
                told["title"] = json!(titles.get(item));
            }
            told
        };
        let items: Vec<Value> = self.items.iter().map(item).collect();
        let excluded = self.excluded.as_ref().map(|excluded| {
            json!({ "items": excluded.items, "trained_on": excluded.trained_on, "interactions": excluded.rated })
        });
        let mut document = json!({ *asked: id_as_json(id), "items": items });
        if let Some(excluded) = excluded {
            document["excluded"] = excluded;
        }
        document["model"] = output::path(model);
        document["device"] = json!(device);
        document
    }

    fn as_text(&self) -> String {
        let headings = ["place", "item", "title", self.measure];
        let headings: Vec<&str> =
            headings.into_iter().filter(|heading| self.titles.is_some() || *heading != "title").collect();
        let mut table = output::table(&headings);
        for (place, (item, number)) in self.items.iter().enumerate() {
            let title = self.titles.as_ref().map(|titles| titles.get(item).cloned().unwrap_or_default());
            let cells = [
                Some((place + 1).to_string()),
                Some(item.clone()),
                title,
                Some(text::significant((*number).into(), 4)),
            ];
            table.add_row(cells.into_iter().flatten());
        }
        format!("{}\n{table}\n", self.heading)
    }
}
