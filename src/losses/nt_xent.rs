//! NT-Xent: each positive pair against negatives only.

use crate::losses::prelude::*;

options! {
    /// NT-Xent over labels: each pair of embeddings with the same label is a separate cross-entropy
    /// against the negatives of its first embedding.
    ///
    /// A row's value is Σ_(p∈P_i) ln(1 + e^(L_i − s_ip/T)), L_i = lse over the rows of other labels
    /// of s_ij/T, s_ij = x̂_i·x̂_j, P_i the other rows of label i: unlike `sup_con`, other
    /// positives are not in the denominator. `mean` divides by the number of pairs; a row without a
    /// positive is skipped. `predictions` are [rows, columns], `targets` labels `[rows]`.
    ///
    /// The embeddings are first L2-normalised (with a norm of at least 10⁻¹²). A masked row has no
    /// value of its own but remains a candidate for all other rows and receives their gradients; a
    /// NaN in one row makes every value NaN.
    ///
    /// pytorch-metric-learning `NTXentLoss`, optax `ntxent`; with two views of each sample the loss
    /// of SimCLR.
    /// Source: T. Chen et al., A simple framework for contrastive learning of visual
    /// representations, 2020.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, NtXent}};
    /// use ndarray::array;
    ///
    /// let (embeddings, labels) = (array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], array![7_i64, 7, 3]);
    /// let inputs = Inputs::new(&embeddings, &labels);
    /// let step = NtXent::new().temperature(0.5).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + (-2.0_f64).exp()).ln()).abs() < 1e-12); // two pairs, ln(1 + e^(0 − 1/T)) each
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct NtXent of "nt_xent" {
        /// Divides the scores.
        temperature: f64 = 0.07, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "nt_xent",
    summary: "each pair of one label against the negatives alone",
    formula: "Σ_(p∈P_i) ln(1 + e^(L_i − s_ip/T))",
    options: NtXent::OPTIONS,
    torch: "",
    keras: "",
    optax: "ntxent",
    source: "T. Chen et al., A simple framework for contrastive learning of visual representations, 2020",
    variants: &[r#"{"temperature": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/nt_xent.wgsl"),
    make: make::<NtXent>,
};

const ARGUMENTS: &[Argument] = LABELLED_EMBEDDINGS;

impl LossDefinition for NtXent {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature)]
    }
}

impl Similarity for NtXent {
    fn divisor_rule(&self) -> DivisorRule {
        DivisorRule { per_positive: true, ..DivisorRule::default() }
    }

    #[inline(always)]
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R> {
        let temperature = R::new(self.temperature);
        Term {
            exponent: candidate.score / temperature,
            derivative: temperature.recip(),
            inside: [!(candidate.is_own | candidate.is_positive), false],
        }
    }

    /// Value of a pair and its derivative with respect to L.
    #[inline(always)]
    fn extra<R: Real>(&self, candidate: Candidate<R>, lse: [R; 2]) -> [R; 2] {
        let lag = lse[0] - candidate.score / R::new(self.temperature);
        [lag.softplus(), lag.sigmoid()].map(|part| R::select(candidate.is_positive, part, R::ZERO))
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], [value, derivative]: [R; 2], _: R) -> PoolOutcome<R> {
        PoolOutcome { value, lse, pools: [derivative, R::ZERO], extra: R::ZERO }
    }

    #[inline(always)]
    fn extra_derivative<R: Real>(&self, candidate: Candidate<R>, outcome: &PoolOutcome<R>) -> R {
        let temperature = R::new(self.temperature);
        let lag = outcome.lse[0] - candidate.score / temperature;
        R::select(candidate.is_positive, -(lag.sigmoid() / temperature), R::ZERO)
    }
}
