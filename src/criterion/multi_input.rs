//! One call of a criterion whose loss has several inputs: checked and flattened, then run on the
//! CPU or on the GPU.

use std::borrow::Cow;

use ndarray::ArrayViewD;

use crate::criterion::call::{Exact, check_divisor, clamp_labels, flat};
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::{Inputs, Targets, input_error, shape_error};
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::criterion::{domain, inputs};
use crate::runtime::device::Gpu;
use crate::runtime::tensor::shaped;
use crate::templates::argument::Argument;
use crate::templates::definition::{LossDefinition, SeveralInputs};
use crate::templates::job::MASKED;
use crate::templates::multi_input::cpu::{
    Array, DivisorTerms, MultiInput, MultiInputCpu, Shapes, Units,
};
use crate::templates::multi_input::job::{Bound, MultiInputJob};
use crate::templates::multi_input::{cpu as multi_input, gpu as kernel};
use crate::templates::precision::CpuReal;
use crate::{Error, Result};

/// One call with checked inputs.
pub(super) struct MultiInputCall<'c, 'a> {
    criterion: &'c Criterion,
    kernel: SeveralInputs,
    cpu: Box<dyn MultiInputCpu + 'c>,
    units: Units,
    multi_input: MultiInput<'a, f32>,
    /// In f64, for the reference device.
    factor: f64,
    /// The f64 numbers of inputs that were rounded, on the reference device.
    exact: Exact<'a>,
    /// The f64 weight of each value, if the weights were f64; else empty.
    exact_weight: Cow<'a, [f64]>,
    upstream: f64,
    /// A factor per value in addition to its weight; empty if all are 1.
    scale: Vec<f64>,
    count: usize,
    /// True if the opposite of the first gradient is returned as that of the targets.
    target_gradient: bool,
}

/// The arrays bound to the loss's arguments, with checked numbers.
struct Arguments<'a> {
    arrays: Vec<Array<'a, f32>>,
    integers: Vec<Array<'a, i32>>,
    shapes: Shapes,
}

impl<'a> Arguments<'a> {
    fn of(loss: &dyn LossDefinition, inputs: &Inputs<'a>) -> Result<Self> {
        let shapes = Shapes { loss: loss.name(), given: Vec::new() };
        let mut found = Arguments { arrays: Vec::new(), integers: Vec::new(), shapes };
        for argument in loss.arguments() {
            let Some(given) = given(loss, argument, inputs)? else { continue };
            let name = argument.name;
            let shape = match given {
                Targets::Grouped { .. } => return Err(inputs::no_lists(loss, name)),
                Targets::Dense(array) => {
                    let (values, shape) = (flat(array), array.shape().to_vec());
                    domain::check_domain(loss, name, argument.domain, &values)?;
                    found.arrays.push(Array { name, shape: shape.clone(), values });
                    shape
                }
                Targets::Wide(array) => {
                    let (values, shape) =
                        (array.iter().map(|&x| x as f32).collect(), array.shape().to_vec());
                    found.arrays.push(Array { name, shape: shape.clone(), values });
                    shape
                }
                Targets::Labels(array) => {
                    let (wide, shape): (Vec<i64>, _) =
                        (array.iter().copied().collect(), array.shape().to_vec());
                    found.integers.push(Array {
                        name,
                        shape: shape.clone(),
                        values: clamp_labels(&wide).into(),
                    });
                    shape
                }
            };
            found.shapes.given.push((name, shape));
        }
        Ok(found)
    }
}

