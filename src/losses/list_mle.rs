//! ListMLE.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{descending, difference, kept_items, log_add_exp};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// ListMLE: negative log-likelihood of the order by target under the Plackett–Luce model, Σ
    /// (lseᵢ − sᵢ), where lseᵢ is over item i and those after it; equal targets keep their order in
    /// the list.
    ///
    /// Derivative −1 + Σ e^(sᵢ − lseₖ) over i and the items k before it. Predictions and targets
    /// are [lists, items]; an item whose target is below 0 is padding: its score is ignored and its
    /// derivative is 0. `mean` divides by the number of lists with at least one item. A score of −∞
    /// has derivative 0 and makes the value ∞ unless only −∞ follows it; a score of +∞ makes the
    /// list NaN.
    ///
    /// TF-Ranking `ListMLELoss`. Source: F. Xia et al., Listwise approach to learning to rank:
    /// theory and algorithm, 2008.
    ///
    /// ```
    /// use gradus::{Device, losses::{ListMle, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = ListMle::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ListMle of "list_mle" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "list_mle",
    summary: "ListMLE: the likelihood of the whole order",
    formula: "Σ (lseᵢ − sᵢ), lseᵢ over i and those behind it",
    options: ListMle::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "F. Xia et al., Listwise approach to learning to rank: theory and algorithm, 2008",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/list_mle.wgsl"),
    make: make::<ListMle>,
};

impl LossDefinition for ListMle {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Relevance,
            item_weight: ItemWeight::OfLists,
            ..Spec::listwise(self)
        }
    }
}

impl Rowwise for ListMle {
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
        kept_items(row, scale, gradient, plackett_luce)
    }
}

/// Scans in f64 for both precisions: differences of sums of large scores would lose the digits of
/// f32.
fn plackett_luce<R: Real>(scores: &[R], truths: &[R], derivatives: &mut [R]) -> R {
    if scores.contains(&R::INFINITY) {
        derivatives.fill(R::NAN);
        return R::NAN;
    }
    let order = descending(truths);
    let sorted: Vec<f64> = order.iter().map(|&item| scores[item].to_f64()).collect();
    let mut lse = vec![0.0; sorted.len()];
    let mut behind = f64::NEG_INFINITY;
    for (place, &score) in sorted.iter().enumerate().rev() {
        behind = log_add_exp(behind, score);
        lse[place] = behind;
    }
    // ln Σ e^(−lse) over the positions so far.
    let mut before = f64::NEG_INFINITY;
    let mut value = 0.0;
    for (place, &score) in sorted.iter().enumerate() {
        value += difference(lse[place], score);
        if score != f64::NEG_INFINITY {
            derivatives[order[place]] =
                R::new((score - lse[place]).exp_m1() + (score + before).exp());
        }
        if lse[place] != f64::NEG_INFINITY {
            before = log_add_exp(before, -lse[place]);
        }
    }
    R::new(value)
}
