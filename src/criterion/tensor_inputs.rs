//! What is handed to a loss of tensors that live on its device.

use crate::criterion::inputs::{check_known, input_error, shape_error};
use crate::runtime::device::Device;
use crate::runtime::tensor::Tensor;
use crate::templates::definition::{LossDefinition, OneInput, Template};
use crate::{Error, Result};

/// The inputs of a loss as tensors on its device, borrowed: the counterpart of [`crate::Inputs`]. What is not set is absent.
///
/// Numbers are tensors of f32 ([`Tensor::from_array`]); labels, lists of classes, the lengths of sequences
/// ([`Tensor::from_labels`], [`Tensor::from_integers`]) and masks ([`Tensor::from_mask`]) are tensors of whole numbers.
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
    /// The gradient goes over the predictions.
    pub(super) in_place: bool,
}

/// dL/d(value): a number, or a tensor of the value's shape.
#[derive(Clone, Copy, Debug)]
pub enum Upstream<'a> {
    /// One number for a reduced value.
    Number(f32),
    /// Of shape [] for a reduced value, else one for each value.
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

    /// The first input of a loss by its name; [`TensorInputs::input`] adds the others. `gradus losses NAME` lists them.
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

    /// Another input by its name; one of the same name is replaced.
    pub fn input(mut self, name: &'a str, tensor: &'a Tensor) -> Self {
        self.tensors.retain(|(given, _)| *given != name);
        self.tensors.push((name, tensor));
        self
    }

    /// Multiplies value and gradient: of the predictions' shape (pointwise losses), or one for each row.
    pub fn weight(mut self, weight: &'a Tensor) -> Self {
        self.weight = Some(weight);
        self
    }

    /// 0 (false) takes an element or a row out, whatever stands there. Shapes as [`TensorInputs::weight`].
    pub fn mask(mut self, mask: &'a Tensor) -> Self {
        self.mask = Some(mask);
        self
    }

    /// One weight for each class, `[classes]`.
    pub fn class_weight(self, weight: &'a Tensor) -> Self {
        self.input("class_weight", weight)
    }

    /// 0 (false) takes a class out of the softmax: `[classes]`, or of the predictions' shape.
    pub fn class_mask(mut self, mask: &'a Tensor) -> Self {
        self.class_mask = Some(mask);
        self
    }

    /// The weight of the positive side of each column, `[columns]`.
    pub fn pos_weight(self, weight: &'a Tensor) -> Self {
        self.input("pos_weight", weight)
    }

    /// dL/d(value), which the gradients are multiplied by: a number or a tensor of shape [], and with
    /// [`crate::Reduction::None`] a tensor of the values' shape. A number costs nothing; a tensor of shape [] costs a pass over the
    /// gradients, one rounding more, and what is 0 there keeps its sign.
    pub fn upstream(mut self, upstream: impl Into<Upstream<'a>>) -> Self {
        self.upstream = Some(upstream.into());
        self
    }

    /// Asks for what a class-axis loss can hand back besides: [`crate::DeviceEvaluation::auxiliaries`].
    pub fn auxiliary(mut self) -> Self {
        self.auxiliary = true;
        self
    }

    /// Asks for the diagonal of the Hessian besides, as [`crate::Inputs::hessian`].
    pub fn hessian(mut self) -> Self {
        self.hessian = true;
        self
    }

    /// The gradient goes over the predictions.
    pub(super) fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// An input by its name.
    pub(super) fn get(&self, name: &str) -> Option<&'a Tensor> {
        self.tensors.iter().find(|(given, _)| *given == name).map(|(_, tensor)| *tensor)
    }

    /// The inputs by name, without those that have a place of their own.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.tensors.iter().copied()
    }

    /// All that was given, by name.
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

    /// Whether the loss knows each input, whether each lives on the device and holds what it must: all but `labels` hold
    /// floats, masks whole numbers.
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

    /// Whether tensors of f16 are predictions and, unless those are labels, their targets, in a frame that has them.
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

    /// The upstream as a number for all and a tensor, which is of the values' shape where each value has its own.
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

    /// An input that must be there.
    pub(super) fn required(&self, loss: &dyn LossDefinition, name: &str) -> Result<&'a Tensor> {
        self.get(name).ok_or_else(|| missing(loss, name))
    }
}

fn missing(loss: &dyn LossDefinition, name: &str) -> Error {
    input_error(loss, name, "is missing", "it must be a tensor")
}
