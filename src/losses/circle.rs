//! Circle loss: similarities of positives and negatives, each with its own weight.

use crate::losses::prelude::*;

options! {
    /// Circle loss: similarities within a label should exceed those between labels, each weighted
    /// by its distance from its optimum.
    ///
    /// ln(1 + Σ_(n∈N_i) e^(γ αₙ (sₙ − m)) Σ_(p∈P_i) e^(−γ αₚ (sₚ − 1 + m))), αₙ = [sₙ + m]₊, αₚ =
    /// [1 + m − sₚ]₊, s_ij = x̂_i·x̂_j. α is a constant in the derivative, as in the paper and in
    /// pytorch-metric-learning, unless `detach` is false, as in Keras. A row without a positive or
    /// without a negative is excluded from value, gradient and mean. `predictions` are [rows,
    /// columns], `targets` labels `[rows]`; the values are `[rows]`.
    ///
    /// The embeddings are first L2-normalised (with a norm of at least 10⁻¹²). A masked row has no
    /// value of its own but remains a candidate for all other rows and receives their gradients; a
    /// NaN in one row makes every value NaN.
    ///
    /// pytorch-metric-learning `CircleLoss` (its mean also skips values of 0), Keras `Circle`; both
    /// have these defaults.
    /// Source: Y. Sun et al., Circle loss: a unified perspective of pair similarity
    /// optimization, 2020.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Circle}};
    /// use ndarray::array;
    ///
    /// let (embeddings, labels) = (array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], array![7_i64, 7, 3]);
    /// let inputs = Inputs::new(&embeddings, &labels);
    /// let step = Circle::new().margin(0.5).gamma(1.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + (-0.5_f64).exp()).ln()).abs() < 1e-12); // −½(1 − ½) and ½(0 − ½)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Circle of "circle" {
        /// Margin m of the similarities from their optima.
        margin: f64 = 0.4, "from 0 to 1" if |margin| (0.0..=1.0).contains(&margin);
        /// Scale γ of the similarities.
        gamma: f64 = 80.0, "> 0" if |gamma| gamma > 0.0 && gamma.is_finite();
        /// True if α is a constant in the derivative.
        detach: bool = true, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "circle",
    summary: "positives above negatives, each at a pace of its own",
    formula: "ln(1 + Σ_N e^(γαₙ(sₙ−m)) Σ_P e^(−γαₚ(sₚ−1+m)))",
    options: Circle::OPTIONS,
    torch: "",
    keras: "Circle",
    optax: "",
    source: "Y. Sun et al., Circle loss: a unified perspective of pair similarity optimization, 2020",
    variants: &[r#"{"margin": 0.25, "gamma": 4.0, "detach": false}"#],
    shader: crate::runtime::wgsl::shader!("losses/circle.wgsl"),
    make: make::<Circle>,
};

const ARGUMENTS: &[Argument] = LABELLED_EMBEDDINGS;

impl LossDefinition for Circle {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("MARGIN", self.margin),
            ("GAMMA", self.gamma),
            ("DETACH", f64::from(u8::from(self.detach))),
        ]
    }
}

impl Similarity for Circle {
    fn derives_its_value(&self) -> bool {
        !self.detach
    }

    fn divisor_rule(&self) -> DivisorRule {
        DivisorRule { needs_positives: true, needs_negatives: true, per_positive: false }
    }

    #[inline(always)]
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R> {
        let Candidate { score, is_own, is_positive } = candidate;
        let (margin, gamma) = (R::new(self.margin), R::new(self.gamma));
        let attraction = gamma * (R::ONE + margin - score).max(R::ZERO);
        let repulsion = gamma * (score + margin).max(R::ZERO);
        let weight = R::select(is_positive, -attraction, repulsion);
        let gap = score - R::select(is_positive, R::ONE - margin, margin);
        let exponent = weight * gap;
        // d(exponent)/ds is γ for both where α is not 0.
        let through = R::select(weight != R::ZERO, gamma * gap, R::ZERO);
        let derivative = if self.detach { weight } else { weight + through };
        Term { exponent, derivative, inside: [is_positive, !(is_own | is_positive)] }
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], _: [R; 2], _: R) -> PoolOutcome<R> {
        let both = lse[0] + lse[1];
        PoolOutcome { value: both.softplus(), lse, pools: [both.sigmoid(); 2], extra: R::ZERO }
    }
}
