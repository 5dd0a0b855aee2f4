//! Softmax loss of a list.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{kept_items, softmax_against};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Softmax loss of a list, −Σ y ln softmax(s), with unnormalised targets y.
    ///
    /// Derivative softmax(s) Σy − y. Predictions and targets are [lists, items]; an item whose
    /// target is below 0 is padding: its score is ignored and its derivative is 0. `mean` divides
    /// by the number of lists with at least one item. A score of −∞ has probability 0: derivative
    /// 0, and the value is ∞ where its target is above 0.
    ///
    /// optax `ranking_softmax_loss`, TF-Ranking `SoftmaxLoss` (which divides each list's targets by
    /// their sum). Source: Z. Cao et al., Learning to rank: from pairwise approach to listwise
    /// approach, 2007.
    ///
    /// ```
    /// use gradus::{Device, losses::{RankingSoftmax, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = RankingSoftmax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[3.0, 1.0, -1.0]])?;
    /// assert!((step.value() - 4.0 * 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0, 1.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct RankingSoftmax of "ranking_softmax" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "ranking_softmax",
    summary: "softmax cross-entropy of a list: the whole order at once, cheap",
    formula: "−Σ y ln softmax(s)",
    options: RankingSoftmax::OPTIONS,
    torch: "",
    keras: "",
    optax: "ranking_softmax_loss",
    source: "Z. Cao et al., Learning to rank: from pairwise approach to listwise approach, 2007",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/ranking_softmax.wgsl"),
    make: make::<RankingSoftmax>,
};

impl LossDefinition for RankingSoftmax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Relevance,
            item_weight: ItemWeight::OfTargets,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/rowwise/list_softmax.wgsl")] },
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for RankingSoftmax {
    const TARGETS_ARE_PADDED: bool = true;

    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        kept_items(
            row,
            scale,
            gradient,
            #[inline(always)]
            |scores, truths, derivatives| softmax_against(scores, truths, None, derivatives),
        )
    }
}
