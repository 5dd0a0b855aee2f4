//! The inputs of a loss, and the errors for those that it does not take.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, CowArray, Data, Dimension, IxDyn};

use crate::error::text::exact;
use crate::templates::definition::{HessianDiagonal, LossDefinition, TargetDerivative};
use crate::{Error, Result};

/// The inputs of a loss, borrowed. Created by [`Inputs::new`] from predictions and targets, or by
/// [`Inputs::named`] for a loss whose inputs have other names. All other inputs are optional.
///
/// ```
/// use gradus::{Device, Inputs, losses::{Loss, MarginRanking}};
/// use ndarray::array;
///
/// let (first, second, targets) = (array![1.0, 2.0], array![3.0, 0.0], array![1.0, 1.0]);
/// let inputs = Inputs::named("first", &first).input("second", &second).input("targets", &targets);
/// let step = MarginRanking::new().on(&Device::reference())?.evaluate(&inputs)?;
/// assert_eq!(step.value(), 1.0); // ½(2 + 0)
/// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.0]);
/// assert_eq!(step.gradient_of("second").unwrap().as_slice().unwrap(), [0.5, 0.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// `predictions`, `targets` and all other inputs of numbers, float or integer.
    pub(crate) arrays: Vec<(&'a str, Targets<'a>)>,
    /// f64 inputs, including `weight` and `upstream`, before they are rounded to f32
    /// ([`Inputs::narrowed`]).
    wide: Vec<(&'a str, ArrayViewD<'a, f64>)>,
    /// The f64 inputs behind those that were rounded, for the reference device.
    pub(crate) exact: Vec<(&'a str, ArrayViewD<'a, f64>)>,
    pub(crate) weight: Option<ArrayViewD<'a, f32>>,
    pub(crate) mask: Option<ArrayViewD<'a, bool>>,
    pub(crate) class_mask: Option<ArrayViewD<'a, bool>>,
    pub(crate) upstream: Option<ArrayViewD<'a, f32>>,
    pub(crate) auxiliary: bool,
    pub(crate) hessian: bool,
    pub(crate) target_gradient: bool,
}

/// Targets: numbers, or one class label per row.
#[derive(Clone, Debug)]
pub enum Targets<'a> {
    /// One number per prediction.
    Dense(ArrayViewD<'a, f32>),
    /// As `Dense`; each number is rounded to the nearest f32, except for a loss on the reference
    /// device, which takes it as it is. A number beyond f32 is an error.
    Wide(ArrayViewD<'a, f64>),
    /// One label per row.
    Labels(CowArray<'a, i64, IxDyn>),
    /// The relevance of each item and the number of items per list: [`Targets::grouped`].
    Grouped {
        /// One number per item.
        relevance: CowArray<'a, f32, IxDyn>,
        /// The number of items per list; the lists are stored consecutively.
        groups: &'a [usize],
    },
}

impl<'a> Targets<'a> {
    /// Targets of items grouped in lists, for example the documents of a query.
    /// [`crate::Model::fit`] and [`crate::Model::evaluate`] use them to train and score a list-wise
    /// loss (`lambda_rank`, `list_net`, …). Each row of features is one item. The model has one
    /// output per item, its score, and a batch holds whole lists.
    ///
    /// `relevance` has shape `[items]` or [items, 1], with values from 0; an item below 0 is
    /// excluded. `groups` holds the number of items per list, in row order. The numbers must sum to
    /// the number of rows, and each must be positive.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, Targets, losses::LambdaRank, metrics, optimizers::Adam};
    /// use ndarray::array;
    ///
    /// let features = array![[0.9], [0.1], [0.3], [0.2], [0.8]];
    /// let (relevance, groups) = (array![2.0, 0.0, 1.0, 0.0, 1.0], [3, 2]); // a query of three documents, one of two
    /// let targets = || Targets::grouped(&relevance, &groups);
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(1))
    ///     .on(&Device::cpu())?
    ///     .compile(LambdaRank::new(), Adam::new().learning_rate(0.1))?;
    /// model.fit(&features, targets(), Fit::new().epochs(100).batch_size(2))?;
    /// let scores = model.predict(&features)?.into_raw_vec_and_offset().0;
    /// assert_eq!(metrics::ndcg(&scores, &relevance.to_vec(), &groups, 5, metrics::NoneRelevant::One)?, 1.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn grouped<S, D>(relevance: &'a ArrayBase<S, D>, groups: &'a [usize]) -> Self
    where
        S: Data<Elem: FloatElement>,
        D: Dimension,
    {
        let relevance = match FloatElement::floats(relevance) {
            Floats::Narrow(array) => array.into(),
            Floats::Wide(array) => array.mapv(|x| x as f32).into(),
        };
        Targets::Grouped { relevance, groups }
    }

    /// A reborrow with a shorter lifetime.
    fn reborrowed(&self) -> Targets<'_> {
        match self {
            Targets::Dense(array) => Targets::Dense(array.view()),
            Targets::Wide(array) => Targets::Wide(array.view()),
            Targets::Labels(array) => Targets::Labels(array.view().into()),
            Targets::Grouped { relevance, groups } => {
                Targets::Grouped { relevance: relevance.view().into(), groups }
            }
        }
    }
}

