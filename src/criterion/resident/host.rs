//! Tensors in host memory: converted to arrays, evaluated by the array call, and converted back.

use half::f16;
use ndarray::{ArrayD, arr0};

use crate::Result;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::Inputs;
use crate::criterion::reduction::Reduction;
use crate::criterion::resident::evaluation::{DeviceEvaluation, Outcome};
use crate::criterion::tensor_inputs::{TensorInputs, Upstream};
use crate::runtime::tensor::{Tensor, shaped};

/// A tensor's numbers, f32 or integer.
enum Numbers {
    Floats(ArrayD<f32>),
    Whole(ArrayD<i64>),
}

fn numbers(tensor: &Tensor) -> Result<Numbers> {
    if !tensor.is_labels() {
        return Ok(Numbers::Floats(tensor.to_array()?));
    }
    let wide = tensor.integers()?.into_iter().map(i64::from).collect();
    Ok(Numbers::Whole(shaped(tensor.shape(), wide)?))
}

fn flags(tensor: Option<&Tensor>) -> Result<Option<ArrayD<bool>>> {
    let read = |tensor: &Tensor| {
        shaped(tensor.shape(), tensor.integers()?.into_iter().map(|x| x != 0).collect())
    };
    tensor.map(read).transpose()
}

impl Criterion {
    pub(super) fn tensors_on_host(&self, inputs: &TensorInputs) -> Result<DeviceEvaluation> {
        inputs.check(&*self.loss, &self.device, &self.whole())?;
        let read = |(name, tensor)| Ok((name, numbers(tensor)?));
        let all: Vec<(&str, Numbers)> = inputs.tensors().map(read).collect::<Result<_>>()?;
        let weight = inputs.weight.map(Tensor::to_array).transpose()?;
        let (mask, class_mask) = (flags(inputs.mask)?, flags(inputs.class_mask)?);
        let upstream = match inputs.upstream {
            None => None,
            Some(Upstream::Number(number)) => Some(arr0(number).into_dyn()),
            Some(Upstream::Tensor(tensor)) => Some(tensor.to_array()?),
        };
        let mut given = Inputs::none();
        for (name, numbers) in &all {
            given = match numbers {
                Numbers::Floats(array) => given.input(name, array),
                Numbers::Whole(array) => given.input(name, array),
            };
        }
        given.weight = weight.as_ref().map(|weight| weight.view());
        given.mask = mask.as_ref().map(|mask| mask.view());
        given.class_mask = class_mask.as_ref().map(|mask| mask.view());
        given.upstream = upstream.as_ref().map(|upstream| upstream.view());
        (given.auxiliary, given.hessian) = (inputs.auxiliary, inputs.hessian);
        let is_half = inputs.get("predictions").is_some_and(Tensor::is_half);
        self.as_tensors(self.clone().with_tensor_shapes().evaluate(&given)?, is_half)
    }

    fn as_tensors(&self, found: Evaluation, is_half: bool) -> Result<DeviceEvaluation> {
        let tensor = |array: &ArrayD<f32>| Tensor::from_array(&self.device, array.view());
        let like_predictions = |array: &ArrayD<f32>| match is_half {
            true => Tensor::from_half(&self.device, array.mapv(f16::from_f32).view()),
            false => tensor(array),
        };
        let value = found.value();
        let each = self.reduction == Reduction::None;
        let values = each.then(|| tensor(&found.values.mapv(|x| x as f32))).transpose()?;
        let others = found.others.iter().map(|(name, gradient)| Ok((*name, tensor(gradient)?)));
        Ok(DeviceEvaluation {
            loss: self.loss.clone(),
            gradient: like_predictions(&found.gradient)?,
            others: others.collect::<Result<_>>()?,
            values,
            hessian: found.hessian.as_ref().map(like_predictions).transpose()?,
            outcome: Outcome::OnCpu { value, count: found.count, auxiliaries: found.auxiliaries },
        })
    }
}
