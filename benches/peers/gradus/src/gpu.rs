//! The GPU cases: plans over device tensors, which overwrite the same results in every run.

use gradus::losses::from_name;
use gradus::{Criterion, DensePass, Device, DeviceEvaluation, Plan, Tensor};
use ndarray::ArrayView;

use crate::protocol::{Found, Prepared, Request, Result};

/// Uploads an input as a tensor of a given shape.
fn upload(request: &Request, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
    let values = request.floats(name)?;
    Ok(Tensor::from_array(device, ArrayView::from_shape(shape, &values)?)?)
}

/// A loss and its gradient, which each run overwrites.
pub struct Loss {
    plan: Plan<DeviceEvaluation>,
}

impl Loss {
    pub fn new(request: &Request, device: &Device) -> Result<Self> {
        let criterion =
            Criterion::from_boxed(from_name(&request.case, &serde_json::Value::Null)?, device)?;
        let predictions = upload(request, "predictions", &request.shape, device)?;
        let targets = if request.case == "cross_entropy" {
            let labels: Vec<i64> = request.integers("labels")?.into_iter().map(i64::from).collect();
            Tensor::from_labels(device, &labels)?
        } else {
            upload(request, "targets", &request.shape, device)?
        };
        Ok(Loss { plan: Plan::loss(&criterion, &predictions, &targets)? })
    }
}

impl Prepared for Loss {
    fn run(&mut self, times: usize) -> Result<()> {
        run(&self.plan, self.plan.result.gradient.device(), times)
    }

    fn found(&mut self) -> Result<Found> {
        let result = &self.plan.result;
        Ok(Found {
            value: Some(result.value()?),
            tensors: vec![("gradient", floats(&result.gradient)?)],
        })
    }
}

fn run<T>(plan: &Plan<T>, device: &Device, times: usize) -> Result<()> {
    for _ in 0..times {
        plan.run()?;
    }
    Ok(device.synchronize()?)
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_array()?.into_raw_vec_and_offset().0)
}

pub struct Matmul {
    plan: Plan<Tensor>,
}

impl Matmul {
    pub fn new(request: &Request, device: &Device) -> Result<Self> {
        let [m, n, k] = request.sizes()?;
        let (left, right) =
            (upload(request, "left", &[m, k], device)?, upload(request, "right", &[k, n], device)?);
        Ok(Matmul { plan: Plan::matmul(&left, &right)? })
    }
}

impl Prepared for Matmul {
    fn run(&mut self, times: usize) -> Result<()> {
        run(&self.plan, self.plan.result.device(), times)
    }

    fn found(&mut self) -> Result<Found> {
        Ok(Found { value: None, tensors: vec![("product", floats(&self.plan.result)?)] })
    }
}

/// A layer without activation: forward, and backward from a given output gradient to weights, bias
/// and input.
pub struct Dense {
    plan: Plan<DensePass>,
    units: usize,
}

impl Dense {
    pub fn new(request: &Request, device: &Device) -> Result<Self> {
        let [rows, inputs, units] = request.sizes()?;
        let input = upload(request, "input", &[rows, inputs], device)?;
        let upstream = upload(request, "upstream", &[rows, units], device)?;
        let mut parameters = request.floats("weight0")?;
        parameters.extend(request.floats("bias0")?);
        let parameters = Tensor::from_array(
            device,
            ArrayView::from_shape(&[inputs + 1, units][..], &parameters)?,
        )?;
        Ok(Dense { plan: Plan::dense(&input, &parameters, &upstream)?, units })
    }
}

impl Prepared for Dense {
    fn run(&mut self, times: usize) -> Result<()> {
        run(&self.plan, self.plan.result.output.device(), times)
    }

    fn found(&mut self) -> Result<Found> {
        let pass = &self.plan.result;
        let mut weight = floats(&pass.parameters)?;
        let bias = weight.split_off(weight.len() - self.units);
        let tensors = vec![
            ("output", floats(&pass.output)?),
            ("weight", weight),
            ("bias", bias),
            ("input", floats(&pass.input)?),
        ];
        Ok(Found { value: None, tensors })
    }
}