impl<'c, 'a> MultiInputCall<'c, 'a> {
    pub fn check(
        criterion: &'c Criterion,
        kernel: SeveralInputs,
        cpu: Box<dyn MultiInputCpu + 'c>,
        inputs: &Inputs<'a>,
    ) -> Result<Self> {
        let loss = &*criterion.loss;
        for (name, _) in &inputs.arrays {
            inputs::check_known(loss, name)?;
        }
        if inputs.class_mask.is_some() {
            inputs::check_known(loss, "class_mask")?;
        }
        inputs::check_hessian(loss, inputs.hessian)?;
        inputs::check_auxiliary(loss, inputs.auxiliary)?;
        if inputs.target_gradient {
            inputs::target_derivative_of(loss, inputs)?;
        }
        let Arguments { arrays, integers, shapes } = Arguments::of(loss, inputs)?;
        let units = cpu.units(&shapes)?;
        let count: usize = units.shape.iter().product();
        if count == 0 || arrays.iter().any(|array| array.values.is_empty()) {
            let empty = shapes.given.iter().find(|(_, shape)| shape.contains(&0));
            let (name, shape) = empty.unwrap_or(&shapes.given[0]);
            return Err(Error::Empty {
                operation: loss.name().into(),
                name: format!("{name} {shape:?}"),
            });
        }
        let exact = Exact::of(&criterion.device, inputs);
        let (upstream, upstreams) = upstream(criterion, inputs, &units, &exact)?;
        let spread = |name: &str, shape: &[usize]| repeats(loss, name, shape, &units);
        let weight = inputs
            .weight
            .as_ref()
            .map(|w| Ok::<_, Error>(repeated(flat(w), spread("weight", w.shape())?)));
        let mask = inputs
            .mask
            .as_ref()
            .map(|m| Ok::<_, Error>(repeated(flat(m), spread("mask", m.shape())?)));
        let times = inputs.weight.as_ref().map_or(Ok(1), |w| spread("weight", w.shape()))?;
        let exact_weight = match exact.get("weight") {
            Some(weight) => repeated(Cow::Owned(weight.to_vec()), times),
            None => Cow::Borrowed(&[][..]),
        };
        let mut multi_input = MultiInput {
            arrays,
            integers,
            units: count,
            weight: weight.transpose()?.unwrap_or_default(),
            mask: mask.transpose()?.unwrap_or_default(),
            factor: 1.0,
            upstream: upstream as f32,
            upstreams,
        };
        let terms = cpu.divisor_terms(&multi_input)?;
        let factor = reduction_factor(criterion, &mut multi_input, &terms, &units, &exact_weight)?;
        multi_input.factor = factor as f32;
        cpu.clear(&mut multi_input)?;
        let scale = if criterion.reduction == Reduction::Mean { terms.scale } else { Vec::new() };
        let count = (0..count)
            .filter(|&unit| multi_input.mask.is_empty() || multi_input.mask[unit])
            .count();
        Ok(MultiInputCall {
            criterion,
            kernel,
            cpu,
            units,
            multi_input,
            factor,
            exact,
            exact_weight,
            upstream,
            scale,
            count,
            target_gradient: inputs.target_gradient,
        })
    }

