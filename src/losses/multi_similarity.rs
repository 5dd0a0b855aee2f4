//! Multi-similarity loss: positives above and negatives below a similarity, weighted by their row.

use crate::losses::prelude::*;

options! {
    /// Multi-similarity loss: similarities within a label should be above a base, those between
    /// labels below it, each weighted relative to the others of its row.
    ///
    /// ln(1 + Σ_(p∈P_i) e^(−α(s_ip − λ)))/α + ln(1 + Σ_(n∈N_i) e^(β(s_in − λ)))/β, s_ij =
    /// x̂_i·x̂_j. Every row is included, even without a positive or a negative. No pairs are mined
    /// (nor in pytorch-metric-learning by default; the paper's mining is its
    /// `MultiSimilarityMiner`). `predictions` are [rows, columns], `targets` labels `[rows]`.
    ///
    /// The embeddings are first L2-normalised (with a norm of at least 10⁻¹²). A masked row has no
    /// value of its own but remains a candidate for all other rows and receives their gradients; a
    /// NaN in one row makes every value NaN.
    ///
    /// pytorch-metric-learning `MultiSimilarityLoss`.
    /// Source: X. Wang et al., Multi-similarity loss with general pair weighting for deep metric
    /// learning, 2019.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, MultiSimilarity}};
    /// use ndarray::array;
    ///
    /// let (embeddings, labels) = (array![[1.0, 0.0], [2.0, 0.0]], array![7_i64, 7]);
    /// let inputs = Inputs::new(&embeddings, &labels);
    /// let step = MultiSimilarity::new().alpha(1.0).beta(1.0).base(0.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-12); // one positive at cosine 1
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MultiSimilarity of "multi_similarity" {
        /// Sharpness α of the weights of positives.
        alpha: f64 = 2.0, "> 0" if |alpha| alpha > 0.0 && alpha.is_finite();
        /// Sharpness β of the weights of negatives.
        beta: f64 = 50.0, "> 0" if |beta| beta > 0.0 && beta.is_finite();
        /// Base similarity λ that separates positives from negatives.
        base: f64 = 0.5, "finite" if |base| f64::is_finite(base);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "multi_similarity",
    summary: "similarities of one label above a base, others below",
    formula: "ln(1 + Σ_P e^(−α(s−λ)))/α + ln(1 + Σ_N e^(β(s−λ)))/β",
    options: MultiSimilarity::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "X. Wang et al., Multi-similarity loss with general pair weighting for deep metric learning, 2019",
    variants: &[r#"{"alpha": 1.0, "beta": 4.0, "base": 0.2}"#],
    shader: crate::runtime::wgsl::shader!("losses/multi_similarity.wgsl"),
    make: make::<MultiSimilarity>,
};

const ARGUMENTS: &[Argument] = LABELLED_EMBEDDINGS;

impl LossDefinition for MultiSimilarity {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("ALPHA", self.alpha), ("BETA", self.beta), ("BASE", self.base)]
    }
}

impl Similarity for MultiSimilarity {
    #[inline(always)]
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R> {
        let Candidate { score, is_own, is_positive } = candidate;
        let derivative = R::select(is_positive, -R::new(self.alpha), R::new(self.beta));
        Term {
            exponent: derivative * (score - R::new(self.base)),
            derivative,
            inside: [is_positive, !(is_own | is_positive)],
        }
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], _: [R; 2], _: R) -> PoolOutcome<R> {
        let (alpha, beta) = (R::new(self.alpha), R::new(self.beta));
        PoolOutcome {
            value: lse[0].softplus() / alpha + lse[1].softplus() / beta,
            lse,
            pools: [lse[0].sigmoid() / alpha, lse[1].sigmoid() / beta],
            extra: R::ZERO,
        }
    }
}
