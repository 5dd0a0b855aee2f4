//! The inputs of a loss as tensors on its device.

use crate::criterion::inputs::{check_known, input_error, shape_error};
use crate::runtime::device::Device;
use crate::runtime::tensor::Tensor;
use crate::templates::definition::{LossDefinition, OneInput, Template};
use crate::{Error, Result};

/// The inputs of a loss as tensors on its device, borrowed: the counterpart of [`crate::Inputs`].
/// All inputs except the first are optional.
///
/// Numbers are tensors of f32 ([`Tensor::from_array`]). Labels, class lists, sequence lengths
/// ([`Tensor::from_labels`], [`Tensor::from_integers`]) and masks ([`Tensor::from_mask`]) are
/// tensors of integers.
///
/// ```
/// use gradus::{Device, Tensor, TensorInputs, losses::{CrossEntropy, Loss}};
/// use ndarray::array;
///
/// let device = Device::cpu(); // a GPU likewise, where nothing waits until a number is read
/// let logits = Tensor::from_array(&device, array![[0.0_f32, 0.0], [2.0, 0.0], [f32::NAN, 0.0]].view().into_dyn())?;
/// let labels = Tensor::from_labels(&device, &[0, -100, 1])?;
/// let mask = Tensor::from_mask(&device, &array![true, true, false])?;
/// let inputs = TensorInputs::new(&logits, &labels).mask(&mask);
/// let step = CrossEntropy::new().on(&device)?.evaluate_tensors(&inputs)?;
/// assert_eq!(step.count()?, 1); // one row is ignored, one masked
/// assert!((step.value()? - 2.0_f64.ln()).abs() < 1e-6);
/// let gradient = step.gradient.to_array()?; // a tensor on the device, read here
/// assert!((gradient[[0, 0]] + 0.5).abs() < 1e-6 && gradient[[2, 0]] == 0.0);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorInputs<'a> {
    tensors: Vec<(&'a str, &'a Tensor)>,
    pub(super) weight: Option<&'a Tensor>,
    pub(super) mask: Option<&'a Tensor>,
    pub(super) class_mask: Option<&'a Tensor>,
    pub(super) upstream: Option<Upstream<'a>>,
    pub(super) auxiliary: bool,
    pub(super) hessian: bool,
    /// The gradient is written over the predictions.
    pub(super) in_place: bool,
}

/// The upstream gradient dL/d(value): a number, or a tensor of the value's shape.
#[derive(Clone, Copy, Debug)]
pub enum Upstream<'a> {
    /// One number, for a reduced value.
    Number(f32),
    /// Shape [] for a reduced value, otherwise one number per value.
    Tensor(&'a Tensor),
}

impl From<f32> for Upstream<'_> {
    fn from(number: f32) -> Self {
        Upstream::Number(number)
    }
}

impl<'a> From<&'a Tensor> for Upstream<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Upstream::Tensor(tensor)
    }
}

impl<'a> TensorInputs<'a> {
    /// Predictions and targets.
    pub fn new(predictions: &'a Tensor, targets: &'a Tensor) -> Self {
        TensorInputs::named("predictions", predictions).input("targets", targets)
    }

    /// The first input of a loss, by name; [`TensorInputs::input`] adds the others.
    /// `gradus losses NAME` lists them.
    pub fn named(name: &'a str, tensor: &'a Tensor) -> Self {
        TensorInputs {
            tensors: vec![(name, tensor)],
            weight: None,
            mask: None,
            class_mask: None,
            upstream: None,
            auxiliary: false,
            hessian: false,
            in_place: false,
        }
    }

    /// Adds an input by name. Replaces an input of the same name.
    pub fn input(mut self, name: &'a str, tensor: &'a Tensor) -> Self {
        self.tensors.retain(|(given, _)| *given != name);
        self.tensors.push((name, tensor));
        self
    }

    /// Multiplies value and gradient. Shape: that of the predictions (pointwise losses), or one
    /// number per row.
    pub fn weight(mut self, weight: &'a Tensor) -> Self {
        self.weight = Some(weight);
        self
    }

    /// 0 (false) excludes an element or a row, whatever it holds. Shapes as for
    /// [`TensorInputs::weight`].
    pub fn mask(mut self, mask: &'a Tensor) -> Self {
        self.mask = Some(mask);
        self
    }

    /// One weight per class, `[classes]`.
    pub fn class_weight(self, weight: &'a Tensor) -> Self {
        self.input("class_weight", weight)
    }

    /// 0 (false) excludes a class from the softmax. Shape: `[classes]`, or that of the predictions.
    pub fn class_mask(mut self, mask: &'a Tensor) -> Self {
        self.class_mask = Some(mask);
        self
    }

    /// The weight of positive examples per column, `[columns]`.
    pub fn pos_weight(self, weight: &'a Tensor) -> Self {
        self.input("pos_weight", weight)
    }

    /// The upstream gradient dL/d(value), which multiplies the gradients: a number or a tensor of
    /// shape [], and with [`crate::Reduction::None`] a tensor of the values' shape. A number is
    /// free. A tensor of shape [] costs a pass over the gradients and one more rounding; zeros
    /// there keep their sign.
    pub fn upstream(mut self, upstream: impl Into<Upstream<'a>>) -> Self {
        self.upstream = Some(upstream.into());
        self
    }

