//! A call on the CPU: value and gradient, written to a fresh array or to the caller's slice.

use std::borrow::Cow;

use ndarray::ArrayD;

use crate::Result;
use crate::cpu::real::Real;
use crate::cpu::{Broadcast, parallel};
use crate::criterion::call::Call;
use crate::criterion::evaluation::{Auxiliaries, Evaluation};
use crate::criterion::inputs::hessian_of;
use crate::criterion::reuse::Values;
use crate::runtime::tensor::shaped;
use crate::templates::definition::{HessianDiagonal, OneInput, TargetDerivative};
use crate::templates::job::Per;
use crate::templates::pointwise::{Points, PointwiseCpu};
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::RowwiseCpu;
use crate::templates::rowwise::rows::{Auxiliary, Rows};
use crate::templates::rowwise::target::Targets as RowTargets;

impl Call<'_, '_> {
    /// Value and gradient, in a freshly allocated array.
    pub fn on_host<R: CpuReal>(&self) -> Result<Evaluation<R>> {
        let mut gradient = vec![R::ZERO; self.predictions.len()];
        let Values { values, count, auxiliaries } = self.on_host_into(&mut gradient)?;
        let hessian = match self.hessian.then(|| hessian_of(&*self.criterion.loss)).transpose()? {
            None => None,
            Some(derivatives) => {
                let mut hessian = vec![R::ZERO; self.predictions.len()];
                match derivatives {
                    HessianDiagonal::Pointwise(cpu) => {
                        self.with_points(|points| R::pointwise_hessian(cpu, points, &mut hessian));
                    }
                    HessianDiagonal::Rowwise(cpu) => {
                        self.with_rows(|rows| R::rowwise_hessian(cpu, rows, &mut hessian))?;
                    }
                }
                Some(shaped(&self.shape, hessian)?)
            }
        };
        let gradient = shaped(&self.shape, gradient)?;
        let others = match self.target_gradient {
            true => vec![("targets", self.target_gradient_on_host(&gradient)?)],
            false => Vec::new(),
        };
        Ok(Evaluation {
            values,
            gradient,
            others,
            count,
            auxiliaries,
            hessian,
            first: "predictions",
        })
    }

    /// The gradient with respect to the targets; `gradient` is that of the predictions.
    fn target_gradient_on_host<R: CpuReal>(&self, gradient: &ArrayD<R>) -> Result<ArrayD<R>> {
        let mut found = vec![R::ZERO; self.predictions.len()];
        match self.criterion.loss.spec().target_derivative {
            None | Some(TargetDerivative::Opposite) => return Ok(gradient.mapv(|g| -g)),
            Some(TargetDerivative::Pointwise(cpu)) => {
                self.with_points(|points| R::pointwise_target(cpu, points, &mut found));
            }
            Some(TargetDerivative::Rowwise(cpu)) => {
                self.with_rows(|rows| R::rowwise_target(cpu, rows, &mut found))?;
            }
        }
        shaped(&self.shape, found)
    }

    /// The value. The gradient is written to `gradient`, which is row-major, has the length of the
    /// predictions and is overwritten completely.
    pub fn on_host_into<R: CpuReal>(&self, gradient: &mut [R]) -> Result<Values> {
        match self.criterion.loss.one_input()? {
            OneInput::Pointwise(cpu) => self.pointwise_on_host(cpu, gradient),
            OneInput::Rowwise(cpu) | OneInput::Listwise(cpu) => self.rowwise_on_host(cpu, gradient),
        }
    }

    fn pointwise_on_host<R: CpuReal>(
        &self,
        cpu: &dyn PointwiseCpu,
        gradient: &mut [R],
    ) -> Result<Values> {
        let mut values = vec![R::ZERO; if self.each() { self.predictions.len() } else { 0 }];
        let sum = self.with_points(|points| R::pointwise(cpu, points, gradient, &mut values));
        self.values(sum, &values, None)
    }