    /// The f64 numbers of the arrays that were f64, cleared where the rounded ones were: a number
    /// that was cleared is not the rounded one any more.
    fn exact_arrays(&self) -> Vec<Option<Vec<f64>>> {
        let of = |array: &Array<'a, f32>| {
            let exact = self.exact.get(array.name)?;
            let kept = |(&wide, &narrow): (&f64, &f32)| {
                if narrow == wide as f32 { wide } else { f64::from(narrow) }
            };
            Some(exact.iter().zip(&*array.values).map(kept).collect())
        };
        self.multi_input.arrays.iter().map(of).collect()
    }

    /// Value and gradients on the CPU: in f32 on all cores, or in f64 with plain loops.
    pub fn on_host<R: CpuReal>(&self) -> Result<Evaluation<R>> {
        let exact = self.exact_arrays();
        let arrays = self.multi_input.arrays.iter().zip(&exact);
        let upstreams = &self.multi_input.upstreams;
        let exact_upstreams =
            self.exact.get("upstream").filter(|exact| exact.len() == upstreams.len());
        let call = MultiInput {
            arrays: arrays.map(|(array, exact)| of_precision(array, exact.as_deref())).collect(),
            integers: self.multi_input.integers.clone(),
            units: self.multi_input.units,
            weight: self.weight(),
            mask: self.multi_input.mask.clone(),
            factor: R::new(self.factor),
            upstream: R::new(self.upstream),
            upstreams: R::of_numbers(upstreams, exact_upstreams),
        };
        let differentiated = self.differentiated();
        let mut gradients: Vec<Vec<R>> =
            differentiated.iter().map(|array| vec![R::ZERO; array.values.len()]).collect();
        let mut values = vec![R::ZERO; self.multi_input.units];
        R::multi_input(&*self.cpu, &call, &mut gradients, &mut values)?;
        let each = values.iter().map(|value| value.to_f64()).collect();
        self.evaluation(multi_input::sum(&values), each, gradients)
    }

    pub fn on_gpu(&self, gpu: &Gpu) -> Result<Evaluation> {
        let loss = &*self.criterion.loss;
        let numbers = self.multi_input.arrays.iter().map(|array| {
            let buffer = gpu.upload(array.name, &array.values)?;
            Ok(Bound { name: array.name, shape: array.shape.clone(), buffer })
        });
        let whole = self.multi_input.integers.iter().map(|array| {
            let buffer = gpu.upload(array.name, &array.values)?;
            Ok(Bound { name: array.name, shape: array.shape.clone(), buffer })
        });
        let each = self.each();
        let upstreams = match (each, self.multi_input.upstreams.is_empty()) {
            (false, _) => None,
            (true, false) => Some(gpu.upload("upstream", &self.multi_input.upstreams)?),
            (true, true) => Some(gpu.upload("upstream", &vec![1.0_f32; self.multi_input.units])?),
        };
        let job = MultiInputJob {
            arguments: numbers.chain(whole).collect::<Result<_>>()?,
            units: self.units.clone(),
            weights: self
                .packed_weights()
                .map(|packed| gpu.upload("weights", &packed))
                .transpose()?,
            upstreams,
            each,
            factor: self.multi_input.factor,
            upstream: self.multi_input.upstream,
        };
        let (commands, results) = kernel::commands(gpu, loss, self.kernel, &job)?;
        gpu.submit(&commands)?;
        let read = |buffer: &wgpu::Buffer, length: usize| -> Result<Vec<f32>> {
            pollster::block_on(gpu.download(buffer, 0, length))
        };
        let gradients = results.gradients.iter().zip(self.differentiated());
        let gradients = gradients
            .map(|(buffer, array)| read(buffer, array.values.len()))
            .collect::<Result<_>>()?;
        let (sum, values) = if each {
            (
                0.0,
                read(&results.values, self.multi_input.units)?.into_iter().map(f64::from).collect(),
            )
        } else {
            (f64::from(read(&results.result, 1)?[0]), Vec::new())
        };
        self.evaluation(sum, values, gradients)
    }

    /// The weight of each value; empty if absent.
    fn weight<R: CpuReal>(&self) -> Cow<'_, [R]> {
        let weight = &self.multi_input.weight;
        if self.scale.is_empty() {
            let exact = Some(&*self.exact_weight).filter(|exact| !exact.is_empty());
            return R::of_numbers(weight, exact);
        }
        let scaled = |(unit, scale): (usize, &f64)| {
            R::new(scale * weight_at(weight, &self.exact_weight, unit))
        };
        self.scale.iter().enumerate().map(scaled).collect::<Vec<R>>().into()
    }

    /// Weight and mask combined: the bits of [`MASKED`] where the mask is false.
    fn packed_weights(&self) -> Option<Vec<u32>> {
        let (weight, mask) = (self.weight::<f32>(), &self.multi_input.mask);
        if weight.is_empty() && mask.is_empty() {
            return None;
        }
        let pack = |unit: usize| match mask.get(unit) {
            Some(false) => MASKED,
            _ => weight.get(unit).copied().unwrap_or(1.0).to_bits(),
        };
        Some((0..self.multi_input.units).map(pack).collect())
    }

    fn each(&self) -> bool {
        self.criterion.reduction == Reduction::None
    }

    /// The inputs that are present and differentiated.
    fn differentiated(&self) -> Vec<&Array<'a, f32>> {
        let names = self.criterion.loss.differentiated();
        self.multi_input.arrays.iter().filter(|array| names.contains(&array.name)).collect()
    }

    fn evaluation<R: Clone + std::ops::Neg<Output = R>>(
        &self,
        sum: f64,
        each: Vec<f64>,
        gradients: Vec<Vec<R>>,
    ) -> Result<Evaluation<R>> {
        let is_nan =
            self.count == 0 && self.criterion.averages() && self.criterion.on_empty == OnEmpty::Nan;
        let values = if self.each() {
            shaped(&self.units.shape, each)?
        } else {
            shaped(&[], vec![if is_nan { f64::NAN } else { sum }])?
        };
        let mut named = self.differentiated().into_iter().zip(gradients);
        let (first, gradient) = match named.next() {
            Some((array, gradient)) => (array.name, shaped(&array.shape, gradient)?),
            None => ("", shaped(&[0], Vec::new())?),
        };
        let mut others = named
            .map(|(array, gradient)| Ok((array.name, shaped(&array.shape, gradient)?)))
            .collect::<Result<Vec<_>>>()?;
        if self.target_gradient {
            others.push(("targets", gradient.mapv(|g| -g)));
        }
        Ok(Evaluation {
            values,
            gradient,
            others,
            count: self.count,
            auxiliaries: None,
            hessian: None,
            first,
        })
    }
}

fn of_precision<'b, R: CpuReal>(
    array: &'b Array<'_, f32>,
    exact: Option<&'b [f64]>,
) -> Array<'b, R> {
    let values = R::of_numbers(&array.values, exact);
    Array { name: array.name, shape: array.shape.clone(), values }
}

/// The weight of a value: 1 without weights, in f64 if they were f64.
fn weight_at(weight: &[f32], exact: &[f64], unit: usize) -> f64 {
    let rounded = || weight.get(unit).map_or(1.0, |&weight| f64::from(weight));
    exact.get(unit).copied().unwrap_or_else(rounded)
}

