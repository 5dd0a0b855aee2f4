//! A loss made ready on a device: checked options, a reduction, and the calls that give value and gradient.

pub(crate) mod inputs;

mod call;
mod multi_input;
mod resident;
mod reuse;
mod tensor_inputs;

use std::sync::Arc;

use ndarray::ArrayD;

use self::call::Call;
use self::multi_input::MultiInputCall;
pub use self::resident::DeviceEvaluation;
pub use self::reuse::Values;
pub use self::tensor_inputs::{TensorInputs, Upstream};
use crate::criterion::inputs::{Inputs, Targets};
use crate::losses::{CpuReal, Family, Loss};
use crate::runtime::device::Device;
use crate::{Error, Result};

/// How the values of all elements or rows become one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reduction {
    /// They stay as they are; the gradient takes an upstream of their shape.
    None,
    /// Σ
    Sum,
    /// Σ ÷ number of values; for class labels ÷ Σ of the class weights of the rows kept. As PyTorch.
    #[default]
    Mean,
    /// Σ ÷ number of rows. PyTorch's `batchmean`.
    BatchMean,
    /// Σ ÷ Σ weight. Keras' `mean_with_sample_weight`.
    WeightedMean,
    /// Σ ÷ a given number: for gradient accumulation and several devices, where the count is global.
    Divisor(f64),
}

impl Reduction {
    /// The reduction of a name: `none`, `sum`, `mean`, `batch_mean`, `weighted_mean`, `divisor(8)`.
    ///
    /// # Errors
    /// [`Error::Option`] with the names there are.
    pub fn named(name: &str) -> Result<Self> {
        let divisor =
            name.strip_prefix("divisor(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
        match (name, divisor) {
            ("none", _) => Ok(Reduction::None),
            ("sum", _) => Ok(Reduction::Sum),
            ("mean", _) => Ok(Reduction::Mean),
            ("batch_mean", _) => Ok(Reduction::BatchMean),
            ("weighted_mean", _) => Ok(Reduction::WeightedMean),
            (_, Some(divisor)) => Ok(Reduction::Divisor(divisor)),
            _ => Err(Error::option(
                "loss",
                "reduction",
                name,
                "none, sum, mean, batch_mean, weighted_mean or divisor(NUMBER)",
            )),
        }
    }
}

/// What the value is where nothing is left to average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnEmpty {
    /// 0, and `count` says that it was nothing. As Keras and Liger.
    #[default]
    Zero,
    /// NaN, as PyTorch.
    Nan,
}

/// A loss made ready on a device. Made by [`Loss::on`]; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Criterion {
    loss: Arc<dyn Loss>,
    device: Device,
    reduction: Reduction,
    on_empty: OnEmpty,
}

/// Value and gradient of a loss, on the host.
#[derive(Clone, Debug)]
pub struct Evaluation<R = f32> {
    /// Of shape [] when reduced; one for each element or row with [`Reduction::None`].
    pub values: ArrayD<f64>,
    /// The gradient with respect to the predictions, of their shape; with respect to the first of several inputs.
    pub gradient: ArrayD<R>,
    /// The gradients with respect to the other inputs of a loss of several, by name: the second number of a pair, the
    /// positive and the negative of a triplet, the weight of a linear layer.
    pub others: Vec<(&'static str, ArrayD<R>)>,
    /// How many elements or rows took part: 0 if all were masked or ignored.
    pub count: usize,
    /// What was asked for with [`Inputs::auxiliary`].
    pub auxiliaries: Option<Auxiliaries>,
    /// What was asked for with [`Inputs::hessian`]: the second derivative by each prediction, of their shape.
    pub hessian: Option<ArrayD<R>>,
    /// The name of the input that `gradient` belongs to: `predictions`, or that of the first of several inputs.
    pub first: &'static str,
}

impl<R> Evaluation<R> {
    /// The reduced value; the sum of the values where they are not reduced.
    pub fn value(&self) -> f64 {
        self.values.sum()
    }

    /// The gradient with respect to an input, by its name: the predictions, the first of several inputs or one of
    /// [`Evaluation::others`]. None for an input that the loss gives no gradient for.
    pub fn gradient_of(&self, name: &str) -> Option<&ArrayD<R>> {
        if name == self.first {
            return Some(&self.gradient);
        }
        self.others.iter().find(|(other, _)| *other == name).map(|(_, gradient)| gradient)
    }

