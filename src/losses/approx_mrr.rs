//! ApproxMRR.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{kept_items, over_smooth_ranks};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// ApproxMRR: negative mean reciprocal rank of a list with smooth ranks, −Σ (y/r) / Σ y,
    /// r = ½ + Σⱼ σ((sⱼ − sᵢ)/temperature).
    ///
    /// Predictions and targets are [lists, items]; an item whose target is below 0 is padding: its
    /// score is ignored and its derivative is 0. `mean` divides by the number of lists with at
    /// least one item. A list whose targets are all 0 has value and derivative 0.
    ///
    /// TF-Ranking `ApproxMRRLoss`. Source: T. Qin, T.-Y. Liu and H. Li, A general approximation
    /// framework for direct optimization of information retrieval measures, 2010.
    ///
    /// ```
    /// use gradus::{Device, losses::{ApproxMrr, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = ApproxMrr::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert!((step.value() + 1.0 / 1.5).abs() < 1e-15); // both have rank 3/2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ApproxMrr of "approx_mrr" {
        /// Divides the score differences; smaller values bring the ranks closer to the true ones.
        temperature: f64 = 0.1, "finite and > 0" if |t| t > 0.0 && t.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "approx_mrr",
    summary: "ApproxMRR: the reciprocal rank itself, with smooth ranks",
    formula: "−Σ (y/r) / Σ y, r = ½ + Σ σ((sⱼ − sᵢ)/T)",
    options: ApproxMrr::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "T. Qin, T.-Y. Liu and H. Li, A general approximation framework for direct optimization of information retrieval measures, 2010",
    variants: &[r#"{"temperature": 1.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/approx_mrr.wgsl"),
    make: make::<ApproxMrr>,
};

impl LossDefinition for ApproxMrr {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Relevance,
            item_weight: ItemWeight::OfLists,
            ..Spec::listwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature)]
    }
}

impl Rowwise for ApproxMrr {
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
            |scores, truths, derivatives| {
                let term = |item: usize, rank: f64| {
                    let value = truths[item].to_f64() / rank;
                    (value, -value / rank)
                };
                let total = truths.iter().map(|truth| truth.to_f64()).sum();
                over_smooth_ranks(scores, self.temperature, total, derivatives, term)
            },
        )
    }
}
