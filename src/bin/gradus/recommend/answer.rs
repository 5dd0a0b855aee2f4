//! Answers of a saved recommender, as JSON and as text.

use std::collections::HashMap;
use std::path::Path;

use gradus::text;
use serde_json::{Value, json};

use crate::output;
use crate::recommend::Recommend;

/// A ranked list of items, best first, with the information shown beside it.
pub(super) struct Answer {
    /// Key of the query in the JSON document, and the id; none for a query without an id.
    pub asked: Option<(&'static str, String)>,
    pub items: Vec<(String, f32)>,
    /// Those of the items known by their features alone, if they were requested.
    pub new: Option<Vec<String>>,
    /// The reasons of each item, if they were requested.
    pub reasons: Option<Vec<Reason>>,
    /// Titles by item id.
    pub titles: Option<HashMap<String, String>>,
    pub excluded: Option<Excluded>,
    pub heading: String,
    /// Name of the score by which the items are sorted.
    pub measure: &'static str,
}

/// Items of the user named for each item, at most.
const MOST_REASONS: usize = 3;

/// Why an item has its score: the user's items that pull it with their parts, and the other parts.
pub(super) struct Reason {
    pub because: Vec<(String, f64)>,
    pub rest: f64,
    pub item_bias: f64,
    pub user_bias: f64,
}

/// Items of a user excluded from the answer.
pub(super) struct Excluded {
    /// Number of items that the saved model was trained on.
    pub trained_on: usize,
    /// Number of items in the file given with the query, of any rating.
    pub rated: Option<usize>,
    /// Number of distinct items in total, as far as the model knows them.
    pub items: usize,
}

/// An id in a JSON document: a number if it is a canonical one, else text.
fn id_as_json(id: &str) -> Value {
    let number = id.parse::<u64>().ok().filter(|number| number.to_string() == id);
    number.map_or_else(|| json!(id), |number| json!(number))
}

impl Excluded {
    /// Description of the excluded items of a user without training data.
    pub fn of_file(&self, asked: &Recommend) -> String {
        match (self.rated, &asked.interactions) {
            (Some(rated), Some(path)) => {
                format!(", without {} of the {rated} rated in {}", self.items, path.display())
            }
            _ => String::new(),
        }
    }

    pub fn in_words(&self, asked: &Recommend) -> String {
        let trained_on = format!("without {} that the model was trained on", self.trained_on);
        match (self.rated, &asked.interactions) {
            (Some(rated), Some(path)) => {
                let more = self.items - self.trained_on;
                format!("{trained_on} and {more} more of the {rated} rated in {}", path.display())
            }
            _ => format!(
                "{trained_on} (held-out ones may be among them: --interactions FILE excludes all rated ones)"
            ),
        }
    }
}

impl Answer {
    /// True if the items are sorted by the number of users who chose them.
    fn is_count(&self) -> bool {
        self.measure == "users"
    }

    pub fn as_json(&self, model: &Path, device: &str) -> Value {
        let item = |(place, (item, number)): (usize, &(String, f32))| {
            let mut row = json!({ "item": id_as_json(item), self.measure: number });
            if self.is_count() {
                row[self.measure] = json!(*number as u32);
            }
            if let Some(titles) = &self.titles {
                row["title"] = json!(titles.get(item));
            }
            if let Some(new) = &self.new {
                row["known_by"] = json!(known_by(new, item));
            }
            if let Some(reason) = self.reasons.as_ref().and_then(|all| all.get(place)) {
                let because = |(item, part): &(String, f64)| json!({ "item": id_as_json(item), "part": part });
                row["because"] = reason.because.iter().map(because).collect();
                row["rest"] = json!(reason.rest);
                row["item_bias"] = json!(reason.item_bias);
                row["user_bias"] = json!(reason.user_bias);
            }
            row
        };
        let items: Vec<Value> = self.items.iter().enumerate().map(item).collect();
        let excluded = self.excluded.as_ref().map(|excluded| {
            json!({ "items": excluded.items, "trained_on": excluded.trained_on, "interactions": excluded.rated })
        });
        let mut document = json!({ "items": items });
        if let Some((asked, id)) = &self.asked {
            document = json!({ *asked: id_as_json(id), "items": document["items"] });
        }
        if let Some(excluded) = excluded {
            document["excluded"] = excluded;
        }
        document["model"] = output::path(model);
        document["device"] = json!(device);
        document
    }

    pub fn as_text(&self) -> String {
        let title = self.titles.as_ref().map(|_| "title");
        let known = self.new.as_ref().map(|_| "known by");
        let why = self.reasons.as_ref().map(|_| "because of");
        let headings = [Some("place"), Some("item"), title, Some(self.measure), known, why];
        let headings: Vec<&str> = headings.into_iter().flatten().collect();
        let mut table = output::table(&headings);
        for (place, (item, number)) in self.items.iter().enumerate() {
            let title =
                self.titles.as_ref().map(|titles| titles.get(item).cloned().unwrap_or_default());
            let cells = [
                Some((place + 1).to_string()),
                Some(item.clone()),
                title,
                Some(if self.is_count() {
                    text::count(*number as u64)
                } else {
                    text::significant((*number).into(), 4)
                }),
                self.new.as_ref().map(|new| known_by(new, item).to_string()),
                self.reasons.as_ref().and_then(|all| all.get(place)).map(|why| self.because(why)),
            ];
            table.add_row(cells.into_iter().flatten());
        }
        format!("{}\n{table}\n", self.heading)
    }

    /// The items that pull an item most, by title where there is one.
    fn because(&self, reason: &Reason) -> String {
        let name = |(item, part): &(String, f64)| {
            let title = self.titles.as_ref().and_then(|titles| titles.get(item));
            format!("{} {}", title.unwrap_or(item), text::significant(*part, 2))
        };
        let pull = reason.because.iter().filter(|(_, part)| *part > 0.0);
        match pull.take(MOST_REASONS).map(name).collect::<Vec<_>>() {
            none if none.is_empty() => "none of the user's items".into(),
            some => some.join("; "),
        }
    }
}

/// Basis on which an item is known.
pub(super) fn known_by(new: &[String], item: &str) -> &'static str {
    if new.iter().any(|id| id == item) { "features" } else { "interactions" }
}
