//! Buffers and clocks of the measurements on the CPU.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::cpu::real::Real;
use crate::templates::pointwise::{Points, PointwiseCpu};
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::RowwiseCpu;
use crate::templates::rowwise::rows::{Auxiliary, Rows};
use crate::testing::bench::case::normal;
use crate::testing::bench::host::threads;
use crate::{Device, Result};

/// The two precisions of the CPU loops.
pub(crate) trait Precision: CpuReal {
    fn run_pointwise(host: &dyn PointwiseCpu, points: &Points<Self>, gradient: &mut [Self]) -> f64;
    fn run_rowwise(
        host: &dyn RowwiseCpu,
        rows: &Rows<Self>,
        gradient: &mut [Self],
        values: &mut [Self],
    ) -> Result<()>;
    /// True for f32, on all cores; the arithmetic ceilings are measured only for it.
    const SINGLE: bool;
    /// The device of this precision.
    fn device() -> Device;
    fn copy(source: &[Self], destination: &mut [Self]);
    fn total(source: &[Self]) -> f64;
}

impl Precision for f32 {
    fn run_pointwise(host: &dyn PointwiseCpu, points: &Points<f32>, gradient: &mut [f32]) -> f64 {
        host.run_f32(points, gradient, &mut [])
    }

    fn run_rowwise(
        host: &dyn RowwiseCpu,
        rows: &Rows<f32>,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> Result<()> {
        host.run_f32(rows, gradient, values, none())
    }

    const SINGLE: bool = true;

    fn device() -> Device {
        Device::Cpu
    }

    fn copy(source: &[f32], destination: &mut [f32]) {
        threads::copy_on_all(source, destination);
    }

    fn total(source: &[f32]) -> f64 {
        threads::sum_on_all(source)
    }
}

impl Precision for f64 {
    fn run_pointwise(host: &dyn PointwiseCpu, points: &Points<f64>, gradient: &mut [f64]) -> f64 {
        host.run_f64(points, gradient, &mut [])
    }

    fn run_rowwise(
        host: &dyn RowwiseCpu,
        rows: &Rows<f64>,
        gradient: &mut [f64],
        values: &mut [f64],
    ) -> Result<()> {
        host.run_f64(rows, gradient, values, none())
    }

    const SINGLE: bool = false;

    fn device() -> Device {
        Device::Reference
    }

    fn copy(source: &[f64], destination: &mut [f64]) {
        destination.copy_from_slice(source);
    }

    fn total(source: &[f64]) -> f64 {
        source.iter().sum()
    }
}

pub(super) fn none<R>() -> &'static mut [Auxiliary<R>] {
    &mut []
}

/// Buffers of a loss, shared with its ceilings: with separate buffers the hand-written loop for 2²⁴
/// elements took 6.5 ms in one run and 4.0 in another, and `mse` was 93 and 69 % of it; on the same
/// buffers it was 89 to 93 % in three.
pub(crate) struct Buffers<R> {
    pub(super) predictions: Vec<R>,
    /// Empty with labels, or without a loss.
    pub(super) targets: Vec<R>,
    pub(super) gradient: RefCell<Vec<R>>,
}

impl<R: Precision> Buffers<R> {
    pub(super) fn new(predictions: &[f32], targets: &[f32]) -> Rc<Self> {
        let gradient = RefCell::new(vec![R::ZERO; predictions.len()]);
        Rc::new(Buffers {
            predictions: converted(predictions),
            targets: converted(targets),
            gradient,
        })
    }

    /// Two buffers of `elements` elements, to copy and to read.
    pub(super) fn plain(elements: usize) -> Rc<Self> {
        Self::new(&normal(elements, 1), &[])
    }
}

/// Seconds per run, over `repeats` runs.
pub(super) fn timed(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..repeats {
        run()?;
    }
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

pub(super) fn converted<R: Real>(values: &[f32]) -> Vec<R> {
    values.iter().map(|&x| R::from_f32(x)).collect()
}
