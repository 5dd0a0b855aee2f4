//! ApproxNDCG.

use std::f64::consts::LN_2;

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{Discount, Gain, ideal, kept_items, over_smooth_ranks};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// ApproxNDCG: negative NDCG of a list with smooth ranks, −(1/ideal) Σ (2^y − 1)/log₂(1 + r),
    /// r = ½ + Σⱼ σ((sⱼ − sᵢ)/temperature).
    ///
    /// The ideal is the same sum over the best order; `gain` and `discount` replace its two factors. Predictions and targets are [lists, items];
    /// an item whose target is below 0 is padding: its score is ignored and its derivative is 0.
    /// `mean` divides by the number of lists with at least one item. A list whose targets are all 0
    /// has value and derivative 0. Targets are at most 100.
    ///
    /// TF-Ranking `ApproxNDCGLoss`. Source: T. Qin, T.-Y. Liu and H. Li, A general approximation
    /// framework for direct optimization of information retrieval measures, 2010.
    ///
    /// ```
    /// use gradus::{Device, losses::{ApproxNdcg, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = ApproxNdcg::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert!((step.value() + 1.0 / 2.5_f64.log2()).abs() < 1e-15); // both have rank 3/2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ApproxNdcg of "approx_ndcg" {
        /// Divides the score differences; smaller values bring the ranks closer to the true ones.
        temperature: f64 = 0.1, "finite and > 0" if |t| t > 0.0 && t.is_finite();
        /// Gain of a target: exponential, 2^y − 1; linear, y.
        gain: Gain = Gain::Exponential, "\"exponential\" or \"linear\"" if |_| true;
        /// Discount of a rank r: log2, 1/log₂(1 + r); reciprocal, 1/r.
        discount: Discount = Discount::Log2, "\"log2\" or \"reciprocal\"" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "approx_ndcg",
    summary: "ApproxNDCG: NDCG itself, with smooth ranks",
    formula: "−Σ (2^y − 1)/log₂(1 + r) / ideal, r = ½ + Σ σ((sⱼ − sᵢ)/T)",
    options: ApproxNdcg::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "T. Qin, T.-Y. Liu and H. Li, A general approximation framework for direct optimization of information retrieval measures, 2010",
    variants: &[
        r#"{"temperature": 1.0}"#,
        r#"{"gain": "linear", "temperature": 0.5}"#,
        r#"{"discount": "reciprocal"}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/approx_ndcg.wgsl"),
    make: make::<ApproxNdcg>,
};

impl LossDefinition for ApproxNdcg {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Grade, item_weight: ItemWeight::OfLists, ..Spec::listwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature), self.gain.constant(), self.discount.constant()]
    }
}

impl Rowwise for ApproxNdcg {
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
                // G/log₂(1 + r), derivative −G ln 2/((1 + r) ln²(1 + r)); G/r, derivative −G/r².
                let term = |item: usize, rank: f64| {
                    let gain = self.gain.of(truths[item].to_f64());
                    match self.discount {
                        Discount::Log2 => {
                            let log = rank.ln_1p();
                            let value = gain * LN_2 / log;
                            (value, -value / ((1.0 + rank) * log))
                        }
                        Discount::Reciprocal => (gain / rank, -gain / (rank * rank)),
                    }
                };
                let ideal = ideal(truths, 0, self.gain, self.discount);
                over_smooth_ranks(scores, self.temperature, ideal, derivatives, term)
            },
        )
    }
}