/// A present input, after a check that its kind matches its role.
fn given<'b, 'a>(
    loss: &dyn LossDefinition,
    argument: &Argument,
    inputs: &'b Inputs<'a>,
) -> Result<Option<&'b Targets<'a>>> {
    let name = argument.name;
    let is_whole = argument.role.is_integers();
    let wanted = if is_whole {
        match argument.role.takes_numbers() {
            true => "it must be an array of labels (whole numbers), or of f32 or f64",
            false => "it must be an array of whole numbers",
        }
    } else {
        "it must be an array of f32 or f64"
    };
    match inputs.get(name) {
        None if argument.role.is_optional() => Ok(None),
        None => Err(input_error(loss, name, "is missing", wanted)),
        Some(Targets::Dense(_) | Targets::Wide(_))
            if is_whole && !argument.role.takes_numbers() =>
        {
            Err(input_error(loss, name, "holds floats", wanted))
        }
        Some(Targets::Labels(_)) if !is_whole => {
            Err(input_error(loss, name, "holds whole numbers", wanted))
        }
        Some(Targets::Grouped { .. }) => Err(inputs::no_lists(loss, name)),
        found => Ok(found),
    }
}

/// Number of consecutive values per entry of a weight or mask.
pub(super) fn repeats(
    loss: &dyn LossDefinition,
    name: &str,
    shape: &[usize],
    units: &Units,
) -> Result<usize> {
    let trimmed = if shape.len() == units.shape.len() + 1 && shape.last() == Some(&1) {
        &shape[..units.shape.len()]
    } else {
        shape
    };
    if trimmed == units.shape {
        return Ok(1);
    }
    if !units.shape.is_empty() && shape == &units.shape[..1] {
        return Ok(units.shape[1..].iter().product());
    }
    let allowed =
        format!("it must be {:?}, one for each value, or one for each of its rows", units.shape);
    Err(shape_error(loss.name(), format!("{name} is {shape:?}"), &allowed))
}

fn repeated<T: Copy>(values: Cow<'_, [T]>, times: usize) -> Cow<'_, [T]>
where
    [T]: ToOwned<Owned = Vec<T>>,
{
    if times == 1 {
        values
    } else {
        Cow::Owned(values.iter().flat_map(|&x| std::iter::repeat_n(x, times)).collect())
    }
}

/// The upstream gradient as a scalar, and per value if the reduction is `none`.
fn upstream<'a>(
    criterion: &Criterion,
    inputs: &Inputs<'a>,
    units: &Units,
    exact: &Exact,
) -> Result<(f64, Cow<'a, [f32]>)> {
    let Some(upstream): Option<&ArrayViewD<'a, f32>> = inputs.upstream.as_ref() else {
        return Ok((1.0, Cow::Borrowed(&[])));
    };
    let each = criterion.reduction == Reduction::None;
    let wanted: &[usize] = if each { &units.shape } else { &[] };
    if upstream.shape() != wanted {
        let found = format!("upstream is {:?}", upstream.shape());
        return Err(shape_error(
            criterion.loss.name(),
            found,
            &format!("it must be of the value's shape {wanted:?}"),
        ));
    }
    if each {
        return Ok((1.0, flat(upstream)));
    }
    let exact = exact.get("upstream").map(|numbers| numbers.iter().sum());
    Ok((exact.unwrap_or_else(|| f64::from(upstream.sum())), Cow::Borrowed(&[])))
}

/// Merges the kernel template's exclusions into the mask and returns the reduction's factor.
fn reduction_factor(
    criterion: &Criterion,
    multi_input: &mut MultiInput<'_, f32>,
    terms: &DivisorTerms,
    units: &Units,
    exact_weight: &[f64],
) -> Result<f64> {
    if !terms.kept.is_empty() {
        let both = terms
            .kept
            .iter()
            .enumerate()
            .map(|(unit, &kept)| kept && multi_input.mask.get(unit).is_none_or(|&m| m));
        multi_input.mask = both.collect::<Vec<bool>>().into();
    }
    let kept = |&unit: &usize| multi_input.mask.get(unit).is_none_or(|&kept| kept);
    let of = |values: &[f64], unit: usize| values.get(unit).copied().unwrap_or(1.0);
    let divisor: f64 = match criterion.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Divisor(divisor) => check_divisor(&*criterion.loss, divisor)?,
        Reduction::BatchMean => units.rows as f64,
        Reduction::WeightedMean => (0..multi_input.units)
            .filter(kept)
            .map(|unit| weight_at(&multi_input.weight, exact_weight, unit))
            .sum(),
        Reduction::Mean => {
            (0..multi_input.units).filter(kept).map(|unit| of(&terms.mean, unit)).sum()
        }
    };
    // Nothing to average: all values are 0, so their mean is 0.
    Ok(if divisor == 0.0 { 0.0 } else { 1.0 / divisor })
}