    /// Calls `run` with the inputs of a pointwise loss.
    fn with_points<R: CpuReal, T>(&self, run: impl FnOnce(&Points<R>) -> T) -> T {
        let predictions = self.numbers("predictions", &self.predictions);
        let targets = self.numbers("targets", &self.dense);
        let weight =
            self.weight.as_ref().map(|(weight, per)| (self.numbers("weight", weight), *per));
        let column_weight = self.numbers("pos_weight", &self.column_weight);
        let upstreams = self.numbers("upstream", &self.upstreams);
        let points = Points {
            predictions: &predictions,
            targets: &targets,
            weight: weight
                .as_ref()
                .map_or(Broadcast::None, |(weight, per)| broadcast(weight, *per)),
            mask: self.mask.as_ref().map_or(Broadcast::None, |(mask, per)| broadcast(mask, *per)),
            column_weight: &column_weight,
            row_length: self.sizes.row_length,
            factor: R::new(self.reduction.factor),
            upstream: R::new(self.upstream),
            upstreams: &upstreams,
        };
        run(&points)
    }

    /// Calls `run` with the inputs of a row-wise loss.
    fn with_rows<R: CpuReal, T>(&self, run: impl FnOnce(&Rows<R>) -> T) -> T {
        let logits = self.numbers("predictions", &self.predictions);
        let dense = self.numbers("targets", &self.dense);
        let weight = self
            .weight
            .as_ref()
            .map(|(weight, _)| self.numbers("weight", weight))
            .unwrap_or_default();
        let class_weight = self.numbers("class_weight", &self.column_weight);
        let pos_weight = self.numbers("pos_weight", &self.pos_weight);
        let item_weight = self.numbers("item_weight", &self.item_weight);
        let upstreams = self.numbers("upstream", &self.upstreams);
        let rows = Rows {
            logits: &logits,
            columns: self.sizes.columns,
            targets: match &self.labels {
                Some(labels) => RowTargets::Labels(labels),
                None => RowTargets::Dense(&dense),
            },
            ignored: self.criterion.loss.ignored(),
            class_weight: &class_weight,
            pos_weight: &pos_weight,
            class_mask: self.class_mask.as_ref().map_or(&[], |(mask, _)| &mask[..]),
            item_weight: &item_weight,
            weight: &weight,
            mask: self.mask.as_ref().map_or(&[], |(mask, _)| &mask[..]),
            factor: R::new(self.reduction.factor),
            upstream: R::new(self.upstream),
            upstreams: &upstreams,
        };
        run(&rows)
    }

    /// An input in the precision of the call. One that is empty was not given, or is not used: an
    /// upstream gradient of a reduced value is one number.
    fn numbers<'v, R: CpuReal>(&'v self, name: &str, rounded: &'v [f32]) -> Cow<'v, [R]> {
        let exact = self.exact.get(name).filter(|exact| exact.len() == rounded.len());
        R::of_numbers(rounded, exact)
    }

    fn rowwise_on_host<R: CpuReal>(
        &self,
        cpu: &dyn RowwiseCpu,
        gradient: &mut [R],
    ) -> Result<Values> {
        let mut values = vec![R::ZERO; self.sizes.rows];
        let mut auxiliary =
            vec![Auxiliary::default(); if self.auxiliary { self.sizes.rows } else { 0 }];
        self.with_rows(|rows| R::rowwise(cpu, rows, gradient, &mut values, &mut auxiliary))?;
        let auxiliaries = self.auxiliary.then(|| Auxiliaries {
            values: doubles(&values),
            lse: auxiliary.iter().map(|a| a.lse.to_f64()).collect(),
            argmax: auxiliary.iter().map(|a| a.argmax.to_f64() as usize).collect(),
            correct: auxiliary.iter().map(|a| a.correct.to_f64() != 0.0).collect(),
            entropy: auxiliary.iter().map(|a| a.entropy.to_f64()).collect(),
            target_probability: auxiliary.iter().map(|a| a.target_probability.to_f64()).collect(),
        });
        self.values(parallel::pairwise(&values), &values, auxiliaries)
    }

    fn values<R: Real>(
        &self,
        sum: f64,
        each: &[R],
        auxiliaries: Option<Auxiliaries>,
    ) -> Result<Values> {
        let values = if self.each() {
            shaped(&self.sizes.value_shape, doubles(each))?
        } else {
            shaped(&[], vec![self.reported(sum)])?
        };
        Ok(Values { values, count: self.reduction.count, auxiliaries })
    }
}

fn doubles<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

fn broadcast<T>(values: &[T], per: Per) -> Broadcast<'_, T> {
    if per == Per::Element { Broadcast::Element(values) } else { Broadcast::Row(values) }
}