/// The element types of targets: f32 or f64, and integers (`i64`, `i32`, `u64`, `usize`, `u32`,
/// `u8`) for labels.
pub trait TargetElement: Sized {
    /// The array as targets.
    fn targets<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Targets<'_>;
}

impl TargetElement for f32 {
    fn targets<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Targets<'_> {
        Targets::Dense(array.view().into_dyn())
    }
}

impl TargetElement for f64 {
    fn targets<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Targets<'_> {
        Targets::Wide(array.view().into_dyn())
    }
}

impl TargetElement for i64 {
    fn targets<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Targets<'_> {
        Targets::Labels(array.view().into_dyn().into())
    }
}

/// Labels of other integer types. A label outside i64 becomes `i64::MAX`, which is rejected as an
/// invalid class.
macro_rules! labels {
    ($($whole:ty),+) => {$(
        impl TargetElement for $whole {
            fn targets<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Targets<'_> {
                Targets::Labels(array.mapv(|label| i64::try_from(label).unwrap_or(i64::MAX)).into_dyn().into())
            }
        }
    )+};
}
labels!(i32, u64, usize, u32, u8);

/// The element types of predictions, weights and features: f32, and f64, which is rounded to f32
/// except for a loss on the reference device.
pub trait FloatElement: Copy + Into<f64> {
    /// The array as f32 or f64 numbers.
    fn floats<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Floats<'_>;
}

/// f32 numbers, or f64 numbers that are rounded to f32 on use.
#[derive(Clone, Debug)]
pub enum Floats<'a> {
    /// f32, used unchanged.
    Narrow(ArrayViewD<'a, f32>),
    /// f64, to be rounded.
    Wide(ArrayViewD<'a, f64>),
}

impl Floats<'_> {
    /// The array's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Floats::Narrow(array) => array.shape(),
            Floats::Wide(array) => array.shape(),
        }
    }
}

impl FloatElement for f32 {
    fn floats<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Floats<'_> {
        Floats::Narrow(array.view().into_dyn())
    }
}

impl FloatElement for f64 {
    fn floats<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Floats<'_> {
        Floats::Wide(array.view().into_dyn())
    }
}

impl<'a> From<Floats<'a>> for Targets<'a> {
    fn from(floats: Floats<'a>) -> Self {
        match floats {
            Floats::Narrow(array) => Targets::Dense(array),
            Floats::Wide(array) => Targets::Wide(array),
        }
    }
}

/// True if a finite number is beyond the range of f32 and would become infinite.
pub(crate) fn is_beyond_f32(x: f64) -> bool {
    x.is_finite() && !(x as f32).is_finite()
}

