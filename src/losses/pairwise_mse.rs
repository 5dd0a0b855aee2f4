//! Pairwise mean squared error of lists.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::kept_items;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Pairwise mean squared error: the differences of the scores of a list towards those of its
    /// targets, wherever the scores lie as a whole.
    ///
    /// Mean over the pairs of items of ((sᵢ − sⱼ) − (yᵢ − yⱼ))². With e = s − y and ē its mean over
    /// the N items it is 2/(N − 1) Σ (e − ē)², derivative 4/(N − 1) (eᵢ − ē), computed without a
    /// loop over the pairs. Predictions and targets are [lists, items]; an item whose target is below
    /// 0 is padding: its score is ignored and its derivative is 0. A list of a single item has value
    /// and derivative 0; an infinite score makes its list NaN. `mean` divides by the number of lists
    /// with at least one item.
    ///
    /// TF-Ranking `PairwiseMSELoss`, which averages over the pairs of all lists: the same for lists
    /// of one length.
    /// Source: D. Sculley, Combined regression and ranking, 2010 (squared loss of pairs).
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, PairwiseMse}};
    /// use ndarray::array;
    ///
    /// let criterion = PairwiseMse::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[7.0, 5.0, 9.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert_eq!(step.value(), 1.0); // (2 − 1)²
    /// assert_eq!(step.gradient.as_slice().unwrap(), [2.0, -2.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct PairwiseMse of "pairwise_mse" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "pairwise_mse",
    summary: "differences of scores towards differences of targets, whatever they have in common",
    formula: "2/(N − 1) Σ (e − ē)², e = s − y",
    options: PairwiseMse::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "D. Sculley, Combined regression and ranking, 2010",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/pairwise_mse.wgsl"),
    make: make::<PairwiseMse>,
};

impl LossDefinition for PairwiseMse {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Relevance, ..Spec::rowwise(self) }
    }
}

impl Rowwise for PairwiseMse {
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
            |scores, truths, derivatives| over_all_pairs(scores, truths, derivatives),
        )
    }
}

#[inline(always)]
fn over_all_pairs<R: Real>(scores: &[R], truths: &[R], derivatives: &mut [R]) -> R {
    if scores.len() < 2 {
        return R::ZERO;
    }
    let errors = || scores.iter().zip(truths).map(|(&score, &truth)| (score - truth).to_f64());
    let mean = errors().sum::<f64>() / scores.len() as f64;
    // An infinite score: its differences to the others are infinite, that to itself is ∞ − ∞.
    let mean = if mean.is_finite() { mean } else { f64::NAN };
    let others = (scores.len() - 1) as f64;
    for (derivative, error) in derivatives.iter_mut().zip(errors()) {
        *derivative = R::new(4.0 / others * (error - mean));
    }
    R::new(2.0 / others * errors().map(|error| (error - mean) * (error - mean)).sum::<f64>())
}
