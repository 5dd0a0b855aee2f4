//! A CPU call of a multi-input loss: types and functions shared by the templates.

use std::borrow::Cow;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::{Error, Result};

/// Numbers of one input, row-major.
#[derive(Clone, Debug)]
pub struct Array<'a, R: Clone> {
    /// Name of the input.
    pub name: &'static str,
    /// Shape of the input.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Cow<'a, [R]>,
}

/// The inputs of a multi-input loss, flat and validated.
#[derive(Clone, Debug)]
pub struct MultiInput<'a, R: Clone> {
    /// The numeric inputs, in the order of the loss's arguments. Omitted inputs are missing here.
    pub arrays: Vec<Array<'a, R>>,
    /// The integer inputs.
    pub integers: Vec<Array<'a, i32>>,
    /// Number of values before the reduction.
    pub units: usize,
    /// One weight per value; empty for none.
    pub weight: Cow<'a, [R]>,
    /// True for unmasked values; empty if all are unmasked.
    pub mask: Cow<'a, [bool]>,
    /// The reduction's factor on values and gradients.
    pub factor: R,
    /// The upstream gradient dL/d(value), shared by all values.
    pub upstream: R,
    /// The upstream gradient dL/d(value) of each value, with reduction `none`; empty otherwise.
    pub upstreams: Cow<'a, [R]>,
}

impl<R: Clone> Array<'_, R> {
    /// The same array, borrowing the numbers.
    pub fn lent(&self) -> Array<'_, R> {
        Array { name: self.name, shape: self.shape.clone(), values: Cow::Borrowed(&self.values) }
    }
}

/// The shapes of the inputs of one call, numeric and integer.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// Name of the loss.
    pub loss: &'static str,
    /// Name and shape of each input that was passed.
    pub given: Vec<(&'static str, Vec<usize>)>,
}

/// Shape of the values of a call before the reduction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    /// Shape of the values.
    pub shape: Vec<usize>,
    /// Number of rows, the divisor of `batch_mean`.
    pub rows: usize,
}

/// Contributions of the values to a mean.
#[derive(Clone, Debug, Default)]
pub struct DivisorTerms {
    /// True for values that are included, as determined from the inputs (an ignored label excludes
    /// its value); empty if all are included.
    pub kept: Vec<bool>,
    /// Contribution of each value to the divisor of `mean`; empty for 1 each.
    pub mean: Vec<f64>,
    /// Factor of each value before the division, for `mean` only; empty for 1 each.
    pub scale: Vec<f64>,
}

/// One input of a generated call, for tests and benchmarks.
#[derive(Clone, Debug)]
pub struct Example {
    /// Name of the input.
    pub name: &'static str,
    /// Shape of the input.
    pub shape: Vec<usize>,
    /// Lower bound of integers, inclusive.
    pub from: usize,
    /// Upper bound of integers, exclusive.
    pub below: usize,
}

impl Example {
    /// A numeric input.
    pub fn of(name: &'static str, shape: &[usize]) -> Self {
        Self::whole(name, shape, 0, 1)
    }

    /// An integer input with values from `from` (inclusive) to `below` (exclusive).
    pub fn whole(name: &'static str, shape: &[usize], from: usize, below: usize) -> Self {
        Example { name, shape: shape.to_vec(), from, below }
    }
}

/// The CPU implementation of a template of multi-input losses. Object-safe.
pub trait MultiInputCpu {
    /// Checks the shapes and returns the shape of the values.
    ///
    /// # Errors
    /// [`Error::Shape`] with both shapes.
    fn units(&self, shapes: &Shapes) -> Result<Units>;

    /// The inputs of a generated call with the given number of rows and columns, for tests and
    /// benchmarks. The first input has shape [rows, columns].
    fn example(&self, rows: usize, columns: usize) -> Vec<Example>;

    /// True if the gradients are the derivatives of the values. False if the loss holds part of
    /// itself constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// Validates labels and lengths, and determines the values that are excluded.
    ///
    /// # Errors
    /// [`Error::Label`] or [`Error::Input`] with the first invalid position.
    fn divisor_terms(&self, _call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        Ok(DivisorTerms::default())
    }

    /// Clears the inputs of masked values, where a product with 0 would still be NaN. The mask is
    /// final.
    ///
    /// # Errors
    /// [`Error::Input`] for a required input that was not passed.
    fn clear(&self, _call: &mut MultiInput<'_, f32>) -> Result<()> {
        Ok(())
    }

    /// Writes the gradients of the differentiated inputs that were passed, in order, and the value
    /// of each unit, all multiplied by weight and factor. In f32 on all cores.
    ///
    /// # Errors
    /// [`Error::Input`] for a required input that was not passed.
    fn run_f32(
        &self,
        call: &MultiInput<'_, f32>,
        gradients: &mut [Vec<f32>],
        values: &mut [f32],
    ) -> Result<()>;

    /// As `run_f32`, in f64.
    ///
    /// # Errors
    /// As `run_f32`.
    fn run_f64(
        &self,
        call: &MultiInput<'_, f64>,
        gradients: &mut [Vec<f64>],
        values: &mut [f64],
    ) -> Result<()>;
}

