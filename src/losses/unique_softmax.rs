//! Unique softmax loss of a list.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{descending, difference, gain, kept_items, log_add_exp};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Unique softmax: Σ (2^y − 1)(lseᵢ − sᵢ), where lseᵢ is over item i and the items with a lower
    /// target: items of equal relevance do not compete.
    ///
    /// Derivative Gᵢ(e^(sᵢ − lseᵢ) − 1) + Σ Gₖ e^(sᵢ − lseₖ) over the items k above i, G = 2^y − 1.
    /// Predictions and targets are [lists, items]; an item whose target is below 0 is padding: its
    /// score is ignored and its derivative is 0. `mean` divides by the number of lists with at
    /// least one item. Targets are at most 100. A score of −∞ has derivative 0; a score of +∞ makes
    /// the list NaN.
    ///
    /// TF-Ranking `UniqueSoftmaxLoss`. Source: X. Zhu and D. Klabjan, Listwise learning to rank by
    /// exploring unique ratings, 2020.
    ///
    /// ```
    /// use gradus::{Device, losses::{UniqueSoftmax, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = UniqueSoftmax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct UniqueSoftmax of "unique_softmax" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "unique_softmax",
    summary: "unique softmax: each item against the less relevant ones only",
    formula: "Σ (2^y − 1)(lseᵢ − sᵢ), lseᵢ over i and those below it",
    options: UniqueSoftmax::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "X. Zhu and D. Klabjan, Listwise learning to rank by exploring unique ratings, 2020",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/unique_softmax.wgsl"),
    make: make::<UniqueSoftmax>,
};

impl LossDefinition for UniqueSoftmax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Grade, item_weight: ItemWeight::OfLists, ..Spec::listwise(self) }
    }
}

impl Rowwise for UniqueSoftmax {
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
        kept_items(row, scale, gradient, against_lower)
    }
}

/// Scans in f64 for both precisions, as in ListMLE.
fn against_lower<R: Real>(scores: &[R], truths: &[R], derivatives: &mut [R]) -> R {
    if scores.contains(&R::INFINITY) {
        derivatives.fill(R::NAN);
        return R::NAN;
    }
    let order = descending(truths);
    let score = |place: usize| scores[order[place]].to_f64();
    let is_tied = |place: usize| truths[order[place]] == truths[order[place - 1]];
    let mut lse = vec![0.0; order.len()];
    // Over the items below those with the same target, and including these.
    let (mut lower, mut all) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for place in (0..order.len()).rev() {
        lse[place] = log_add_exp(lower, score(place));
        all = log_add_exp(all, score(place));
        if place > 0 && !is_tied(place) {
            lower = all;
        }
    }
    // ln Σ G e^(−lse) over the items above those with the same target, and including these.
    let (mut above, mut so_far) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let mut value = 0.0;
    for place in 0..order.len() {
        if place > 0 && !is_tied(place) {
            above = so_far;
        }
        let gain = gain(truths[order[place]].to_f64());
        if gain > 0.0 {
            value += gain * difference(lse[place], score(place));
        }
        if score(place) != f64::NEG_INFINITY {
            let own = gain * (score(place) - lse[place]).exp_m1();
            derivatives[order[place]] = R::new(own + (score(place) + above).exp());
        }
        if lse[place] != f64::NEG_INFINITY {
            so_far = log_add_exp(so_far, gain.ln() - lse[place]);
        }
    }
    R::new(value)
}
