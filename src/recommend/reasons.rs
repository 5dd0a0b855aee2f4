//! Why an item has its score: the items of the user that pull it.

use ndarray::{Array1, Array2};

use crate::cpu::cholesky::solve_positive;
use crate::recommend::model::Model;
use crate::recommend::side::SideFeatures;
use crate::recommend::tables::EmbeddingTable;
use crate::{Error, Result};

/// The ridge of the fit, as a share of the mean square of the items along a component: items of one
/// direction share it instead of outbidding each other.
const RIDGE: f64 = 0.1;

/// The parts of an item's score for a user: they add up to the score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reasons {
    /// The item.
    pub item: u32,
    /// Its score, as [`Model::predict`] gives it.
    pub score: f64,
    /// The part of each of the user's items in training, the largest first.
    pub because: Vec<Because>,
    /// What the user's items do not explain of the product of both embeddings.
    pub rest: f64,
    /// The item's bias: its popularity.
    pub item_bias: f64,
    /// The user's bias, equal for all items.
    pub user_bias: f64,
}

/// The part of one of a user's items in the score of another item.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Because {
    /// The user's item.
    pub item: u32,
    /// Its part of the score; below 0 where it speaks against the other.
    pub part: f64,
}

impl Model {
    /// The parts of the scores of items for a user: which of the items that the user chose in training
    /// pull them.
    ///
    /// The user's embedding is written as a sum of those of the user's items (ridge regression, whose
    /// penalty is a tenth of their mean square along a component), and so is its product with the item's.
    /// As the explanations of implicit's ALS (Hu, Koren, Volinsky 2008, section 5), for embeddings that
    /// were trained by any loss. The sum is exact; the shares among items that are much alike are not
    /// certain.
    ///
    /// ```
    /// use gradus::Device;
    /// use gradus::recommend::{Interactions, Recommender};
    /// // Users 0 to 2 like items 0 to 3, users 3 to 5 like items 4 to 7; each has left one out.
    /// let likes = |user: u32, item: u32| user / 3 == item / 4 && item % 4 != user % 3;
    /// let pairs: Vec<(u32, u32)> =
    ///     (0..48).map(|pair| (pair / 8, pair % 8)).filter(|&(user, item)| likes(user, item)).collect();
    /// let mut model = Recommender::new(6, 8).components(4).on(&Device::cpu())?;
    /// model.fit(&Interactions::new(6, 8, &pairs)?, 50)?;
    /// let reasons = model.reasons(1, &[1])?.remove(0);
    /// assert!(reasons.because.iter().all(|because| [0, 2, 3].contains(&because.item)));
    /// let parts: f64 = reasons.because.iter().map(|because| because.part).sum();
    /// let sum = parts + reasons.rest + reasons.item_bias + reasons.user_bias;
    /// assert!((sum - f64::from(model.predict(&[1], &[1])?[0])).abs() < 1e-5);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] for a user or an item out of range, and for a user without interactions that
    /// the model was trained on; errors of the device.
    pub fn reasons(&self, user: u32, items: &[u32]) -> Result<Vec<Reasons>> {
        self.check_user(user)?;
        items.iter().try_for_each(|&item| self.check_item(item))?;
        let own = self.seen_by(user);
        if own.is_empty() {
            return Err(Error::Input {
                operation: "reasons".into(),
                name: format!("user {user}"),
                found: "has no interactions that the model was trained on".into(),
                allowed: "take a user that has".into(),
            });
        }
        let [users, table] = self.tables()?;
        let (wish, user_bias) = entity(&users, self.user_features(), user);
        let of_item = |item: u32| entity(&table, self.item_features(), item);
        let mut vectors = Array2::zeros((own.len(), wish.len()));
        for (mut row, &item) in vectors.rows_mut().into_iter().zip(own) {
            row.assign(&of_item(item).0);
        }
        // c = Q (QᵀQ + λ)⁻¹ p makes Qᵀc = p − λ (QᵀQ + λ)⁻¹ p.
        let mut gram = vectors.t().dot(&vectors);
        let mean = gram.diag().sum() / wish.len() as f64;
        let ridge = if mean > 0.0 { RIDGE * mean } else { 1.0 };
        gram.diag_mut().iter_mut().for_each(|square| *square += ridge);
        let solved = solve_positive(gram, wish.clone()).ok_or_else(|| Error::Input {
            operation: "reasons".into(),
            name: format!("the embedding of user {user}"),
            found: "is not a sum of those of its items".into(),
            allowed: "finite embeddings".into(),
        })?;
        let shares = vectors.dot(&solved);
        let reasons = |&item: &u32| {
            let (vector, item_bias) = of_item(item);
            let products = vectors.dot(&vector);
            let parts = own.iter().zip(shares.iter().zip(&products));
            let mut because: Vec<Because> = parts
                .map(|(&item, (share, product))| Because { item, part: share * product })
                .collect();
            because.sort_by(|a, b| b.part.total_cmp(&a.part));
            Reasons {
                item,
                score: wish.dot(&vector) + item_bias + user_bias,
                because,
                rest: ridge * solved.dot(&vector),
                item_bias,
                user_bias,
            }
        };
        Ok(items.iter().map(reasons).collect())
    }
}

/// The embedding and the bias of a user or an item: the weighted sum of those of its features.
fn entity(
    table: &EmbeddingTable,
    features: Option<&SideFeatures>,
    entity: u32,
) -> (Array1<f64>, f64) {
    let Some(side) = features else {
        let row = entity as usize;
        return (table.embeddings.row(row).to_owned(), table.biases[row]);
    };
    let (ids, weights) = side.features().of(entity as usize);
    let mut sum = (Array1::zeros(table.embeddings.ncols()), 0.0);
    for (&feature, &weight) in ids.iter().zip(weights) {
        let (row, weight) = (feature as usize, f64::from(weight));
        sum.0.scaled_add(weight, &table.embeddings.row(row));
        sum.1 += weight * table.biases[row];
    }
    sum
}