    /// Requests the auxiliary outputs of a class-axis loss:
    /// [`crate::DeviceEvaluation::auxiliaries`].
    pub fn auxiliary(mut self) -> Self {
        self.auxiliary = true;
        self
    }

    /// Requests the hessian diagonal, as [`crate::Inputs::hessian`].
    pub fn hessian(mut self) -> Self {
        self.hessian = true;
        self
    }

    /// Writes the gradient over the predictions.
    pub(super) fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// The input with the given name.
    pub(super) fn get(&self, name: &str) -> Option<&'a Tensor> {
        self.tensors.iter().find(|(given, _)| *given == name).map(|(_, tensor)| *tensor)
    }

    /// The inputs by name, without those stored in fields of their own.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.tensors.iter().copied()
    }

    /// All given inputs, by name.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let upstream = match self.upstream {
            Some(Upstream::Tensor(tensor)) => Some(tensor),
            _ => None,
        };
        let others = [
            ("weight", self.weight),
            ("mask", self.mask),
            ("class_mask", self.class_mask),
            ("upstream", upstream),
        ];
        self.tensors
            .iter()
            .copied()
            .chain(others.into_iter().filter_map(|(name, tensor)| Some((name, tensor?))))
    }

    /// Checks that the loss knows each input, that each is on the device and that each has the
    /// right element type: floats for all but `labels`, integers for masks.
    pub(super) fn check(
        &self,
        loss: &dyn LossDefinition,
        device: &Device,
        labels: &[&str],
    ) -> Result<()> {
        for (name, _) in &self.tensors {
            check_known(loss, name)?;
        }
        if self.class_mask.is_some() {
            check_known(loss, "class_mask")?;
        }
        for (name, tensor) in self.given() {
            if !tensor.device().is_same(device) {
                let found = format!("live on another device ({})", tensor.device().name());
                return Err(input_error(
                    loss,
                    name,
                    found,
                    format!("the criterion is on {}", device.describe()),
                ));
            }
            let is_mask = name == "mask" || name == "class_mask";
            if is_mask && !tensor.is_labels() {
                return Err(input_error(
                    loss,
                    name,
                    "holds floats",
                    "it must be a tensor of Tensor::from_mask",
                ));
            }
            if !is_mask && !labels.contains(&name) && tensor.is_labels() {
                let allowed = "it must be a tensor of Tensor::from_array";
                return Err(input_error(loss, name, "holds whole numbers", allowed));
            }
        }
        self.check_halves(loss)
    }

    /// Checks that f16 tensors are used only for predictions and dense targets, both together, and
    /// in a kernel template that supports them.
    fn check_halves(&self, loss: &dyn LossDefinition) -> Result<()> {
        let is_half = |name: &str| self.get(name).map(Tensor::is_half);
        if let Some((name, _)) = self
            .given()
            .find(|(name, tensor)| tensor.is_half() && !["predictions", "targets"].contains(name))
        {
            return Err(input_error(
                loss,
                name,
                "holds f16",
                "it must be a tensor of Tensor::from_array",
            ));
        }
        let (Some(predictions), Some(targets)) = (is_half("predictions"), is_half("targets"))
        else {
            return Ok(());
        };
        let kind = |is_half: bool| if is_half { "f16" } else { "f32" };
        if predictions != targets && !self.get("targets").is_some_and(Tensor::is_labels) {
            let found = format!("are {} but predictions are {}", kind(targets), kind(predictions));
            return Err(input_error(loss, "targets", found, "both f32 or both f16"));
        }
        if !predictions {
            return Ok(());
        }
        if !matches!(
            loss.template(),
            Template::OneInput(OneInput::Pointwise(_)) | Template::OneInput(OneInput::Rowwise(_))
        ) {
            let allowed = "pointwise and row-wise losses take f16, this one f32";
            return Err(input_error(loss, "predictions", "are f16", allowed));
        }
        match self.upstream {
            Some(Upstream::Tensor(tensor)) if tensor.shape().is_empty() => Err(input_error(
                loss,
                "upstream",
                "is a tensor and predictions are f16",
                "a number",
            )),
            _ => Ok(()),
        }
    }

    /// The upstream gradient as a scalar, and as a tensor, which has the values' shape if the
    /// values are not reduced.
    pub(super) fn upstreams(
        &self,
        loss: &dyn LossDefinition,
        each: bool,
        value_shape: &[usize],
    ) -> Result<(f32, Option<&'a Tensor>)> {
        let wanted = if each { value_shape } else { &[] };
        let found: &[usize] = match self.upstream {
            None => return Ok((1.0, None)),
            Some(Upstream::Number(number)) if !each => return Ok((number, None)),
            Some(Upstream::Tensor(tensor)) if tensor.shape() == wanted => {
                return Ok((1.0, Some(tensor)));
            }
            Some(Upstream::Number(_)) => &[],
            Some(Upstream::Tensor(tensor)) => tensor.shape(),
        };
        let allowed = format!("it must be of the value's shape {wanted:?}");
        Err(shape_error(loss.name(), format!("upstream is {found:?}"), &allowed))
    }

    /// A required input.
    pub(super) fn required(&self, loss: &dyn LossDefinition, name: &str) -> Result<&'a Tensor> {
        self.get(name).ok_or_else(|| missing(loss, name))
    }
}

fn missing(loss: &dyn LossDefinition, name: &str) -> Error {
    input_error(loss, name, "is missing", "it must be a tensor")
}
