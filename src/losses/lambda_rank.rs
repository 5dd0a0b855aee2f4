//! LambdaRank.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{Discount, Gain, Lambda, Pairs, over_pairs_of};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// LambdaRank: Σ |ΔNDCG| ln(1 + e⁻ᵈ) over the pairs of a list with yᵢ > yⱼ,
    /// d = (sᵢ − sⱼ)/temperature.
    ///
    /// |ΔNDCG| = |Gᵢ − Gⱼ| |Dᵢ − Dⱼ| / ideal is the change in NDCG when the two items are swapped,
    /// G = 2^y − 1, D = 1/log₂(1 + rank) with the rank by the current scores; it is constant in the
    /// derivative, which is |ΔNDCG| times that of the logarithm. Tied scores are ordered by their
    /// position in the list. Predictions and targets are [lists, items]; an item whose target is
    /// below 0 is padding: its score is ignored and its derivative is 0. `mean` divides by the
    /// number of lists with at least one item. Targets are at most 100.
    ///
    /// The factor of the derivative is the λ of the paper; as a loss it is LambdaLoss with the
    /// weights of LambdaRank.
    /// Source: C. Burges, R. Ragno and Q. V. Le, Learning to rank with nonsmooth cost functions,
    /// 2006; X. Wang et al., The LambdaLoss framework for ranking metric optimization, 2018.
    ///
    /// ```
    /// use gradus::{Device, losses::{LambdaRank, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = LambdaRank::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[1.0, 0.0, -1.0]])?;
    /// let weight = 1.0 - 1.0 / 3.0_f64.log2(); // (1 − 0)(1 − 1/log₂ 3) / 1
    /// assert!((step.value() - weight * 2.0_f64.ln()).abs() < 1e-15);
    /// assert!((f64::from(step.gradient[[0, 0]]) + 0.5 * weight).abs() < 1e-7);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LambdaRank of "lambda_rank" {
        /// Divides the scores.
        temperature: f64 = 1.0, "finite and > 0" if |t| t > 0.0 && t.is_finite();
        /// Pair weight, constant in the derivative: none; label_diff, |yᵢ − yⱼ|; ndcg, the change
        /// in NDCG when the two items are swapped.
        lambda: Lambda = Lambda::Ndcg, "\"none\", \"label_diff\" or \"ndcg\"" if |_| true;
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
    name: "lambda_rank",
    summary: "LambdaRank: pairs weighted by what their order is worth in NDCG",
    formula: "Σ |ΔNDCG| ln(1 + e⁻ᵈ), yᵢ > yⱼ, d = (sᵢ − sⱼ)/T",
    options: LambdaRank::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "C. Burges, R. Ragno and Q. V. Le, Learning to rank with nonsmooth cost functions, 2006",
    variants: &[
        r#"{"temperature": 0.5}"#,
        r#"{"lambda": "label_diff"}"#,
        r#"{"top_n": 3}"#,
        r#"{"gain": "linear"}"#,
        r#"{"discount": "reciprocal", "top_n": 4}"#,
        r#"{"relative": 1.0}"#,
        r#"{"relative": 0.5, "normalized": false, "discount": "reciprocal"}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/lambda_rank.wgsl"),
    make: make::<LambdaRank>,
};

impl LossDefinition for LambdaRank {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Grade,
            inputs: &[ITEM_WEIGHT],
            item_weight: ItemWeight::OfPairs,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/listwise/pairwise.wgsl")] },
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

impl Rowwise for LambdaRank {
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
