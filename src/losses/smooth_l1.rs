//! Smooth L1.

use super::prelude::*;

/// Smooth L1: Huber's loss divided by its threshold, so that the linear part has slope 1.
///
/// With q = min(|e|, β): ½q²/β + |e| − q; derivative: e/β clipped to ±1. `beta` 0 is the absolute error.
///
/// PyTorch `SmoothL1Loss`. Source: R. Girshick, Fast R-CNN, 2015.
///
/// ```
/// use gradus::{Device, losses::{Loss, SmoothL1}};
/// use ndarray::array;
///
/// let criterion = SmoothL1::new().beta(0.5).on(&Device::reference())?;
/// let step = criterion.value_and_gradient(&array![0.25, 3.0], &array![0.0, 0.0])?;
/// assert_eq!(step.value(), 1.40625); // (0.0625 + 2.75) / 2
/// assert_eq!(step.gradient.as_slice().unwrap(), [0.25, 0.5]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothL1 {
    beta: f64,
}

pub(super) static ENTRY: Entry = Entry {
    name: "smooth_l1",
    summary: "Huber's loss with slope 1 outside: box regression",
    formula: "½q²/β + |e| − q, q = min(|e|, β)",
    options: &[Choice { name: "beta", domain: ">= 0", meaning: "error at which the quadratic part ends; 0 is mae" }],
    inputs: &[],
    predictions: Domain::Real,
    targets: Domain::Real,
    torch: "SmoothL1Loss",
    keras: "",
    optax: "",
    source: "R. Girshick, Fast R-CNN, 2015",
    variants: &[r#"{"beta": 0.5}"#, r#"{"beta": 0.0}"#],
    shader: crate::wgsl::shader!("losses/smooth_l1.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<SmoothL1>("smooth_l1", ENTRY.options, options)?)),
};

impl Default for SmoothL1 {
    fn default() -> Self {
        SmoothL1 { beta: 1.0 }
    }
}

impl SmoothL1 {
    /// Smooth L1 with `beta` 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// The error at which the quadratic part ends, ≥ 0 (default 1).
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }
}

impl Loss for SmoothL1 {
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
        vec![("BETA", self.beta)]
    }

    fn check(&self) -> Result<()> {
        require(self.beta >= 0.0 && self.beta.is_finite(), &ENTRY, "beta", self.beta)
    }
}

impl Pointwise for SmoothL1 {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        if self.beta == 0.0 {
            return (error.abs(), error.sign());
        }
        let beta = R::new(self.beta);
        let inside = error.abs().min(beta);
        let value = R::new(0.5) * inside * inside / beta + (error.abs() - inside);
        (value, (error / beta).clamp(-R::ONE, R::ONE))
    }
}
