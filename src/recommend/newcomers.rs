//! Users and items that there are no interactions of, in a recommender's answers: known by their features alone.

use std::sync::Arc;

use crate::data::compare_ids;
#[cfg(feature = "data")]
use crate::data::{Entities, EntityKind};
use crate::recommend::features::Features;
use crate::recommend::interactions::{Ids, Interactions};
use crate::recommend::model::Model;
use crate::recommend::recommender::{Recommender, engine};
use crate::recommend::side::SideFeatures;
use crate::{Error, Result};

/// Where a row comes from: the row of one that was trained on, or the place of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Trained(u32),
    New(u32),
}

/// Users or items with newcomers among them.
struct Extended {
    origins: Vec<Origin>,
    ids: Option<Ids>,
    features: Option<SideFeatures>,
}

impl Model {
    /// The ids of the users that are known by their features alone: those of [`SideFeatures::new_ids`] that have a feature.
    pub fn new_users(&self) -> Vec<String> {
        known(self.description.user_features.as_ref())
    }

    /// The ids of the items that are known by their features alone.
    pub fn new_items(&self) -> Vec<String> {
        known(self.description.item_features.as_ref())
    }

    /// Takes up users or items of a later file, by the features that the model was trained with: who was not trained on is known by them
    /// from then on. What they were trained on stays.
    ///
    /// # Errors
    /// [`Error::Input`] if the model was trained without features of a table; [`Error::Unknown`] for a column that is missing; what
    /// [`crate::data::Encoding::features`] says.
    #[cfg(feature = "data")]
    pub fn add_entities(&mut self, entities: &Entities) -> Result<()> {
        let seen = self.trained_on()?.clone();
        let (side, ids, name) = match entities.kind {
            EntityKind::Users => (&mut self.description.user_features, seen.user_ids(), "user"),
            EntityKind::Items => (&mut self.description.item_features, seen.item_ids(), "item"),
        };
        let (Some(features), Some(ids)) = (side.as_ref(), ids) else {
            return Err(refused(
                format!("{name} features"),
                "are none that the model was trained with",
            ));
        };
        *side = Some(features.with(entities, ids)?);
        Ok(())
    }

    /// The same recommender with these newcomers among its users and items, each as its features say: to be asked about them. Rows are
    /// numbered anew; [`Model::seen`] has their ids.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an id that is known by no features; [`Error::Input`] if none of its features was there in training, or if the
    /// model was not trained; what the device says.
    pub fn with_newcomers(&self, users: &[String], items: &[String]) -> Result<Model> {
        let seen = self.trained_on()?;
        let Recommender { user_features, item_features, .. } = &self.description;
        let users =
            Extended::new("user", seen.users(), seen.user_ids(), user_features.as_ref(), users)?;
        let items =
            Extended::new("item", seen.items(), seen.item_ids(), item_features.as_ref(), items)?;
        let description = Recommender {
            users: users.origins.len(),
            items: items.origins.len(),
            user_features: users.features.clone(),
            item_features: items.features.clone(),
            options: self.description.options.clone(),
        };
        let mut engine = engine(description.layout()?, &self.device)?;
        engine.set_state(&self.engine.state()?)?;
        let seen = renumbered(seen, &users, &items)?.with_ids(users.ids, items.ids);
        let mut model = Model::new(description, self.device.clone(), engine);
        (model.epochs, model.planned, model.history) =
            (self.epochs, self.planned, self.history.clone());
        (model.seen, model.preparation) = (Some(Arc::new(seen)), self.preparation);
        Ok(model)
    }

    fn trained_on(&self) -> Result<&Interactions> {
        self.seen()
            .ok_or_else(|| refused("the model".into(), "was not trained on any interactions"))
    }
}

/// Newcomers with a feature.
fn known(side: Option<&SideFeatures>) -> Vec<String> {
    let Some(newcomers) =
        side.and_then(SideFeatures::table).and_then(|table| table.newcomers.as_ref())
    else {
        return Vec::new();
    };
    let has_features = |place: usize| !newcomers.features.of(place).0.is_empty();
    let ids = newcomers.ids.iter().enumerate().filter(|(place, _)| has_features(*place));
    ids.map(|(_, id)| id.clone()).collect()
}

