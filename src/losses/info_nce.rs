//! InfoNCE: contrastive loss of paired embeddings with in-batch negatives.

use crate::losses::prelude::*;

options! {
    /// InfoNCE with in-batch negatives: each embedding of `first` should be most similar to the
    /// embedding of `second` in the same row.
    ///
    /// lse_j(s_ij/T) − s_ii/T, s_ij = x̂_i·ŷ_j; derivative (softmax_j − [i = j])/T by s_ij.
    /// `symmetric` averages this with the same over columns, the loss of CLIP. `first` and `second`
    /// are [rows, columns]; the values are `[rows]`.
    ///
    /// With `normalize` each embedding is divided by its length (at least 10⁻¹², as PyTorch's
    /// `normalize`: for shorter ones the divisor is a constant in the derivative). A masked row has
    /// no value of its own but remains a candidate for all other rows; a NaN in one row makes every
    /// value NaN. At most 16 MiB of the rows × rows scores are held at a time.
    ///
    /// optax `ntxent` is the related loss over one matrix with labels; OpenCLIP `ClipLoss` is
    /// `symmetric`.
    /// Source: A. van den Oord, Y. Li and O. Vinyals, Representation learning with contrastive
    /// predictive coding, 2018; symmetric: A. Radford et al., Learning transferable visual models
    /// from natural language supervision, 2021.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{InfoNce, Loss}};
    /// use ndarray::array;
    ///
    /// let (first, second) = (array![[2.0, 0.0], [0.0, 1.0]], array![[1.0, 0.0], [0.0, 3.0]]);
    /// let inputs = Inputs::named("first", &first).input("second", &second);
    /// let step = InfoNce::new().temperature(1.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-12); // cosines 1 and 0: ln(1 + e⁻¹)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct InfoNce of "info_nce" {
        /// Divides the scores.
        temperature: f64 = 0.07, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
        /// True to average with the loss over columns.
        symmetric: bool = false, "true or false" if |_| true;
        /// True to L2-normalise the embeddings.
        normalize: bool = true, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "info_nce",
    summary: "two views of one thing among all others of the batch",
    formula: "lse_j(s_ij/T) − s_ii/T",
    options: InfoNce::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "A. van den Oord, Y. Li and O. Vinyals, Representation learning with contrastive predictive coding, 2018",
    variants: &[
        r#"{"temperature": 0.5, "symmetric": true}"#,
        r#"{"temperature": 2.0, "normalize": false}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/info_nce.wgsl"),
    make: make::<InfoNce>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "first",
        shape: "[rows, columns]: an embedding in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "second",
        shape: "of the same shape: the partner in the same row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    REFERENCES,
];

impl LossDefinition for InfoNce {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature)]
    }
}

impl Similarity for InfoNce {
    fn normalizes(&self) -> bool {
        self.normalize
    }

    fn is_symmetric(&self) -> bool {
        self.symmetric
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
        [R::select(candidate.is_own, candidate.score / R::new(self.temperature), R::ZERO), R::ZERO]
    }

    #[inline(always)]
    fn finish<R: Real>(&self, lse: [R; 2], [own, _]: [R; 2], _: R) -> PoolOutcome<R> {
        // Relative to the sum of all others: if it included its own score, value and derivative
        // would cancel where that score is far above them.
        let lag = lse[0] - own;
        let share = lag.sigmoid();
        PoolOutcome {
            value: lag.softplus(),
            lse,
            pools: [share, R::ZERO],
            extra: -(share / R::new(self.temperature)),
        }
    }

    #[inline(always)]
    fn extra_derivative<R: Real>(&self, candidate: Candidate<R>, outcome: &PoolOutcome<R>) -> R {
        R::select(candidate.is_own, outcome.extra, R::ZERO)
    }
}
