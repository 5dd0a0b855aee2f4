//! A call of a loss of several inputs on the host: what all their frames share.

use std::borrow::Cow;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::{Error, Result};

/// Numbers of one input, row-major.
#[derive(Clone, Debug)]
pub struct Array<'a, R: Clone> {
    /// The name of the input.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Cow<'a, [R]>,
}

/// The inputs of a loss of several inputs, flat and checked.
#[derive(Clone, Debug)]
pub struct MultiInput<'a, R: Clone> {
    /// The inputs that hold numbers, in the order of the loss's arguments; those left out are missing here.
    pub arrays: Vec<Array<'a, R>>,
    /// The inputs that hold whole numbers.
    pub integers: Vec<Array<'a, i32>>,
    /// How many values there are before the reduction.
    pub units: usize,
    /// One for each value; empty for none.
    pub weight: Cow<'a, [R]>,
    /// Which values count at all; empty for all.
    pub mask: Cow<'a, [bool]>,
    /// The reduction's factor on values and gradients.
    pub factor: R,
    /// dL/d(value) on the gradients: one for all.
    pub upstream: R,
    /// dL/d(value) for each value, with reduction `none`; empty otherwise.
    pub upstreams: Cow<'a, [R]>,
}

impl<R: Clone> Array<'_, R> {
    /// The same without a copy of its numbers.
    pub fn lent(&self) -> Array<'_, R> {
        Array { name: self.name, shape: self.shape.clone(), values: Cow::Borrowed(&self.values) }
    }
}

/// The shapes of the inputs of one call, those with numbers and those with whole numbers alike.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// The name of the loss.
    pub loss: &'static str,
    /// Name and shape of each input that was given.
    pub given: Vec<(&'static str, Vec<usize>)>,
}

/// What the values of a call are before the reduction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    /// Their shape.
    pub shape: Vec<usize>,
    /// How many rows `batch_mean` divides by.
    pub rows: usize,
}

/// What takes part in a mean.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Which values count, from what the inputs hold (a label that is ignored does not); empty for all.
    pub kept: Vec<bool>,
    /// What each value counts for in the divisor of `mean`; empty for 1 each.
    pub mean: Vec<f64>,
    /// What `mean` alone multiplies each value by, before it divides; empty for 1 each.
    pub scale: Vec<f64>,
}

/// One input of a call that is made up: for judges and benchmarks.
#[derive(Clone, Debug)]
pub struct Example {
    /// The name of the input.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whole numbers lie from this
    pub from: usize,
    /// to below this.
    pub below: usize,
}

impl Example {
    /// An input that holds numbers.
    pub fn of(name: &'static str, shape: &[usize]) -> Self {
        Self::whole(name, shape, 0, 1)
    }

    /// An input that holds whole numbers from one to below another.
    pub fn whole(name: &'static str, shape: &[usize], from: usize, below: usize) -> Self {
        Example { name, shape: shape.to_vec(), from, below }
    }
}

/// A frame of losses of several inputs, on the host. Object-safe.
pub trait MultiInputCpu {
    /// Whether the shapes fit each other, and what the values are.
    ///
    /// # Errors
    /// [`Error::Shape`] with both shapes.
    fn units(&self, shapes: &Shapes) -> Result<Units>;

    /// The inputs of a call of so many rows and columns, as the judges and the benchmarks make it up: the first one is
    /// [rows, columns].
    fn example(&self, rows: usize, columns: usize) -> Vec<Example>;

    /// Whether the gradients are the derivatives of the values: not where the loss holds a part of itself constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// What the inputs hold that a frame refuses or leaves out: labels, lengths.
    ///
    /// # Errors
    /// [`Error::Label`] or [`Error::Input`] with the first place that is wrong.
    fn shares(&self, _call: &MultiInput<'_, f32>) -> Result<Shares> {
        Ok(Shares::default())
    }

    /// Takes out what stands at masked values, where a product by 0 would still see it. The mask is settled.
    fn clear(&self, _call: &mut MultiInput<'_, f32>) {}

    /// Writes the gradients of the differentiated inputs that were given, in their order, and the value of each unit, all times
    /// weight and factor. In f32 on all cores.
    fn run_f32(&self, call: &MultiInput<'_, f32>, gradients: &mut [Vec<f32>], values: &mut [f32]);

    /// As `run_f32`, plain and in f64.
    fn run_f64(&self, call: &MultiInput<'_, f64>, gradients: &mut [Vec<f64>], values: &mut [f64]);
}

impl<R: Real> MultiInput<'_, R> {
    /// The numbers of an input, if it was given.
    pub fn array(&self, name: &str) -> Option<&Array<'_, R>> {
        self.arrays.iter().find(|array| array.name == name)
    }

    /// The whole numbers of an input, if it was given.
    pub fn integer(&self, name: &str) -> Option<&[i32]> {
        self.integers.iter().find(|array| array.name == name).map(|array| &*array.values)
    }

    /// The shapes of all that was given.
    pub fn shapes(&self, loss: &'static str) -> Shapes {
        let numbers = self.arrays.iter().map(|array| (array.name, array.shape.clone()));
        let whole = self.integers.iter().map(|array| (array.name, array.shape.clone()));
        Shapes { loss, given: numbers.chain(whole).collect() }
    }

    /// Whether every unit counts, and all alike.
    pub fn is_plain(&self) -> bool {
        self.mask.is_empty() && self.weight.is_empty() && self.upstreams.is_empty()
    }

    /// What multiplies the value of a unit: factor and weight; nothing where it is masked.
    #[inline(always)]
    pub fn weight_of(&self, unit: usize) -> Option<R> {
        if !self.mask.is_empty() && !self.mask[unit] {
            return None;
        }
        Some(self.factor * self.weight.get(unit).copied().unwrap_or(R::ONE))
    }

    /// What multiplies the derivatives of a unit besides.
    #[inline(always)]
    pub fn upstream_of(&self, unit: usize) -> R {
        self.upstream * self.upstreams.get(unit).copied().unwrap_or(R::ONE)
    }
}

impl Shapes {
    /// The shape of an input, if it was given.
    pub fn get(&self, name: &str) -> Option<&[usize]> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, shape)| &shape[..])
    }

    /// The shape of an input that must be there: the caller has checked that it is.
    pub fn of(&self, name: &str) -> &[usize] {
        self.get(name).unwrap_or_default()
    }

    /// Refuses an input that is given and has another shape than `wanted`.
    ///
    /// # Errors
    /// [`Error::Shape`] with both shapes.
    pub fn require(&self, name: &str, wanted: &[usize], against: &str) -> Result<()> {
        match self.get(name) {
            Some(found) if found != wanted => {
                let (loss, first) = (self.loss, self.of(against));
                Err(Error::Shape {
                    operation: loss.into(),
                    found: format!("{against} is {first:?} but {name} is {found:?}"),
                    allowed: format!("{name} must be {wanted:?}"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Refuses an input that has not so many axes.
    ///
    /// # Errors
    /// [`Error::Shape`] with what is wanted in words.
    pub fn require_axes(&self, name: &str, axes: usize, words: &str) -> Result<()> {
        let found = self.of(name);
        if found.len() == axes {
            return Ok(());
        }
        Err(Error::Shape {
            operation: self.loss.into(),
            found: format!("{name} is {found:?}"),
            allowed: format!("it must be {words}"),
        })
    }
}

/// Sums the values of all units.
pub fn sum<R: Real>(values: &[R]) -> f64 {
    parallel::pairwise(values)
}