fn refused(name: String, found: &str) -> Error {
    let allowed = "train it on a file of ratings with `SideFeatures::fit`".into();
    Error::Input { operation: "recommend".into(), name, found: found.into(), allowed }
}

impl Extended {
    fn new(
        kind: &'static str,
        count: usize,
        ids: Option<&Ids>,
        features: Option<&SideFeatures>,
        wanted: &[String],
    ) -> Result<Self> {
        if wanted.is_empty() {
            let origins = (0..count as u32).map(Origin::Trained).collect();
            return Ok(Extended { origins, ids: ids.cloned(), features: features.cloned() });
        }
        let newcomers =
            features.and_then(SideFeatures::table).and_then(|table| table.newcomers.as_ref());
        let (Some(ids), Some(features), Some(newcomers)) = (ids, features, newcomers) else {
            let known = "none by features alone".into();
            return Err(Error::Unknown { kind: kind.into(), found: wanted[0].clone(), known });
        };
        let known = Ids::new(kind, newcomers.ids.clone());
        let mut places: Vec<u32> = wanted.iter().map(|id| known.row(id)).collect::<Result<_>>()?;
        places.sort_unstable();
        places.dedup();
        if let Some(place) =
            places.iter().find(|&&place| newcomers.features.of(place as usize).0.is_empty())
        {
            let name = format!("{kind} `{}`", known.raw()[*place as usize]);
            return Err(refused(name, "has no feature that the model was trained with"));
        }
        let origins = merged(ids.raw(), known.raw(), &places);
        let of = |origin: &Origin| match *origin {
            Origin::Trained(row) => {
                (&ids.raw()[row as usize], features.features().of(row as usize))
            }
            Origin::New(place) => {
                (&known.raw()[place as usize], newcomers.features.of(place as usize))
            }
        };
        let raw = origins.iter().map(|origin| of(origin).0.clone()).collect();
        let triples: Vec<(u32, u32, f32)> = origins
            .iter()
            .enumerate()
            .flat_map(|(row, origin)| {
                let (ids, weights) = of(origin).1;
                ids.iter().zip(weights).map(move |(&id, &weight)| (row as u32, id, weight))
            })
            .collect();
        let features = Features::new(origins.len(), features.features().features(), &triples)?;
        Ok(Extended { origins, ids: Some(Ids::new(kind, raw)), features: Some(features.into()) })
    }

    /// The new row of each that was trained on.
    fn rows(&self) -> Vec<u32> {
        let rows = self.origins.iter().zip(0..);
        rows.filter(|(origin, _)| matches!(origin, Origin::Trained(_)))
            .map(|(_, row)| row)
            .collect()
    }
}

/// Both in the order of ids; a newcomer is none of the others.
fn merged(trained: &[String], new: &[String], places: &[u32]) -> Vec<Origin> {
    let (mut origins, mut places) =
        (Vec::with_capacity(trained.len() + places.len()), places.iter().peekable());
    for (row, id) in trained.iter().enumerate() {
        while let Some(&place) =
            places.next_if(|&&place| compare_ids(&new[place as usize], id).is_lt())
        {
            origins.push(Origin::New(place));
        }
        origins.push(Origin::Trained(row as u32));
    }
    origins.extend(places.map(|&place| Origin::New(place)));
    origins
}

/// The same interactions by the new rows.
fn renumbered(seen: &Interactions, users: &Extended, items: &Extended) -> Result<Interactions> {
    let (user_rows, item_rows) = (users.rows(), items.rows());
    let triples: Vec<(u32, u32, f32)> = seen
        .triples()
        .map(|(user, item, weight)| (user_rows[user as usize], item_rows[item as usize], weight))
        .collect();
    Interactions::weighted(users.origins.len(), items.origins.len(), &triples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_stand_in_the_order_of_ids() {
        let ids = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found =
            merged(&ids(&["2", "10", "b"]), &ids(&["1", "3", "9", "a", "c"]), &[0, 2, 3, 4]);
        use Origin::{New, Trained};
        assert_eq!(found, [New(0), Trained(0), New(2), Trained(1), New(3), Trained(2), New(4)]);
    }
}