/// The numbers rounded to f32, or the first element beyond f32 with its number.
pub(crate) fn rounded(numbers: &ArrayViewD<f64>) -> std::result::Result<ArrayD<f32>, (usize, f64)> {
    match numbers.iter().position(|&x| is_beyond_f32(x)) {
        None => Ok(numbers.mapv(|x| x as f32)),
        Some(element) => Err((element, numbers.iter().nth(element).copied().unwrap_or_default())),
    }
}

/// The allowed range in the error for a number beyond f32.
pub(crate) const WITHIN_F32: &str =
    "a number within f32, which ends at ±3.4e38; scale such numbers first";

impl<'a, A: TargetElement, S: Data<Elem = A>, D: Dimension> From<&'a ArrayBase<S, D>>
    for Targets<'a>
{
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        A::targets(array)
    }
}

impl<'a> Inputs<'a> {
    /// Predictions and targets.
    pub fn new(predictions: impl Into<Targets<'a>>, targets: impl Into<Targets<'a>>) -> Self {
        Inputs::named("predictions", predictions).input("targets", targets)
    }

    /// The first input of a loss, by name; [`Inputs::input`] adds the others. `gradus losses NAME`
    /// lists them.
    pub fn named(name: &'a str, array: impl Into<Targets<'a>>) -> Self {
        Inputs::none().input(name, array)
    }

    /// Empty inputs.
    pub(crate) fn none() -> Self {
        Inputs {
            arrays: Vec::new(),
            wide: Vec::new(),
            exact: Vec::new(),
            weight: None,
            mask: None,
            class_mask: None,
            upstream: None,
            auxiliary: false,
            hessian: false,
            target_gradient: false,
        }
    }

    /// Adds an input by name: f32, f64 (rounded to f32, except on the reference device) or integers.
    /// Replaces an input of the same name.
    pub fn input(mut self, name: &'a str, array: impl Into<Targets<'a>>) -> Self {
        self.arrays.retain(|(given, _)| *given != name);
        self.wide.retain(|(given, _)| *given != name);
        match array.into() {
            Targets::Wide(array) => self.wide.push((name, array)),
            array => self.arrays.push((name, array)),
        }
        self
    }

    /// Sets `weight` or `upstream`, or keeps the f64 array for later rounding.
    fn with_floats(mut self, name: &'static str, floats: Floats<'a>) -> Self {
        self.wide.retain(|(given, _)| *given != name);
        let narrow = match floats {
            Floats::Narrow(array) => Some(array),
            Floats::Wide(array) => {
                self.wide.push((name, array));
                None
            }
        };
        *(if name == "weight" { &mut self.weight } else { &mut self.upstream }) = narrow;
        self
    }

