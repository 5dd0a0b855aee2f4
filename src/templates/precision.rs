//! The two precisions of the CPU implementation, and their dispatch to a loss.

use std::borrow::Cow;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::{MultiInput, MultiInputCpu};
use crate::templates::pointwise::{Points, PointwiseCpu, PointwiseHessianCpu, PointwiseTargetCpu};
use crate::templates::rowwise::rows::{Auxiliary, Rows};
use crate::templates::rowwise::{RowwiseCpu, RowwiseHessianCpu, RowwiseTargetCpu};

/// A precision of the CPU implementation, with its dispatch to a loss.
pub(crate) trait CpuReal: Real + Default {
    fn from_f32s(values: &[f32]) -> Cow<'_, [Self]>;
    /// The numbers in this precision: in f64 those that the caller gave, if they were f64.
    fn of_numbers<'v>(rounded: &'v [f32], exact: Option<&'v [f64]>) -> Cow<'v, [Self]>;
    fn pointwise(
        cpu: &dyn PointwiseCpu,
        points: &Points<Self>,
        gradient: &mut [Self],
        values: &mut [Self],
    ) -> f64;
    fn rowwise(
        cpu: &dyn RowwiseCpu,
        rows: &Rows<Self>,
        gradient: &mut [Self],
        values: &mut [Self],
        auxiliary: &mut [Auxiliary<Self>],
    ) -> Result<()>;
    fn multi_input(
        host: &dyn MultiInputCpu,
        call: &MultiInput<Self>,
        gradients: &mut [Vec<Self>],
        values: &mut [Self],
    ) -> Result<()>;
    fn pointwise_hessian(
        cpu: &dyn PointwiseHessianCpu,
        points: &Points<Self>,
        hessian: &mut [Self],
    );
    fn rowwise_hessian(
        cpu: &dyn RowwiseHessianCpu,
        rows: &Rows<Self>,
        hessian: &mut [Self],
    ) -> Result<()>;
    fn pointwise_target(cpu: &dyn PointwiseTargetCpu, points: &Points<Self>, gradient: &mut [Self]);
    fn rowwise_target(
        cpu: &dyn RowwiseTargetCpu,
        rows: &Rows<Self>,
        gradient: &mut [Self],
    ) -> Result<()>;
}

impl CpuReal for f32 {
    fn from_f32s(values: &[f32]) -> Cow<'_, [f32]> {
        Cow::Borrowed(values)
    }

    fn of_numbers<'v>(rounded: &'v [f32], _exact: Option<&'v [f64]>) -> Cow<'v, [f32]> {
        Cow::Borrowed(rounded)
    }

    fn pointwise(
        cpu: &dyn PointwiseCpu,
        points: &Points<f32>,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> f64 {
        cpu.run_f32(points, gradient, values)
    }

    fn rowwise(
        cpu: &dyn RowwiseCpu,
        rows: &Rows<f32>,
        gradient: &mut [f32],
        values: &mut [f32],
        auxiliary: &mut [Auxiliary<f32>],
    ) -> Result<()> {
        cpu.run_f32(rows, gradient, values, auxiliary)
    }

    fn multi_input(
        host: &dyn MultiInputCpu,
        call: &MultiInput<f32>,
        gradients: &mut [Vec<f32>],
        values: &mut [f32],
    ) -> Result<()> {
        host.run_f32(call, gradients, values)
    }

    fn pointwise_hessian(cpu: &dyn PointwiseHessianCpu, points: &Points<f32>, hessian: &mut [f32]) {
        cpu.hessian_f32(points, hessian);
    }

    fn rowwise_hessian(
        cpu: &dyn RowwiseHessianCpu,
        rows: &Rows<f32>,
        hessian: &mut [f32],
    ) -> Result<()> {
        cpu.hessian_f32(rows, hessian)
    }

    fn pointwise_target(cpu: &dyn PointwiseTargetCpu, points: &Points<f32>, gradient: &mut [f32]) {
        cpu.target_f32(points, gradient);
    }

    fn rowwise_target(
        cpu: &dyn RowwiseTargetCpu,
        rows: &Rows<f32>,
        gradient: &mut [f32],
    ) -> Result<()> {
        cpu.target_f32(rows, gradient)
    }
}

impl CpuReal for f64 {
    fn from_f32s(values: &[f32]) -> Cow<'_, [f64]> {
        Cow::Owned(values.iter().map(|&x| f64::from(x)).collect())
    }

    fn of_numbers<'v>(rounded: &'v [f32], exact: Option<&'v [f64]>) -> Cow<'v, [f64]> {
        exact.map_or_else(|| Self::from_f32s(rounded), Cow::Borrowed)
    }

    fn pointwise(
        cpu: &dyn PointwiseCpu,
        points: &Points<f64>,
        gradient: &mut [f64],
        values: &mut [f64],
    ) -> f64 {
        cpu.run_f64(points, gradient, values)
    }

    fn rowwise(
        cpu: &dyn RowwiseCpu,
        rows: &Rows<f64>,
        gradient: &mut [f64],
        values: &mut [f64],
        auxiliary: &mut [Auxiliary<f64>],
    ) -> Result<()> {
        cpu.run_f64(rows, gradient, values, auxiliary)
    }

    fn multi_input(
        host: &dyn MultiInputCpu,
        call: &MultiInput<f64>,
        gradients: &mut [Vec<f64>],
        values: &mut [f64],
    ) -> Result<()> {
        host.run_f64(call, gradients, values)
    }

    fn pointwise_hessian(cpu: &dyn PointwiseHessianCpu, points: &Points<f64>, hessian: &mut [f64]) {
        cpu.hessian_f64(points, hessian);
    }

    fn rowwise_hessian(
        cpu: &dyn RowwiseHessianCpu,
        rows: &Rows<f64>,
        hessian: &mut [f64],
    ) -> Result<()> {
        cpu.hessian_f64(rows, hessian)
    }

    fn pointwise_target(cpu: &dyn PointwiseTargetCpu, points: &Points<f64>, gradient: &mut [f64]) {
        cpu.target_f64(points, gradient);
    }

    fn rowwise_target(
        cpu: &dyn RowwiseTargetCpu,
        rows: &Rows<f64>,
        gradient: &mut [f64],
    ) -> Result<()> {
        cpu.target_f64(rows, gradient)
    }
}
