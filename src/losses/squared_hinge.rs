//! Squared hinge loss.

use super::Labels;
use super::prelude::*;

/// Squared hinge loss, [1 − yx]₊² for labels y = −1 or +1.
///
/// Derivative: −2y[1 − yx]₊. Predictions and targets have one shape. Targets of 0 and 1 are
/// taken with `labels(Labels::ZeroOne)`, said outright: never guessed from the data, as Keras does.
///
/// Keras `SquaredHinge`. Source: C.-C. Chang and C.-J. Lin, Training ν-support vector classifiers, 2001.
///
/// ```
/// use gradus::{Device, losses::{SquaredHinge, Loss}};
/// use ndarray::array;
///
/// let criterion = SquaredHinge::new().on(&Device::reference())?;
/// let step = criterion.value_and_gradient(&array![0.5, -2.0], &array![1.0, -1.0])?;
/// assert_eq!(step.value(), 0.125); // (0.25 + 0) / 2
/// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SquaredHinge {
    labels: Labels,
}

pub(super) static ENTRY: Entry = Entry {
    name: "squared_hinge",
    summary: "squared hinge: maximum margin with a smooth edge",
    formula: "[1 − yx]₊²",
    options: &[Choice { name: "labels", domain: Labels::DOMAIN, meaning: "how the two classes are written" }],
    inputs: &[],
    predictions: Domain::Real,
    targets: Domain::Sign,
    torch: "",
    keras: "SquaredHinge",
    optax: "",
    source: "C.-C. Chang and C.-J. Lin, Training ν-support vector classifiers, 2001",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::wgsl::shader!("losses/squared_hinge.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<SquaredHinge>("squared_hinge", ENTRY.options, options)?)),
};

impl SquaredHinge {
    /// Squared hinge loss for labels −1 and +1.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the two classes are written (default −1 and +1).
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }
}

impl Loss for SquaredHinge {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn family(&self) -> Family<'_> {
        Family::Pointwise(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }

    fn targets(&self) -> Domain {
        self.labels.domain()
    }
}

impl Pointwise for SquaredHinge {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let margin = (R::ONE - y * prediction).max(R::ZERO);
        (margin * margin, R::new(-2.0) * y * margin)
    }
}