    /// A reborrow with a shorter lifetime: the type of an array view fixes its lifetime.
    pub(super) fn reborrowed(&self) -> Inputs<'_> {
        Inputs {
            arrays: self.arrays.iter().map(|(name, array)| (*name, array.reborrowed())).collect(),
            wide: Vec::new(),
            exact: self
                .wide
                .iter()
                .chain(&self.exact)
                .map(|(name, array)| (*name, array.view()))
                .collect(),
            weight: self.weight.as_ref().map(|array| array.view()),
            mask: self.mask.as_ref().map(|array| array.view()),
            class_mask: self.class_mask.as_ref().map(|array| array.view()),
            upstream: self.upstream.as_ref().map(|array| array.view()),
            auxiliary: self.auxiliary,
            hessian: self.hessian,
            target_gradient: self.target_gradient,
        }
    }

    /// Calls `run` with all f64 inputs rounded to f32, and with the f64 numbers in
    /// [`Inputs::exact`].
    ///
    /// # Errors
    /// [`Error::Input`] for a number beyond f32, which would otherwise silently become infinite.
    pub(crate) fn narrowed<T>(
        &self,
        loss: &dyn LossDefinition,
        run: impl FnOnce(&Inputs) -> Result<T>,
    ) -> Result<T> {
        if self.wide.is_empty() {
            return run(self);
        }
        let round = |(name, array): &(&'a str, ArrayViewD<'a, f64>)| {
            rounded(array).map(|array| (*name, array)).map_err(|(element, x)| {
                input_error(
                    loss,
                    name,
                    format!("holds {} at element {element}", exact(x)),
                    format!("it must be {WITHIN_F32}"),
                )
            })
        };
        let owned = self.wide.iter().map(round).collect::<Result<Vec<_>>>()?;
        let mut inputs = self.reborrowed();
        for (name, array) in &owned {
            inputs = match *name {
                "weight" => Inputs { weight: Some(array.view()), ..inputs },
                "upstream" => Inputs { upstream: Some(array.view()), ..inputs },
                name => inputs.input(name, array),
            };
        }
        run(&inputs)
    }

    /// The input with the given name.
    pub(crate) fn get(&self, name: &str) -> Option<&Targets<'a>> {
        self.arrays.iter().find(|(given, _)| *given == name).map(|(_, array)| array)
    }

    /// The f64 numbers of an input that was f64.
    pub(super) fn exact(&self, name: &str) -> Option<&ArrayViewD<'a, f64>> {
        self.exact.iter().find(|(given, _)| *given == name).map(|(_, array)| array)
    }

    /// The numbers of a required input.
    pub(crate) fn numbers(
        &self,
        loss: &dyn LossDefinition,
        name: &str,
    ) -> Result<&ArrayViewD<'a, f32>> {
        let found = match self.get(name) {
            Some(Targets::Dense(array)) => return Ok(array),
            Some(Targets::Labels(_)) => "holds whole numbers",
            Some(Targets::Grouped { .. }) => "holds lists",
            Some(Targets::Wide(_)) => "holds f64",
            None => "is missing",
        };
        Err(input_error(loss, name, found, "it must be an array of f32 or f64"))
    }

    /// Multiplies each value and its gradient. Shape: that of the values, which NumPy's rule repeats
    /// to it, or one number per row ([`Inputs::row_weight`] where both fit). A loss over lists may
    /// take one number per item ([`ItemWeight`](crate::losses::ItemWeight)).
    pub fn weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.with_floats("weight", FloatElement::floats(weight))
    }

    /// Multiplies the values and gradients of each row, by name: one number for each index of the
    /// leading axes of the values, `[rows]` or [rows, time], also where the values are as many as
    /// the rows. Keras' `sample_weight`. Not together with [`Inputs::weight`], whose `[columns]` are
    /// those of NumPy's rule.
    ///
    /// ```
    /// use gradus::{Device, Inputs, Reduction, losses::{Loss, Mse}};
    /// use ndarray::array;
    ///
    /// let criterion = Mse::new().on(&Device::reference())?.reduction(Reduction::None);
    /// let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], array![[0.0, 0.0], [0.0, 0.0]]);
    /// let weight = array![1.0, 0.5];
    /// let of_rows = criterion.evaluate(&Inputs::new(&x, &y).row_weight(&weight))?;
    /// assert_eq!(of_rows.values.as_slice().unwrap(), [1.0, 4.0, 4.5, 8.0]);
    /// let of_columns = criterion.evaluate(&Inputs::new(&x, &y).weight(&weight))?;
    /// assert_eq!(of_columns.values.as_slice().unwrap(), [1.0, 2.0, 9.0, 8.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn row_weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.input("row_weight", FloatElement::floats(weight))
    }

    /// False excludes an element or a row, whatever it holds. Shapes as for [`Inputs::weight`].
    pub fn mask<S: Data<Elem = bool>, D: Dimension>(mut self, mask: &'a ArrayBase<S, D>) -> Self {
        self.mask = Some(mask.view().into_dyn());
        self
    }

    /// One weight per class, `[classes]`.
    pub fn class_weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.input("class_weight", FloatElement::floats(weight))
    }

    /// False excludes a class from the softmax. Shape: `[classes]`, or that of the predictions.
    pub fn class_mask<S: Data<Elem = bool>, D: Dimension>(
        mut self,
        mask: &'a ArrayBase<S, D>,
    ) -> Self {
        self.class_mask = Some(mask.view().into_dyn());
        self
    }

    /// The weight of positive examples per column, `[columns]`.
    pub fn pos_weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.input("pos_weight", FloatElement::floats(weight))
    }

    /// The upstream gradient dL/d(value), which multiplies the gradient. Shape: that of the value.
    pub fn upstream<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        upstream: &'a ArrayBase<S, D>,
    ) -> Self {
        self.with_floats("upstream", FloatElement::floats(upstream))
    }

    /// Requests the auxiliary outputs of a class-axis loss: [`crate::Auxiliaries`].
    pub fn auxiliary(mut self) -> Self {
        self.auxiliary = true;
        self
    }

    /// Requests the hessian diagonal: the derivative of each element of the gradient with respect
    /// to its own prediction, multiplied by the same factors as the gradient (reduction factor,
    /// weight, mask, upstream). For gradient boosting use [`crate::Reduction::Sum`] or `None`,
    /// which have no reduction factor.
    ///
    /// Available for losses whose predictions are those of a generalized linear model: `mse`,
    /// `poisson_nll`, `gamma_deviance`, `tweedie`, `bce_with_logits`, `cross_entropy` (without
    /// `softcap` and `target_logit_transform`). All others return an error. Costs a second pass
    /// over the data, only when requested.
    ///
    /// ```
    /// use gradus::{Device, Inputs, Reduction, losses::{BceWithLogits, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = BceWithLogits::new().on(&Device::reference())?.reduction(Reduction::Sum);
    /// let (scores, labels, weight) = (array![0.0, 0.0], array![1.0, 0.0], array![1.0, 8.0]);
    /// let step = criterion.evaluate(&Inputs::new(&scores, &labels).weight(&weight).hessian())?;
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 4.0]);
    /// assert_eq!(step.hessian.unwrap().as_slice().unwrap(), [0.25, 2.0]); // σ(1 − σ) = ¼, times the weight
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn hessian(mut self) -> Self {
        self.hessian = true;
        self
    }

    /// Requests the gradient with respect to the targets as well, for targets that another network
    /// makes: [`Evaluation::gradient_of`](crate::Evaluation::gradient_of) of `targets`, in their
    /// shape, multiplied by the same factors as the gradient of the predictions.
    ///
    /// For losses of the difference of both it is the opposite of that: `mse`, `mae`, `huber`,
    /// `gaussian_nll` and others. `bce`, `bce_with_logits`, `poisson_nll`, `kl_div` and
    /// `cross_entropy` of dense targets have a function of their own: ln(1 − x) − ln x, −x, −x,
    /// ln t − x + 1 and lse − z_c. All other losses return an error. Costs a second pass over the
    /// data, only when requested. Arrays alone.
    ///
    /// ```
    /// use gradus::{Device, Inputs, Reduction, losses::{BceWithLogits, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = BceWithLogits::new().on(&Device::reference())?.reduction(Reduction::Sum);
    /// let (logits, targets) = (array![0.5, -2.0], array![1.0, 0.25]);
    /// let step = criterion.evaluate(&Inputs::new(&logits, &targets).target_gradient())?;
    /// assert_eq!(step.gradient_of("targets").unwrap().as_slice().unwrap(), [-0.5, 2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn target_gradient(mut self) -> Self {
        self.target_gradient = true;
        self
    }
}

