//! Supervised contrastive loss.

use crate::losses::prelude::*;

options! {
    /// Supervised contrastive loss (L_out): an embedding should be more similar to those of its own
    /// label than to all others.
    ///
    /// lse_(j≠i)(s_ij/T) − (1/|P_i|) Σ_(p∈P_i) s_ip/T, s_ij = x̂_i·x̂_j, P_i the other rows of
    /// label i. A row without a positive is excluded from value, gradient and mean. `predictions`
    /// are [rows, columns], `targets` labels `[rows]`; the values are `[rows]`.
    ///
    /// The embeddings are first L2-normalised (with a norm of at least 10⁻¹²). A masked row has no
    /// value of its own but remains a candidate for all other rows and receives their gradients; a
    /// NaN in one row makes every value NaN.
    ///
    /// pytorch-metric-learning `SupConLoss`.
    /// Source: P. Khosla et al., Supervised contrastive learning, 2020.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, SupCon}};
    /// use ndarray::array;
    ///
    /// let (embeddings, labels) = (array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], array![7_i64, 7, 3]);
    /// let inputs = Inputs::new(&embeddings, &labels);
    /// let step = SupCon::new().temperature(1.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-12); // ln(e¹ + e⁰) − 1, twice
    /// assert_eq!(step.count, 2); // the third is alone
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SupCon of "sup_con" {
        /// Divides the scores.
        temperature: f64 = 0.1, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "sup_con",
    summary: "embeddings of one label among all others",
    formula: "lse_(j≠i)(s_ij/T) − mean_(p∈P_i) s_ip/T",
    options: SupCon::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Khosla et al., Supervised contrastive learning, 2020",
    variants: &[r#"{"temperature": 1.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/sup_con.wgsl"),
    make: make::<SupCon>,
};

const ARGUMENTS: &[Argument] = LABELLED_EMBEDDINGS;

impl LossDefinition for SupCon {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature)]
    }
}

impl Similarity for SupCon {
    fn divisor_rule(&self) -> DivisorRule {
        DivisorRule { needs_positives: true, ..DivisorRule::default() }
    }

    #[inline(always)]
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R> {
        let temperature = R::new(self.temperature);
        Term {
            exponent: candidate.score / temperature,
            derivative: temperature.recip(),
            inside: [!candidate.is_own, false],
        }
    }

    #[inline(always)]
    fn extra<R: Real>(&self, candidate: Candidate<R>, _: [R; 2]) -> [R; 2] {
        [
            R::select(candidate.is_positive, candidate.score / R::new(self.temperature), R::ZERO),
            R::ZERO,
        ]
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], [near, _]: [R; 2], positives: R) -> PoolOutcome<R> {
        let share = positives.max(R::ONE).recip();
        let extra = share / R::new(self.temperature);
        PoolOutcome { value: lse[0] - near * share, lse, pools: [R::ONE, R::ZERO], extra }
    }

    #[inline(always)]
    fn extra_derivative<R: Real>(&self, candidate: Candidate<R>, outcome: &PoolOutcome<R>) -> R {
        R::select(candidate.is_positive, -outcome.extra, R::ZERO)
    }
}