    /// The same with all gradients taken to another precision.
    fn map<S: Clone>(self, convert: impl Fn(R) -> S + Copy) -> Evaluation<S>
    where
        R: Clone,
    {
        Evaluation {
            values: self.values,
            gradient: self.gradient.map(|g| convert(g.clone())),
            others: self
                .others
                .into_iter()
                .map(|(name, g)| (name, g.map(|g| convert(g.clone()))))
                .collect(),
            count: self.count,
            auxiliaries: self.auxiliaries,
            hessian: self.hessian.map(|hessian| hessian.map(|h| convert(h.clone()))),
            first: self.first,
        }
    }
}

/// What a class-axis loss hands back from the same pass, one for each row. Rows left out hold 0.
#[derive(Clone, Debug)]
pub struct Auxiliaries {
    /// The values before the reduction, times the reduction's factor.
    pub values: Vec<f64>,
    /// Log-sum-exp of the logits.
    pub lse: Vec<f64>,
    /// The column of the largest logit, the first of several.
    pub argmax: Vec<usize>,
    /// Whether that is the label.
    pub correct: Vec<bool>,
    /// Entropy of the softmax, in nats.
    pub entropy: Vec<f64>,
    /// Probability of the label; 0 for dense targets.
    pub target_probability: Vec<f64>,
}

impl Auxiliaries {
    /// From the planes of numbers that the row-wise kernel leaves.
    fn of_planes(planes: &[f32], rows: usize) -> Self {
        let wide = |n: usize| {
            planes[n * rows..][..rows].iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()
        };
        Auxiliaries {
            values: wide(0),
            lse: wide(1),
            argmax: wide(2).into_iter().map(|x| x as usize).collect(),
            correct: wide(3).into_iter().map(|x| x != 0.0).collect(),
            entropy: wide(4),
            target_probability: wide(5),
        }
    }
}

impl Criterion {
    pub(crate) fn new(loss: Arc<dyn Loss>, device: &Device) -> Result<Self> {
        loss.check()?;
        Ok(Criterion {
            loss,
            device: device.clone(),
            reduction: Reduction::Mean,
            on_empty: OnEmpty::Zero,
        })
    }

    /// A boxed loss made ready on a device, as [`Loss::on`].
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain.
    pub fn from_boxed(loss: Box<dyn Loss>, device: &Device) -> Result<Self> {
        Self::new(Arc::from(loss), device)
    }

    /// How the values become one (default [`Reduction::Mean`]).
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// What the value is where nothing is left to average (default 0).
    pub fn on_empty(mut self, on_empty: OnEmpty) -> Self {
        self.on_empty = on_empty;
        self
    }

    /// The loss.
    pub fn loss(&self) -> &dyn Loss {
        &*self.loss
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Value and gradient of predictions against targets: `jax.value_and_grad`.
    ///
    /// Arrays of f64 are taken too, each number rounded to f32; labels are whole numbers of any type ([`crate::TargetElement`]).
    ///
    /// ```
    /// use gradus::{Device, losses::{CrossEntropy, Loss, Mse}};
    /// use ndarray::array;
    ///
    /// let logits = array![[0.0_f64, 0.0], [0.0, 0.0]];
    /// let step = CrossEntropy::new().on(&Device::cpu())?.value_and_gradient(&logits, &array![0_usize, 1])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-6);
    /// let error = Mse::new().on(&Device::cpu())?.value_and_gradient(&array![0.5], &array![1e300]).unwrap_err();
    /// assert!(error.to_string().starts_with("mse: targets holds 1e300 at element 0; it must be a number within f32"));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit, labels that are no class, targets of the wrong kind, numbers beyond f32; what the device reports.
    pub fn value_and_gradient<'a>(
        &self,
        predictions: impl Into<Targets<'a>>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Evaluation> {
        self.evaluate(&Inputs::new(predictions, targets))
    }

    /// Value and gradient with weights, masks and whatever else the loss takes.
    ///
    /// # Errors
    /// As [`Criterion::value_and_gradient`].
    pub fn evaluate(&self, inputs: &Inputs) -> Result<Evaluation> {
        inputs.narrowed(&*self.loss, |inputs| self.evaluate_narrow(inputs))
    }

    /// As [`Criterion::evaluate`], of inputs without f64.
    fn evaluate_narrow(&self, inputs: &Inputs) -> Result<Evaluation> {
        match &self.device {
            Device::Gpu(gpu) => match self.loss.family() {
                Family::MultiInput(frame, host) => {
                    MultiInputCall::check(self, frame, host, inputs)?.on_gpu(gpu)
                }
                _ => Call::check(self, inputs)?.on_gpu(gpu),
            },
            Device::Cpu => self.on_host::<f32>(inputs),
            Device::Reference => Ok(self.on_host::<f64>(inputs)?.map(|g| g as f32)),
        }
    }

    /// As [`Criterion::evaluate`] with the gradient in f64: all digits of the reference device.
    ///
    /// # Errors
    /// As [`Criterion::evaluate`].
    pub fn evaluate_f64(&self, inputs: &Inputs) -> Result<Evaluation<f64>> {
        if matches!(self.device, Device::Reference) {
            return inputs.narrowed(&*self.loss, |inputs| self.on_host::<f64>(inputs));
        }
        Ok(self.evaluate(inputs)?.map(f64::from))
    }

    fn on_host<R: CpuReal>(&self, inputs: &Inputs) -> Result<Evaluation<R>> {
        match self.loss.family() {
            Family::MultiInput(frame, host) => {
                MultiInputCall::check(self, frame, host, inputs)?.on_host()
            }
            _ => Call::check(self, inputs)?.on_host(),
        }
    }
}
