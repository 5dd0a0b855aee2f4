//! Multi-class N-pair loss.

use crate::losses::prelude::*;

options! {
    /// N-pairs: the embedding of an anchor should be nearer to its own positive than to the
    /// positives of all other classes of the batch. One pair of each class.
    ///
    /// ln(1 + Σ_(j≠i) e^(s_ij − s_ii)), s_ij = x_i·y_j; derivative softmax_j − [i = j] by s_ij.
    /// `anchor` and `positive` are [rows, columns], a pair of one class in each row, each class
    /// once; the values are `[rows]`. The embeddings are not normalised: the paper keeps their
    /// lengths small by a penalty λ‖x‖², which is to be added to the gradients, as in
    /// [`crate::losses::InfoNce`] with `temperature` 1 and `normalize` false, which is this loss.
    ///
    /// A masked row has no value of its own but remains a candidate for all other rows; a NaN in one
    /// row makes every value NaN. At most 16 MiB of the rows × rows scores are held at a time.
    ///
    /// pytorch-metric-learning `NPairsLoss(distance=DotProductSimilarity(normalize_embeddings=False))`,
    /// which finds a pair of each label itself.
    /// Source: K. Sohn, Improved deep metric learning with multi-class N-pair loss objective, 2016.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, NPairs}};
    /// use ndarray::array;
    ///
    /// let (anchor, positive) = (array![[1.0, 0.0], [0.0, 1.0]], array![[1.0, 0.0], [0.0, 1.0]]);
    /// let inputs = Inputs::named("anchor", &anchor).input("positive", &positive);
    /// let step = NPairs::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (-1.0_f64).exp().ln_1p()).abs() < 1e-12); // scores 1 and 0: ln(1 + e⁻¹)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct NPairs of "n_pairs" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "n_pairs",
    summary: "one pair of each class: an anchor among the positives of all classes",
    formula: "ln(1 + Σ_(j≠i) e^(x_i·y_j − x_i·y_i))",
    options: NPairs::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "K. Sohn, Improved deep metric learning with multi-class N-pair loss objective, 2016",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/n_pairs.wgsl"),
    make: make::<NPairs>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "anchor",
        shape: "[rows, columns]: an embedding in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "positive",
        shape: "of the same shape: another embedding of the class in the same row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    REFERENCES,
];

impl LossDefinition for NPairs {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }
}

impl Similarity for NPairs {
    fn normalizes(&self) -> bool {
        false
    }

    #[inline(always)]
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R> {
        let inside = [!candidate.is_own, false];
        Term { exponent: candidate.score, derivative: R::ONE, inside }
    }

    #[inline(always)]
    fn extra<R: Real>(&self, candidate: Candidate<R>, _: [R; 2]) -> [R; 2] {
        [R::select(candidate.is_own, candidate.score, R::ZERO), R::ZERO]
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], [own, _]: [R; 2], _: R) -> PoolOutcome<R> {
        let lag = lse[0] - own;
        let share = lag.sigmoid();
        PoolOutcome { value: lag.softplus(), lse, pools: [share, R::ZERO], extra: -share }
    }

    #[inline(always)]
    fn extra_derivative<R: Real>(&self, candidate: Candidate<R>, outcome: &PoolOutcome<R>) -> R {
        R::select(candidate.is_own, outcome.extra, R::ZERO)
    }
}
