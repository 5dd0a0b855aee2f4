//! Side features: an entity is the weighted sum of its features' embeddings.

use crate::recommend::interactions::size;
use crate::{Error, Result};

/// Which features each user (or item) has, with which weight: the hybrid model of M. Kula, *Metadata embeddings for user and item
/// cold-start recommendations* (2015).
///
/// An entity's vector is Σ weight · embedding of the feature, its bias likewise. Without features each entity has one of its own.
///
/// ```
/// use gradus::recommend::Features;
///
/// // Two films that are each their own feature and share a genre.
/// let films = Features::with_identity(2, 1, &[(0, 0, 1.0), (1, 0, 1.0)])?;
/// assert_eq!((films.entities(), films.features()), (2, 3));
/// assert_eq!(films.of(1), (&[0, 2][..], &[1.0, 1.0][..])); // the genre first, then the film itself
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    features: u32,
    starts: Vec<u32>,
    ids: Vec<u32>,
    weights: Vec<f32>,
}

impl Features {
    /// Triples (entity, feature, weight) in any order. A feature that stands twice with an entity counts twice.
    ///
    /// # Errors
    /// [`Error::Input`] for an index outside or a weight that is not finite, [`Error::Option`] for a size of 0.
    pub fn new(entities: usize, features: usize, triples: &[(u32, u32, f32)]) -> Result<Self> {
        let (entities, features) = (size("entities", entities)?, size("features", features)?);
        for (index, &(entity, feature, weight)) in triples.iter().enumerate() {
            let refused = |name: &str, found: String, allowed: String| Error::Input {
                operation: "features".into(),
                name: format!("{name} of number {index}"),
                found: format!("is {found}"),
                allowed: format!("it must be {allowed}"),
            };
            if entity >= entities {
                return Err(refused(
                    "the entity",
                    entity.to_string(),
                    format!("0 to {}", entities - 1),
                ));
            }
            if feature >= features {
                return Err(refused(
                    "the feature",
                    feature.to_string(),
                    format!("0 to {}", features - 1),
                ));
            }
            if !weight.is_finite() {
                return Err(refused("the weight", weight.to_string(), "finite".into()));
            }
        }
        let mut order: Vec<usize> = (0..triples.len()).collect();
        order.sort_by_key(|&index| (triples[index].0, triples[index].1));
        let mut starts = vec![0; entities as usize + 1];
        triples.iter().for_each(|triple| starts[triple.0 as usize + 1] += 1);
        (0..entities as usize).for_each(|entity| starts[entity + 1] += starts[entity]);
        Ok(Features {
            features,
            starts,
            ids: order.iter().map(|&index| triples[index].1).collect(),
            weights: order.iter().map(|&index| triples[index].2).collect(),
        })
    }

    /// As [`Features::new`], and each entity has behind those a feature of its own, of weight 1.
    ///
    /// # Errors
    /// As [`Features::new`].
    pub fn with_identity(
        entities: usize,
        features: usize,
        triples: &[(u32, u32, f32)],
    ) -> Result<Self> {
        let first = size("features", features)?;
        if let Some(outside) = triples.iter().find(|triple| triple.1 >= first) {
            // Behind them lie the entities' own: without this it would become one of those.
            return Self::new(entities, features, &[*outside]);
        }
        size("features", features.saturating_add(entities))?;
        let own = (0..size("entities", entities)?).map(|entity| (entity, first + entity, 1.0));
        let all: Vec<(u32, u32, f32)> = triples.iter().copied().chain(own).collect();
        Self::new(entities, features + entities, &all)
    }

    /// From the rows of a saved file; `None` if they do not fit together.
    pub(crate) fn from_rows(
        features: u32,
        starts: &[u32],
        ids: &[u32],
        weights: &[f32],
    ) -> Option<Self> {
        let entities = starts.len().checked_sub(1)?;
        let whole =
            starts[0] == 0 && starts[entities] as usize == ids.len() && ids.len() == weights.len();
        if !whole || starts.windows(2).any(|two| two[0] > two[1]) {
            return None;
        }
        let of = |entity: usize| starts[entity] as usize..starts[entity + 1] as usize;
        let triples: Vec<(u32, u32, f32)> = (0..entities)
            .flat_map(|entity| {
                of(entity).map(move |place| (entity as u32, ids[place], weights[place]))
            })
            .collect();
        Self::new(entities, features as usize, &triples).ok()
    }

    /// How many users or items there are.
    pub fn entities(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many features there are.
    pub fn features(&self) -> usize {
        self.features as usize
    }

    /// The features of an entity, ascending, and their weights; empty for an entity that there is not.
    pub fn of(&self, entity: usize) -> (&[u32], &[f32]) {
        if entity >= self.entities() {
            return (&[], &[]);
        }
        let range = self.starts[entity] as usize..self.starts[entity + 1] as usize;
        (&self.ids[range.clone()], &self.weights[range])
    }

    /// Where each entity's features begin, the features, the weights.
    pub(crate) fn rows(&self) -> (&[u32], &[u32], &[f32]) {
        (&self.starts, &self.ids, &self.weights)
    }

    /// The entities of each feature: starts [features + 1] and entities.
    pub(crate) fn inverse(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0; self.features() + 1];
        self.ids.iter().for_each(|&feature| starts[feature as usize + 1] += 1);
        (0..self.features()).for_each(|feature| starts[feature + 1] += starts[feature]);
        let (mut next, mut entities) = (starts.clone(), vec![0; self.ids.len()]);
        for entity in 0..self.entities() {
            for &feature in self.of(entity).0 {
                entities[next[feature as usize] as usize] = entity as u32;
                next[feature as usize] += 1;
            }
        }
        (starts, entities)
    }
}
