//! Side features as a recommender holds them, and how a table becomes such.

use std::sync::Arc;

use crate::data::Encoding;
#[cfg(feature = "data")]
use crate::data::{EncodingOptions, Entities, Table, compare_ids};
use crate::recommend::features::Features;
#[cfg(feature = "data")]
use crate::recommend::interactions::Ids;
#[cfg(feature = "data")]
use crate::{Error, Result};

/// Rows whose encoded features are held at once: most of them are 0.
#[cfg(feature = "data")]
const ROWS_AT_ONCE: usize = 1024;

/// The side features of a recommender's users or items: a list of them ([`Features`]), or what was made of a table
/// ([`SideFeatures::fit`]), which also tells of those that there are no interactions of.
///
/// ```
/// use gradus::Device;
/// use gradus::data::{EntityKind, TableOptions, read_entities, read_ratings};
/// use gradus::recommend::{Interactions, Recommender, SideFeatures};
///
/// # let folder = tempfile::tempdir().map_err(|source| gradus::Error::Io { path: "".into(), source })?;
/// # let (ratings, movies) = (folder.path().join("ratings.csv"), folder.path().join("movies.csv"));
/// std::fs::write(&ratings, "user,movie\nann,1\nann,2\nbob,3\nbob,4\ncid,1\n").unwrap();
/// std::fs::write(&movies, "movie,genres\n1,Children\n2,Children|Comedy\n3,Crime\n4,Crime\n5,Children\n").unwrap();
/// let chosen = Interactions::from_ratings(&read_ratings(&ratings)?, 4.0, false)?;
/// let films = read_entities(&movies, EntityKind::Items, None, &TableOptions::default())?;
/// let films = SideFeatures::fit(&films, chosen.item_ids().unwrap())?;
/// assert_eq!(films.new_ids(), ["5"]);
///
/// let mut model = Recommender::new(3, 4).item_features(films).on(&Device::cpu())?;
/// model.fit(&chosen, 50)?;
/// // Film 5, which nobody has seen, is most like film 1, the other one for children.
/// let model = model.with_newcomers(&[], &["5".into()])?;
/// let ids = model.seen().unwrap().item_ids().unwrap();
/// assert_eq!(model.similar_items(ids.row(5)?, 1)?[0].item, ids.row(1)?);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SideFeatures {
    features: Arc<Features>,
    table: Option<Arc<FromTable>>,
}

/// What is known from a table beside the features of those that were trained on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FromTable {
    pub encoding: Encoding,
    pub newcomers: Option<Newcomers>,
}

/// Those that there are no interactions of: ids in their order, and the features of each among those of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Newcomers {
    pub ids: Vec<String>,
    pub features: Features,
}

impl From<Features> for SideFeatures {
    fn from(features: Features) -> Self {
        SideFeatures { features: Arc::new(features), table: None }
    }
}

impl SideFeatures {
    pub(crate) fn of_table(features: Features, table: FromTable) -> Self {
        SideFeatures { features: Arc::new(features), table: Some(Arc::new(table)) }
    }

    /// The features of those that a recommender is trained on.
    pub fn features(&self) -> &Features {
        &self.features
    }

    pub(crate) fn shared(&self) -> Arc<Features> {
        self.features.clone()
    }

    pub(crate) fn table(&self) -> Option<&FromTable> {
        self.table.as_deref()
    }

    /// How the columns of the table became features; none where there was no table.
    pub fn encoding(&self) -> Option<&Encoding> {
        self.table().map(|table| &table.encoding)
    }

    /// The ids of those that are known by their features alone, in the order of ids.
    pub fn new_ids(&self) -> &[String] {
        self.table()
            .and_then(|table| table.newcomers.as_ref())
            .map_or(&[], |newcomers| &newcomers.ids)
    }

    /// Whether one of those that a recommender is trained on has a feature that it shares with others.
    pub(crate) fn report_of(&self, entity: usize) -> bool {
        let own = self.table().map_or(usize::MAX, |table| table.encoding.names().len());
        self.features.of(entity).0.iter().any(|&feature| (feature as usize) < own)
    }

