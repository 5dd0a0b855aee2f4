//! Shared by the test programs: the available devices, and the comparison.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod counting;
mod ignored;

use std::fmt;

use gradus::Device;
use serde_json::Value;

/// The CPU's two devices, and the GPU if the machine has an adapter; prints a line if it has none.
pub fn each_device() -> Vec<Device> {
    let mut devices = vec![Device::reference(), Device::cpu()];
    devices.extend(open("its part on a GPU needs one"));
    devices
}

/// The GPU; or `None`, with a line that the running test is ignored. With `GRADUS_REQUIRE_GPU` it
/// fails instead.
pub fn gpu() -> Option<Device> {
    open("needs a GPU")
}

fn open(why: &str) -> Option<Device> {
    match adapter() {
        Ok(device) => Some(device),
        Err(error) => {
            ignored::ignored(&ignored::running(), &format!("{why}: {error}"));
            None
        }
    }
}

/// The GPU, or the reason why there is none. Only a missing adapter excuses a test: one that does
/// not open is a failure.
pub fn adapter() -> Result<Device, String> {
    match Device::gpu() {
        Ok(device) => Ok(device),
        Err(error) if gradus::adapters().is_empty() => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// Prints that the running test, or a part of it, is ignored for another reason than a GPU.
pub fn ignore(why: &str) {
    ignored::note(&ignored::running(), why);
}

/// True if a test that needs a GPU fails without one.
pub fn requires_gpu() -> bool {
    ignored::requires_gpu()
}

/// The worst relative error of one or many comparisons.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// |found − expected| over the tensor's largest |expected|; ∞ if a shape or a NaN differs.
    pub relative: f64,
    /// Location of the worst error.
    pub place: String,
}

impl Comparison {
    pub fn merge(&mut self, other: Comparison) {
        if other.relative > self.relative {
            *self = other;
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.1e} ({})", self.relative, self.place)
    }
}

/// Compares two tensors in the format of the golden files, element by element, relative to the
/// larger of the element and a thousandth of the tensor's largest: an element that is a difference
/// of large factors carries their error.
pub fn compare(name: &str, expected: &Value, found: &Value) -> Comparison {
    let differs = |place: String| Comparison { relative: f64::INFINITY, place };
    if expected["shape"] != found["shape"] {
        return differs(format!(
            "{name}: shape {} instead of {}",
            found["shape"], expected["shape"]
        ));
    }
    compare_slices(name, &numbers(expected), &numbers(found))
}

/// As [`compare`], for plain slices.
pub fn compare_slices(name: &str, expected: &[f64], found: &[f64]) -> Comparison {
    let mut worst = Comparison { relative: 0.0, place: name.into() };
    if expected.len() != found.len() {
        return Comparison {
            relative: f64::INFINITY,
            place: format!("{name}: {} elements", found.len()),
        };
    }
    let largest =
        expected.iter().filter(|x| x.is_finite()).fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (index, (&e, &f)) in expected.iter().zip(found).enumerate() {
        let same = e == f || (e.is_nan() && f.is_nan());
        let scale = e.abs().max(1e-3 * largest).max(f64::from(f32::MIN_POSITIVE));
        let relative = if same { 0.0 } else { (f - e).abs() / scale };
        // Written so that NaN is the worst.
        let within = relative <= worst.relative;
        if !within {
            let relative = if relative.is_nan() { f64::INFINITY } else { relative };
            worst =
                Comparison { relative, place: format!("{name}[{index}]: {f:e} instead of {e:e}") };
        }
    }
    worst
}

fn numbers(tensor: &Value) -> Vec<f64> {
    let number = |value: &Value| match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(_) => f64::NAN,
        None => value.as_f64().unwrap_or(f64::NAN),
    };
    tensor["data"].as_array().map(|data| data.iter().map(number).collect()).unwrap_or_default()
}