impl<R: Real> MultiInput<'_, R> {
    /// The numbers of an input, if it was passed.
    pub fn array(&self, name: &str) -> Option<&Array<'_, R>> {
        self.arrays.iter().find(|array| array.name == name)
    }

    /// The numbers of a required input.
    ///
    /// # Errors
    /// [`Error::Input`] if it was not passed.
    pub fn required(&self, name: &str) -> Result<&Array<'_, R>> {
        self.array(name).ok_or_else(|| missing(name))
    }

    /// The integers of a required input.
    ///
    /// # Errors
    /// [`Error::Input`] if it was not passed.
    pub fn required_integers(&self, name: &str) -> Result<&[i32]> {
        self.integer(name).ok_or_else(|| missing(name))
    }

    /// The integers of an input, if it was passed.
    pub fn integer(&self, name: &str) -> Option<&[i32]> {
        self.integers.iter().find(|array| array.name == name).map(|array| &*array.values)
    }

    /// The shapes of all inputs that were passed.
    pub fn shapes(&self, loss: &'static str) -> Shapes {
        let numbers = self.arrays.iter().map(|array| (array.name, array.shape.clone()));
        let whole = self.integers.iter().map(|array| (array.name, array.shape.clone()));
        Shapes { loss, given: numbers.chain(whole).collect() }
    }

    /// True if there are no masks, weights or per-value upstream gradients.
    pub fn is_plain(&self) -> bool {
        self.mask.is_empty() && self.weight.is_empty() && self.upstreams.is_empty()
    }

    /// The factor of a unit's value: reduction factor times weight. `None` if the unit is masked.
    #[inline(always)]
    pub fn weight_of(&self, unit: usize) -> Option<R> {
        if !self.mask.is_empty() && !self.mask[unit] {
            return None;
        }
        Some(self.factor * self.weight.get(unit).copied().unwrap_or(R::ONE))
    }

    /// The additional factor of a unit's derivatives: its upstream gradient.
    #[inline(always)]
    pub fn upstream_of(&self, unit: usize) -> R {
        self.upstream * self.upstreams.get(unit).copied().unwrap_or(R::ONE)
    }
}

/// Replaces non-finite numbers in masked rows, where a product with 0 would still be NaN.
pub(crate) fn clear_rows(
    call: &mut MultiInput<'_, f32>,
    name: &'static str,
    counts: impl Fn(usize) -> bool,
) -> Result<()> {
    let x = call.arrays.iter_mut().find(|array| array.name == name);
    let x = x.ok_or_else(|| missing(name))?;
    let features = x.shape.last().copied().unwrap_or(1);
    let is_off = |row: &[f32]| row.iter().any(|x| !x.is_finite());
    let starts =
        (0..x.values.len() / features).filter(|&row| !counts(row)).map(|row| row * features);
    let off: Vec<usize> = starts.filter(|&start| is_off(&x.values[start..][..features])).collect();
    for start in off {
        x.values.to_mut()[start..][..features].fill(0.0);
    }
    Ok(())
}

/// The error for an input or a gradient that a call does not have.
pub(crate) fn missing(name: &str) -> Error {
    Error::Input {
        operation: "a loss of several inputs".into(),
        name: name.into(),
        found: "is missing".into(),
        allowed: "it is required".into(),
    }
}

impl Shapes {
    /// The shape of an input, if it was passed.
    pub fn get(&self, name: &str) -> Option<&[usize]> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, shape)| &shape[..])
    }

    /// The shape of a required input.
    ///
    /// # Errors
    /// [`Error::Input`] if it was not passed.
    pub fn of(&self, name: &str) -> Result<&[usize]> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// Returns an error if an input was passed with a shape other than `wanted`.
    ///
    /// # Errors
    /// [`Error::Shape`] with both shapes.
    pub fn require(&self, name: &str, wanted: &[usize], against: &str) -> Result<()> {
        match self.get(name) {
            Some(found) if found != wanted => {
                let (loss, first) = (self.loss, self.of(against)?);
                Err(Error::Shape {
                    operation: loss.into(),
                    found: format!("{against} is {first:?} but {name} is {found:?}"),
                    allowed: format!("{name} must be {wanted:?}"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if the number of axes of an input is not `axes`.
    ///
    /// # Errors
    /// [`Error::Shape`] with the expected shape in words.
    pub fn require_axes(&self, name: &str, axes: usize, words: &str) -> Result<()> {
        let found = self.of(name)?;
        if found.len() == axes {
            return Ok(());
        }
        Err(self.unfit(name, found, words))
    }

    /// The error for an input whose shape is not the one in words.
    pub fn unfit(&self, name: &str, found: &[usize], words: &str) -> Error {
        Error::Shape {
            operation: self.loss.into(),
            found: format!("{name} is {found:?}"),
            allowed: format!("it must be {words}"),
        }
    }
}

/// Sum of the values of all units.
pub fn sum<R: Real>(values: &[R]) -> f64 {
    parallel::pairwise(values)
}
