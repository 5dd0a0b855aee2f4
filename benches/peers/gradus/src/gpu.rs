//! The GPU: the calls that a user makes on tensors that live there.

use gradus::losses::from_name;
use gradus::{Criterion, Device, DeviceEvaluation, Tensor};
use ndarray::ArrayView;

use crate::protocol::{Found, Prepared, Request, Result};

/// Uploads an input as a tensor of a shape.
fn upload(request: &Request, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
    let values = request.floats(name)?;
    Ok(Tensor::from_array(device, ArrayView::from_shape(shape, &values)?)?)
}

/// A loss with its gradient.
pub struct Loss {
    criterion: Criterion,
    predictions: Tensor,
    targets: Tensor,
    last: Option<DeviceEvaluation>,
}

impl Loss {
    pub fn new(request: &Request, device: &Device) -> Result<Self> {
        let criterion = Criterion::from_boxed(from_name(&request.case, &serde_json::Value::Null)?, device)?;
        let predictions = upload(request, "predictions", &request.shape, device)?;
        let targets = if request.case == "cross_entropy" {
            let labels: Vec<i64> = request.integers("labels")?.into_iter().map(i64::from).collect();
            Tensor::from_labels(device, &labels)?
        } else {
            upload(request, "targets", &request.shape, device)?
        };
        Ok(Loss { criterion, predictions, targets, last: None })
    }
}

impl Prepared for Loss {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.last = Some(self.criterion.backward(&self.predictions, &self.targets)?);
        }
        Ok(self.criterion.device().synchronize()?)
    }

    fn found(&mut self) -> Result<Found> {
        let last = self.last.as_ref().ok_or("nothing has run")?;
        let gradient = last.gradient.to_array()?.into_raw_vec_and_offset().0;
        Ok(Found { value: Some(last.value()?), tensors: vec![("gradient", gradient)] })
    }
}