/// The derivatives with respect to the targets, or an error for a loss without them or for labels.
pub(crate) fn target_derivative_of<'l>(
    loss: &'l dyn LossDefinition,
    inputs: &Inputs,
) -> Result<TargetDerivative<'l>> {
    let name = "the gradient of targets";
    if let Some(Targets::Labels(_)) = inputs.get("targets") {
        let allowed = "left out where targets are labels, which have no derivative";
        return Err(input_error(loss, name, "was asked for", allowed));
    }
    let allowed = "losses of a difference have it (mse, mae, huber, gaussian_nll, …), and bce, bce_with_logits, \
                   poisson_nll, kl_div, cross_entropy (without target_logit_transform)";
    let found = loss.spec().target_derivative;
    found.ok_or_else(|| input_error(loss, name, "was asked for", allowed))
}

/// Rejects a request for the hessian diagonal of a loss without one.
pub(crate) fn check_hessian(loss: &dyn LossDefinition, asked: bool) -> Result<()> {
    if asked { hessian_of(loss).map(|_| ()) } else { Ok(()) }
}

/// The hessian diagonal of a loss, or an error for a loss without one.
pub(crate) fn hessian_of(loss: &dyn LossDefinition) -> Result<HessianDiagonal<'_>> {
    if let Some(found) = loss.spec().hessian_diagonal {
        return Ok(found);
    }
    let allowed = "those of generalized linear models have it: mse, poisson_nll, gamma_deviance, tweedie, bce_with_logits, \
                   cross_entropy (without softcap and target_logit_transform)";
    Err(input_error(loss, "the diagonal of the Hessian", "was asked for", allowed))
}

