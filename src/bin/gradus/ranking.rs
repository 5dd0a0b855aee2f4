//! How well a model orders the rows of each query.

use gradus::Model;
use gradus::data::Dataset;
use gradus::metrics::{NoneRelevant, mrr, ndcg};
use serde_json::{Map, Value};

use crate::output::Outcome;

/// The places up to which NDCG is told.
const PLACES: [usize; 4] = [1, 3, 5, 10];

/// NDCG at some places and the mean reciprocal rank, by name. A query without a relevant row counts 1 in NDCG, as in LightGBM, and 0 in the
/// reciprocal rank.
pub struct Ranking(Vec<(String, f64)>);

impl Ranking {
    /// Of a model with one output on rows that belong to queries; none of others.
    pub fn of(model: &mut Model, rows: &Dataset) -> Outcome<Option<Self>> {
        let Some(groups) = rows.groups.as_ref().filter(|_| model.outputs() == 1) else {
            return Ok(None);
        };
        let relevance: Vec<f32> = rows.values()?.iter().copied().collect();
        let scores: Vec<f32> = model.predict(&rows.features)?.iter().copied().collect();
        let mut found = Vec::new();
        for at in PLACES {
            found.push((
                format!("ndcg_at_{at}"),
                ndcg(&scores, &relevance, groups, at, NoneRelevant::One)?,
            ));
        }
        found.push(("mrr".into(), mrr(&scores, &relevance, groups, NoneRelevant::Zero)?));
        Ok(Some(Ranking(found)))
    }

    /// Its numbers beside others.
    pub fn add_to(&self, object: &mut Map<String, Value>) {
        object.extend(
            self.0
                .iter()
                .map(|(name, value)| (name.clone(), gradus::cases::number_to_json(*value))),
        );
    }

    /// `ndcg_at_5 0.6512, …`
    pub fn in_words(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}
