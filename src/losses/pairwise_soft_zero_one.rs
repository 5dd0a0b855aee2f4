//! Pairwise soft zero-one loss.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{Discount, Gain, Lambda, Pairs, over_pairs_of};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Pairwise soft zero-one loss: Σ σ(−d) over the pairs of a list with yᵢ > yⱼ,
    /// d = (sᵢ − sⱼ)/temperature: a smooth count of misordered pairs.
    ///
    /// Derivative of a pair: −σ(d)σ(−d) for the higher item, its opposite for the lower.
    /// Predictions and targets are [lists, items]; an item whose target is below 0 is padding: its
    /// score is ignored and its derivative is 0. `mean` divides by the number of pairs over all
    /// lists, `none` returns the sum of each list, 0 for a list without pairs. Tied scores are
    /// ordered by their position in the list. Targets are at most 100.
    ///
    /// TF-Ranking `PairwiseSoftZeroOneLoss`. Source: R. K. Pasumarthi et al., TF-Ranking: scalable
    /// TensorFlow library for learning-to-rank, 2019.
    ///
    /// ```
    /// use gradus::{Device, losses::{PairwiseSoftZeroOne, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = PairwiseSoftZeroOne::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// assert_eq!(step.value(), 0.5);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct PairwiseSoftZeroOne of "pairwise_soft_zero_one" {
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
    name: "pairwise_soft_zero_one",
    summary: "pairwise soft zero-one: a smooth share of the pairs in the wrong order",
    formula: "Σ w σ(−d), yᵢ > yⱼ, d = (sᵢ − sⱼ)/T",
    options: PairwiseSoftZeroOne::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "R. K. Pasumarthi et al., TF-Ranking, 2019",
    variants: &[
        r#"{"temperature": 0.5}"#,
        r#"{"lambda": "label_diff"}"#,
        r#"{"lambda": "ndcg", "top_n": 3}"#,
        r#"{"lambda": "ndcg", "gain": "linear", "discount": "reciprocal"}"#,
        r#"{"lambda": "ndcg", "relative": 0.75, "normalized": false, "top_n": 3}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/pairwise_soft_zero_one.wgsl"),
    make: make::<PairwiseSoftZeroOne>,
};

impl LossDefinition for PairwiseSoftZeroOne {
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

impl Rowwise for PairwiseSoftZeroOne {
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
                let (_, high, low) = d.logistic();
                (R::select(d > R::ZERO, low, high), -(high * low))
            },
        )
    }
}
