//! The judges: what each loss, activation, optimizer and matrix product gives on a device, against the f64 reference.
//!
//! `gradus check` prints these reports, the tests ask that each has passed. Everything is driven by the lists: a new
//! entry is drawn for, run and judged without a line here.
//!
//! **When a result counts as right.** Every f32 computation rounds, so the question is how far it may stray. The
//! answer is the textbook's (N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 1.5): a result
//! is right if it is, but for a few roundings of its own, the exact result of inputs that are themselves a few
//! roundings off. So the tolerance of each element is
//!
//! * how far the f64 reference moves when the inputs are `INPUT_ULPS` off, up and down: WGSL lets `exp` be 3 + 2|x|
//!   ulp off, and 2|x| of these are an argument 2 ulp off; a division in the argument may add 2.5 more;
//! * plus `RESULT_ULPS` of the result's own size: the other 3 of `exp`, 2.5 for a division, ½ for each product;
//! * plus half an ulp for each addition in the longest chain of a sum, of the sum of magnitudes.
//!
//! Comparisons are written so that NaN fails, and NaN and infinities must stand where the reference has them.

pub mod bench;
pub mod cases;

use ndarray::{ArrayD, Dimension};

mod activation;
mod case_generator;
mod differences;
mod draw;
mod exact;
mod loss;
mod matmul;
mod multi_input;
mod optimizer;
mod programs;

pub use activation::check_activation;
pub use differences::central_differences;
pub use loss::{Checked, check, check_loss};
pub use matmul::check_matmul;
pub use optimizer::check_optimizer;
#[doc(hidden)]
pub use programs::{Joined, Listing, all_programs, listings_of};

/// The distance from 1 to the next f32: one unit in the last place of numbers of size 1.
pub(crate) const ULP: f64 = 1.1920928955078125e-7;

/// How far off the inputs may seem to be, in ulp of each.
pub(crate) const INPUT_ULPS: f64 = 5.0;

/// How far off the result may be besides, in ulp of its size.
pub(crate) const RESULT_ULPS: f64 = 8.0;

/// Below this a device may flush to zero: the smallest normal f32, times whatever weights multiply it by.
pub(crate) const FLUSHED: f64 = 128.0 * 1.1754943508222875e-38;

/// What came out of the check of one entry with one set of options.
#[derive(Clone, Debug)]
pub struct Report {
    /// The entry's name, with the options that differ from the defaults.
    pub name: String,
    /// How many sets of inputs were run.
    pub cases: usize,
    /// The largest error of a value, relative to it or to a thousandth of its tensor's largest.
    pub value_error: f64,
    /// The same of the gradients.
    pub gradient_error: f64,
    /// Whether every error stayed within its tolerance.
    pub passed: bool,
    /// Where the error came closest to its tolerance, or exceeded it most.
    pub place: String,
    excess: f64,
}

/// How far one tensor is from what it should be.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The largest error, relative to the element or to a thousandth of the tensor's largest.
    pub error: f64,
    /// The largest ratio of an error to its tolerance: at most 1 where all is well.
    pub excess: f64,
    /// Where that is, with what was found and what expected.
    pub place: String,
}

impl Comparison {
    /// Whether every error is within its tolerance.
    pub fn passed(&self) -> bool {
        self.excess <= 1.0
    }
}

/// Compares a tensor with what it should be, element by element, each with its own tolerance.
///
/// Another shape, a NaN or an infinity that does not stand in both, and a tolerance that is no number never pass.
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
    fn new(name: String) -> Self {
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

    /// Takes in the comparison of one tensor of a case.
    fn add(&mut self, case: &str, tensor: &str, found: Comparison, is_value: bool) {
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

    fn add_value(&mut self, case: &str, tensor: &str, found: Comparison) {
        self.add(case, tensor, found, true);
    }

    fn add_gradient(&mut self, case: &str, tensor: &str, found: Comparison) {
        self.add(case, tensor, found, false);
    }

    /// A fact that does not hold.
    fn refuse(&mut self, place: String) {
        self.passed = false;
        self.excess = f64::INFINITY;
        self.place = place;
    }
}

/// Expected numbers with the tolerance of each.
#[derive(Clone, Debug)]
struct Bounded {
    expected: ArrayD<f64>,
    tolerance: ArrayD<f64>,
}

impl Bounded {
    /// Some of the elements, of a tensor with one axis.
    fn part(&self, range: std::ops::Range<usize>) -> Self {
        let cut =
            |all: &ArrayD<f64>| all.slice_axis(ndarray::Axis(0), range.clone().into()).to_owned();
        Bounded { expected: cut(&self.expected), tolerance: cut(&self.tolerance) }
    }

    fn compare(&self, found: &ArrayD<f64>) -> Comparison {
        compare(&self.expected, &self.tolerance, found)
    }
}

/// The options that a report names: those of a variant, as JSON.
fn title(name: &str, options: &str) -> String {
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
/// [`crate::Error::Option`] if the list holds something that is not JSON.
pub(crate) fn options_value(owner: &str, options: &str) -> crate::Result<serde_json::Value> {
    serde_json::from_str(options)
        .map_err(|error| crate::Error::option(owner, "a variant", error, "a JSON object"))
}