    /// Makes side features of a table for those that there are interactions of, whose ids are `known`: by
    /// [`EncodingOptions::side_features`], fitted on their rows, the weights of each scaled to Σ |w| = 1; behind those features each has one
    /// of its own, of weight 1 ([`Features::with_identity`]). One that is not in the table has its own alone. Who is in the table and not known has none of its own:
    /// see [`SideFeatures::new_ids`].
    ///
    /// # Errors
    /// [`Error::Input`] if the table has none of the known ids; what [`Encoding::fit`] says.
    #[cfg(feature = "data")]
    pub fn fit(entities: &Entities, known: &Ids) -> Result<Self> {
        let rows: Vec<(usize, u32)> = entities
            .ids
            .iter()
            .enumerate()
            .filter_map(|(row, id)| Some((row, known.row(id).ok()?)))
            .collect();
        if rows.is_empty() {
            let first =
                [&entities.ids, known.raw()].map(|ids| ids.first().map_or("", String::as_str));
            return Err(Error::Input {
                operation: "side features".into(),
                name: format!(
                    "the {} id(s) of {}",
                    entities.ids.len(),
                    entities.table.path().display()
                ),
                found: format!(
                    "are none of the {} that there are interactions of",
                    known.raw().len()
                ),
                allowed: format!(
                    "some must be the same; the first are `{}` and `{}`",
                    first[0], first[1]
                ),
            });
        }
        let (places, owners): (Vec<usize>, Vec<u32>) = rows.into_iter().unzip();
        let encoding = Encoding::fit(&entities.table, &places, &EncodingOptions::side_features())?;
        let mut triples = encoded(&encoding, &entities.table, &places)?;
        triples.iter_mut().for_each(|triple| triple.0 = owners[triple.0 as usize]);
        let features =
            Features::with_identity(known.raw().len(), encoding.names().len(), &triples)?;
        let side = Self::of_table(features, FromTable { encoding, newcomers: None });
        side.with(entities, known)
    }

    /// Takes up those of a table that are not known, in place of the same ones before.
    #[cfg(feature = "data")]
    pub(crate) fn with(&self, entities: &Entities, known: &Ids) -> Result<Self> {
        let Some(table) = self.table() else {
            return Err(Error::Input {
                operation: "side features".into(),
                name: "the model's features".into(),
                found: "were not made of a table".into(),
                allowed: "make them by `SideFeatures::fit`".into(),
            });
        };
        let rows: Vec<usize> =
            (0..entities.ids.len()).filter(|&row| known.row(&entities.ids[row]).is_err()).collect();
        let found = encoded(&table.encoding, &entities.table, &rows)?;
        let mut all: Vec<(&str, Vec<(u32, f32)>)> =
            rows.iter().map(|&row| (&*entities.ids[row], Vec::new())).collect();
        found
            .into_iter()
            .for_each(|(row, feature, weight)| all[row as usize].1.push((feature, weight)));
        let fresh: std::collections::HashSet<&str> = all.iter().map(|(id, _)| *id).collect();
        if let Some(before) = &table.newcomers {
            for (place, id) in
                before.ids.iter().enumerate().filter(|(_, id)| !fresh.contains(id.as_str()))
            {
                let (features, weights) = before.features.of(place);
                all.push((id, features.iter().copied().zip(weights.iter().copied()).collect()));
            }
        }
        all.sort_by(|(one, _), (other, _)| compare_ids(one, other));
        let triples: Vec<(u32, u32, f32)> = all
            .iter()
            .enumerate()
            .flat_map(|(place, (_, features))| {
                features.iter().map(move |&(id, weight)| (place as u32, id, weight))
            })
            .collect();
        let newcomers = match all.len() {
            0 => None,
            count => Some(Newcomers {
                ids: all.iter().map(|(id, _)| id.to_string()).collect(),
                features: Features::new(count, self.features.features(), &triples)?,
            }),
        };
        let table = FromTable { encoding: table.encoding.clone(), newcomers };
        Ok(SideFeatures { features: self.features.clone(), table: Some(Arc::new(table)) })
    }
}

/// The features of rows that are not 0: the place of the row among these, the feature, its weight. Those of a row are scaled to Σ |w| = 1, as
/// LightFM's `Dataset` scales them: with all of weight 1 a film of five genres is moved five times as fast as one of a single genre (on
/// MovieLens precision@10 .153 → .159, recall .138 → .147, the means of three seeds).
#[cfg(feature = "data")]
fn encoded(encoding: &Encoding, table: &Table, rows: &[usize]) -> Result<Vec<(u32, u32, f32)>> {
    let mut triples = Vec::new();
    for (chunk, rows) in rows.chunks(ROWS_AT_ONCE).enumerate() {
        let values = encoding.features(table, rows)?;
        for (row, values) in values.outer_iter().enumerate() {
            let sum: f32 = values.iter().map(|value| value.abs()).sum();
            let cells = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
            let place = (chunk * ROWS_AT_ONCE + row) as u32;
            triples.extend(cells.map(|(feature, &value)| (place, feature as u32, value / sum)));
        }
    }
    Ok(triples)
}
