//! Mean absolute error.

use super::prelude::*;

/// Absolute error, |e| with e = prediction − target; its derivative is sign e, 0 at 0.
///
/// Predictions and targets have one shape. Every error pulls alike, so outliers do no harm; the minimum is the median.
///
/// PyTorch `L1Loss`, Keras `MeanAbsoluteError`.
/// Source: R. J. Boscovich, De litteraria expeditione per pontificiam ditionem, 1757.
///
/// ```
/// use gradus::{Device, losses::{Loss, Mae}};
/// use ndarray::array;
///
/// let criterion = Mae::new().on(&Device::reference())?;
/// let step = criterion.value_and_gradient(&array![1.0, 2.0], &array![0.0, 4.0])?;
/// assert_eq!(step.value(), 1.5);
/// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, -0.5]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mae {}

pub(super) static ENTRY: Entry = Entry {
    name: "mae",
    summary: "absolute error: regression that outliers cannot rule",
    formula: "|e|, e = x − y",
    options: &[],
    inputs: &[],
    predictions: Domain::Real,
    targets: Domain::Real,
    torch: "L1Loss",
    keras: "MeanAbsoluteError",
    optax: "",
    source: "R. J. Boscovich, De litteraria expeditione per pontificiam ditionem, 1757",
    variants: &[],
    shader: crate::wgsl::shader!("losses/mae.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Mae>("mae", ENTRY.options, options)?)),
};

impl Mae {
    /// Absolute error; it has no options.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loss for Mae {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn family(&self) -> Family<'_> {
        Family::Pointwise(self)
    }
}

impl Pointwise for Mae {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        (error.abs(), error.sign())
    }
}
