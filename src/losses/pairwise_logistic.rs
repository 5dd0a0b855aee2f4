//! Pairwise logistic loss.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{Discount, Gain, Lambda, Pairs, over_pairs_of};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Pairwise logistic loss (RankNet): Σ ln(1 + e⁻ᵈ) over the pairs of a list with yᵢ > yⱼ,
    /// d = (sᵢ − sⱼ)/temperature.
    ///
    /// Derivative of a pair: −σ(−d) for the higher item, its opposite for the lower. Predictions
    /// and targets are [lists, items]; an item whose target is below 0 is padding: its score is
    /// ignored and its derivative is 0. `mean` divides by the number of pairs over all lists,
    /// `none` returns the sum of each list, 0 for a list without pairs. Tied scores are ordered by
    /// their position in the list. Targets are at most 100.
    ///
    /// Keras-Hub and TF-Ranking `PairwiseLogisticLoss` (which divides by the sum of the weights if
    /// `lambda` is set).
    /// Source: C. Burges et al., Learning to rank using gradient descent, 2005.
    ///
    /// ```
    /// use gradus::{Device, losses::{PairwiseLogistic, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = PairwiseLogistic::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct PairwiseLogistic of "pairwise_logistic" {
        /// Divides the scores.
        temperature: f64 = 1.0, "finite and > 0" if |t| t > 0.0 && t.is_finite();
        /// Pair weight, constant in the derivative: none; label_diff, |yᵢ − yⱼ|; ndcg, the change
        /// in NDCG when the two items are swapped.
        lambda: Lambda = Lambda::None, "\"none\", \"label_diff\" or \"ndcg\"" if |_| true;
        /// Number of top ranks with a nonzero discount when lambda is ndcg; 0 for all.
        top_n: u32 = 0_u32, "a whole number from 0 on" if |_| true;
        /// Gain of a target when lambda is ndcg: exponential, 2^y − 1; linear, y.
        gain: Gain = Gain::Exponential, "\"exponential\" or \"linear\"" if |_| true;
        /// Discount of a rank r when lambda is ndcg: log2, 1/log₂(1 + r); reciprocal, 1/r.
        discount: Discount = Discount::Log2, "\"log2\" or \"reciprocal\"" if |_| true;
        /// Share λ of the discounts of rank differences when lambda is ndcg: a pair's discount is
        /// (1 − λ)|Dᵢ − Dⱼ| + λ|D(k) − D(k + 1)|, k the distance of its ranks; 1 is LambdaLoss.
        relative: f64 = 0.0, "in [0, 1]" if |share| (0.0..=1.0).contains(&share);
        /// True if the gains are divided by the ideal sum when lambda is ndcg; false for DCG.
        normalized: bool = true, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "pairwise_logistic",
    summary: "pairwise logistic (RankNet): the higher of two items should have the higher score",
    formula: "Σ w ln(1 + e⁻ᵈ), yᵢ > yⱼ, d = (sᵢ − sⱼ)/T",
    options: PairwiseLogistic::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "C. Burges et al., Learning to rank using gradient descent, 2005",
    variants: &[
        r#"{"temperature": 0.5}"#,
        r#"{"lambda": "label_diff"}"#,
        r#"{"lambda": "ndcg", "top_n": 3}"#,
        r#"{"lambda": "ndcg", "gain": "linear", "discount": "reciprocal"}"#,
        r#"{"lambda": "ndcg", "relative": 0.75, "normalized": false, "top_n": 3}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/pairwise_logistic.wgsl"),
    make: make::<PairwiseLogistic>,
};

impl LossDefinition for PairwiseLogistic {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Grade,
            inputs: &[ITEM_WEIGHT],
            item_weight: ItemWeight::OfPairs,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/listwise/pairwise.wgsl")] },
            mean: Mean::OverPairs,
            ..Spec::listwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("TEMPERATURE", self.temperature),
            self.lambda.constant(),
            ("TOP_N", f64::from(self.top_n)),
            self.gain.constant(),
            self.discount.constant(),
            ("RELATIVE", self.relative),
            ("NORMALIZED", f64::from(u8::from(self.normalized))),
        ]
    }
}

impl Rowwise for PairwiseLogistic {
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
        let pairs = Pairs {
            temperature: self.temperature,
            lambda: self.lambda,
            top_n: self.top_n,
            gain: self.gain,
            discount: self.discount,
            relative: self.relative,
            normalized: self.normalized,
        };
        over_pairs_of(
            &pairs,
            row,
            scale,
            gradient,
            #[inline(always)]
            |d: R| {
                // f = max(−d, 0) + ln(1 + e^(−|d|)); f′ = −σ(−d).
                let (tail, high, low) = d.logistic();
                ((-d).max(R::ZERO) + tail, -R::select(d > R::ZERO, low, high))
            },
        )
    }
}
