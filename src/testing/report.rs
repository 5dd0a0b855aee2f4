//! Reports of the checks, and the comparison of numbers within tolerances.

use ndarray::{ArrayD, Dimension};

/// The distance from 1 to the next f32: one unit in the last place of numbers of size 1.
pub(crate) const ULP: f64 = 1.1920928955078125e-7;

/// Allowed perturbation of the inputs, in ulp of each.
pub(crate) const INPUT_ULPS: f64 = 5.0;

/// Additional error of the result, in ulp of its size.
pub(crate) const RESULT_ULPS: f64 = 8.0;

/// Below this a device may flush to zero: the smallest normal f32, times the largest weights.
pub(crate) const FLUSHED: f64 = 128.0 * 1.1754943508222875e-38;

/// Result of checking one entry with one set of options.
#[derive(Clone, Debug)]
pub struct Report {
    /// The entry's name, with its non-default options.
    pub name: String,
    /// Number of input sets run.
    pub cases: usize,
    /// The largest error of a value, relative to it or to a thousandth of its tensor's largest.
    pub value_error: f64,
    /// The same for the gradients.
    pub gradient_error: f64,
    /// True if every error is within its tolerance.
    pub passed: bool,
    /// Position of the error with the largest ratio to its tolerance.
    pub place: String,
    pub(super) excess: f64,
}

/// Error of one tensor against its expected value.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The largest error, relative to the element or to a thousandth of the tensor's largest.
    pub error: f64,
    /// The largest ratio of an error to its tolerance: at most 1 if passed.
    pub excess: f64,
    /// Its position, with the values found and expected.
    pub place: String,
}

impl Comparison {
    /// True if every error is within its tolerance.
    pub fn passed(&self) -> bool {
        self.excess <= 1.0
    }
}

/// Compares a tensor with its expected value element by element, each with its own tolerance.
///
/// A different shape, a NaN or an infinity that is not in both, and a NaN tolerance always fail.
///
/// ```
/// use gradus::testing::compare;
/// use ndarray::array;
///
/// let (expected, tolerance) = (array![1.0, 2.0], array![1e-6, 1e-6]);
/// assert!(compare(&expected, &tolerance, &array![1.0, 2.0]).passed());
/// assert!(!compare(&expected, &tolerance, &array![1.0, 2.02]).passed());
/// assert!(!compare(&expected, &tolerance, &array![1.0, f64::NAN]).passed());
/// ```
pub fn compare<D: Dimension, E: Dimension>(
    expected: &ndarray::Array<f64, D>,
    tolerance: &ndarray::Array<f64, D>,
    found: &ndarray::Array<f64, E>,
) -> Comparison {
    if expected.shape() != found.shape() || expected.shape() != tolerance.shape() {
        let place = format!("shape {:?} instead of {:?}", found.shape(), expected.shape());
        return Comparison { error: f64::INFINITY, excess: f64::INFINITY, place };
    }
    let largest =
        expected.iter().filter(|x| x.is_finite()).fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let mut worst = Comparison { error: 0.0, excess: 0.0, place: String::new() };
    for (index, ((&e, &t), &f)) in expected.iter().zip(tolerance).zip(found).enumerate() {
        if e == f || (e.is_nan() && f.is_nan()) {
            continue;
        }
        let off = if e.is_finite() && f.is_finite() { (f - e).abs() } else { f64::INFINITY };
        let size = e.abs().max(1e-3 * largest).max(f64::from(f32::MIN_POSITIVE));
        worst.error = if off / size <= worst.error { worst.error } else { off / size };
        let ratio = off / t;
        let within = ratio <= worst.excess;
        if !within {
            worst.excess = if ratio.is_nan() { f64::INFINITY } else { ratio };
            worst.place = format!(
                "element {index} of {:?} is {f:e} instead of {e:e} ± {t:.1e}",
                expected.shape()
            );
        }
    }
    worst
}

impl Report {
    pub(super) fn new(name: String) -> Self {
        Report {
            name,
            cases: 0,
            value_error: 0.0,
            gradient_error: 0.0,
            passed: true,
            place: "every number is exact".into(),
            excess: 0.0,
        }
    }

    /// Adds the comparison of one tensor of a case.
    pub(super) fn add(&mut self, case: &str, tensor: &str, found: Comparison, is_value: bool) {
        let worst = if is_value { &mut self.value_error } else { &mut self.gradient_error };
        *worst = worst.max(found.error);
        self.passed &= found.passed();
        if found.excess > self.excess {
            self.excess = found.excess;
            self.place = format!(
                "{tensor} of {case}: {} ({:.2} of the tolerance)",
                found.place, found.excess
            );
        }
    }

    pub(super) fn add_value(&mut self, case: &str, tensor: &str, found: Comparison) {
        self.add(case, tensor, found, true);
    }

    pub(super) fn add_gradient(&mut self, case: &str, tensor: &str, found: Comparison) {
        self.add(case, tensor, found, false);
    }

    /// Records a failure.
    pub(super) fn refuse(&mut self, place: String) {
        self.passed = false;
        self.excess = f64::INFINITY;
        self.place = place;
    }
}

/// Expected numbers, each with its tolerance.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    pub(super) expected: ArrayD<f64>,
    pub(super) tolerance: ArrayD<f64>,
}

impl Bounded {
    /// A range of the elements, of a tensor with one axis.
    pub(super) fn part(&self, range: std::ops::Range<usize>) -> Self {
        let cut =
            |all: &ArrayD<f64>| all.slice_axis(ndarray::Axis(0), range.clone().into()).to_owned();
        Bounded { expected: cut(&self.expected), tolerance: cut(&self.tolerance) }
    }

    pub(super) fn compare(&self, found: &ArrayD<f64>) -> Comparison {
        compare(&self.expected, &self.tolerance, found)
    }
}

/// A report's title: the name and the options of a variant, as JSON.
pub(super) fn title(name: &str, options: &str) -> String {
    if options == "{}" { name.into() } else { format!("{name} {options}") }
}

/// The defaults and each variant of an entry, as JSON.
pub(crate) fn sets_of_options(
    variants: &'static [&'static str],
) -> impl Iterator<Item = &'static str> {
    std::iter::once("{}").chain(variants.iter().copied())
}

/// A variant as a JSON value.
///
/// # Errors
/// [`crate::Error::Option`] if the catalogue contains invalid JSON.
pub(crate) fn options_value(owner: &str, options: &str) -> crate::Result<serde_json::Value> {
    serde_json::from_str(options)
        .map_err(|error| crate::Error::option(owner, "a variant", error, "a JSON object"))
}
