//! PolyLoss with several coefficients.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::catalogue::OptionDoc;
use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::softmax_target::{OfSoftmax, SoftmaxStatistics, ValueWithPartials};
use crate::templates::rowwise::target::Target;

/// PolyLoss of logits: cross-entropy with an ε added to each of the first coefficients of its
/// series in 1 − p.
///
/// −ln p = Σ_j (1 − p)^j/j, so W (Σ t_c (lse − x_c) + Σ_j ε_j (1 − P)^j), P = Σ t_c p_c, p the
/// softmax, t the target (one-hot for a label), has the coefficients 1/j + ε_j up to the last ε and
/// those of cross-entropy beyond. W is the input `class_weight` at the label, or its mean under
/// dense targets. Derivative W (p_c Σt − t_c − Σ_j j ε_j (1 − P)^(j−1) p_c (t_c − P)). Predictions
/// are logits [rows, classes], targets labels `[rows]` or dense [rows, classes]. `mean` divides by
/// the number of rows. A logit of −∞ is a masked class unless it is a target: then the loss is ∞.
/// ε_j = −1/j removes a term: the remainder is a difference, accurate to the rounding of the terms.
/// For a single coefficient see [`crate::losses::Poly1CrossEntropy`].
///
/// Source: Z. Leng et al., PolyLoss: a polynomial expansion perspective of classification loss
/// functions, 2022.
///
/// ```
/// use gradus::{Device, losses::{Loss, PolyCrossEntropy}};
/// use ndarray::array;
///
/// let criterion = PolyCrossEntropy::new().epsilons([1.0, -0.5]).on(&Device::reference())?;
/// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![1_i64])?;
/// assert!((step.value() - (2.0_f64.ln() + 0.5 - 0.125)).abs() < 1e-15); // ln 2 + ½ − ½ · ¼
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolyCrossEntropy {
    epsilons: Vec<f64>,
}

/// The shader's `override`s, one per coefficient.
const NAMES: [&str; 8] = [
    "EPSILON_1",
    "EPSILON_2",
    "EPSILON_3",
    "EPSILON_4",
    "EPSILON_5",
    "EPSILON_6",
    "EPSILON_7",
    "EPSILON_8",
];

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "poly_cross_entropy",
    summary: "cross-entropy with the first coefficients of its series to tune",
    formula: "Σ t_c (lse − x_c) + Σ_j ε_j (1 − Σ t_c p_c)^j",
    options: &[OptionDoc {
        name: "epsilons",
        domain: "a list of 1 to 8 finite numbers",
        meaning: "what the coefficients of 1 − p, (1 − p)² … are raised by",
    }],
    torch: "",
    keras: "",
    optax: "",
    source: "Z. Leng et al., PolyLoss, 2022",
    variants: &[
        r#"{"epsilons": [1.0, -0.5, 0.25]}"#,
        r#"{"epsilons": [-0.5, 0.75, 1.0, 2.0, 0.5, 0.0, 0.0, 3.0]}"#,
    ],
    shader: shader!("losses/poly_cross_entropy.wgsl"),
    make: make::<PolyCrossEntropy>,
};

impl Default for PolyCrossEntropy {
    fn default() -> Self {
        PolyCrossEntropy { epsilons: vec![2.0] }
    }
}

impl PolyCrossEntropy {
    /// PolyLoss with one ε of 2.
    pub fn new() -> Self {
        Self::default()
    }

    /// Added to the coefficients of 1 − p, (1 − p)² …: 1 to 8 finite numbers.
    #[must_use]
    pub fn epsilons(mut self, epsilons: impl IntoIterator<Item = f64>) -> Self {
        self.epsilons = epsilons.into_iter().collect();
        self
    }
}

impl Options for PolyCrossEntropy {
    fn check_domains(&self) -> Result<()> {
        let fits = (1..=NAMES.len()).contains(&self.epsilons.len());
        if fits && self.epsilons.iter().all(|epsilon| epsilon.is_finite()) {
            return Ok(());
        }
        let found = format!("{:?}", self.epsilons);
        Err(Error::option(ENTRY.name, "epsilons", found, ENTRY.options[0].domain))
    }
}

impl LossDefinition for PolyCrossEntropy {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Logits,
            targets: Domain::Class,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            helpers: const { &[shader!("templates/rowwise/softmax_target.wgsl")] },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let epsilons = self.epsilons.iter().copied().chain(std::iter::repeat(0.0));
        NAMES.into_iter().zip(epsilons).collect()
    }
}

impl OfSoftmax for PolyCrossEntropy {
    type Target<'a, R: Real> = Target<'a, R>;

    #[inline(always)]
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R> {
        // Horner's rule on the polynomial without its first power, and on its derivative.
        let (mut polynomial, mut derivative) = (R::ZERO, R::ZERO);
        for &epsilon in self.epsilons.iter().rev() {
            derivative = derivative * statistics.rest + polynomial;
            polynomial = polynomial * statistics.rest + R::new(epsilon);
        }
        ValueWithPartials {
            loss: statistics.cross + polynomial * statistics.rest,
            cross_derivative: R::ONE,
            rest_derivative: derivative * statistics.rest + polynomial,
        }
    }
}