/// Rejects a request for the auxiliary outputs of a loss without them.
pub(crate) fn check_auxiliary(loss: &dyn LossDefinition, asked: bool) -> Result<()> {
    if !asked || loss.spec().auxiliary {
        return Ok(());
    }
    let allowed = "only a loss over classes (cross_entropy) has them";
    Err(input_error(loss, "auxiliary outputs", "were asked for", allowed))
}

/// Builds an [`Error::Input`].
pub(crate) fn input_error(
    loss: &dyn LossDefinition,
    name: &str,
    found: impl Into<String>,
    allowed: impl Into<String>,
) -> Error {
    let operation = loss.name().into();
    Error::Input { operation, name: name.into(), found: found.into(), allowed: allowed.into() }
}

/// The error for grouped targets where an array is expected.
pub(crate) fn no_lists(loss: &dyn LossDefinition, name: &str) -> Error {
    let allowed = "a criterion takes an array [lists, items], padded with numbers below 0; lists are what a model is trained on";
    input_error(loss, name, "are in lists", allowed)
}

/// The error for dense targets where labels are expected.
pub(super) fn wants_labels(operation: &str) -> Error {
    Error::Input {
        operation: operation.into(),
        name: "targets".into(),
        found: "are dense".into(),
        allowed: "it takes class labels (i64, i32, u64, usize, u32 or u8), one for each row".into(),
    }
}

/// Builds an [`Error::Shape`].
pub(crate) fn shape_error(operation: &str, found: String, allowed: &str) -> Error {
    Error::Shape { operation: operation.into(), found, allowed: allowed.into() }
}

/// The names of all inputs of a loss.
pub(crate) fn known(loss: &dyn LossDefinition) -> Vec<&'static str> {
    let own: &[&str] = if loss.arguments().is_empty() { &["predictions", "targets"] } else { &[] };
    let arguments = loss.arguments().iter().map(|argument| argument.name);
    let optional = loss.inputs().iter().map(|input| input.name);
    own.iter()
        .copied()
        .chain(arguments)
        .chain(["weight", "row_weight", "mask"])
        .chain(optional)
        .collect()
}

/// Rejects an unknown input.
pub(crate) fn check_known(loss: &dyn LossDefinition, name: &str) -> Result<()> {
    let known = known(loss);
    if known.contains(&name) {
        return Ok(());
    }
    Err(Error::unknown(&format!("input of {}", loss.name()), name, known))
}
