//! What is handed to a loss, and the checks that it fits.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, CowArray, Data, Dimension, IxDyn};

use crate::cpu::{parallel, simd};
use crate::error::text::exact;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, Mean};
use crate::{Error, Result};

/// The inputs of a loss, borrowed. Made with [`Inputs::new`] of predictions and targets, or with [`Inputs::named`] for a loss
/// whose inputs have other names; what is not set is absent.
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
    /// `predictions`, `targets` and all others that hold numbers, whole or not.
    pub(crate) arrays: Vec<(&'a str, Targets<'a>)>,
    /// Inputs of f64, `weight` and `upstream` too, as long as they have not been rounded to f32 ([`Inputs::narrowed`]).
    wide: Vec<(&'a str, ArrayViewD<'a, f64>)>,
    pub(crate) weight: Option<ArrayViewD<'a, f32>>,
    pub(crate) mask: Option<ArrayViewD<'a, bool>>,
    pub(crate) class_mask: Option<ArrayViewD<'a, bool>>,
    pub(crate) upstream: Option<ArrayViewD<'a, f32>>,
    pub(crate) auxiliary: bool,
    pub(crate) hessian: bool,
}

/// Targets: numbers, or the label of each row's class.
#[derive(Clone, Debug)]
pub enum Targets<'a> {
    /// As many as predictions.
    Dense(ArrayViewD<'a, f32>),
    /// As `Dense`; each number is rounded to the nearest f32, and one beyond f32 is refused.
    Wide(ArrayViewD<'a, f64>),
    /// One for each row.
    Labels(CowArray<'a, i64, IxDyn>),
    /// How relevant each item is, and how many items each list has: [`Targets::grouped`].
    Grouped {
        /// One for each item.
        relevance: CowArray<'a, f32, IxDyn>,
        /// The number of items of each list, the lists one behind the other.
        groups: &'a [usize],
    },
}

impl<'a> Targets<'a> {
    /// Targets of items that belong together in lists, as the documents of a query do: what [`crate::Model::fit`] and
    /// [`crate::Model::evaluate`] train and score a loss of lists with (`lambda_rank`, `list_net`, …). A row of features is then an item,
    /// the model has one output, its score, and a batch is some lists.
    ///
    /// `relevance` is `[items]` or [items, 1], from 0 on; an item below 0 takes no part. `groups` holds how many items each list has, in the
    /// order of the rows; together they must be all rows, and none may be 0.
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

    /// The same for a shorter time.
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

/// The element types that targets come in: f32 or f64, and whole numbers (`i64`, `i32`, `u64`, `usize`, `u32`, `u8`) for labels.
pub trait TargetElement: Sized {
    /// An array of this type as targets.
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

/// Labels of other whole numbers. What no i64 holds becomes the largest of them, which names no class and is refused as that.
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

/// The element types that predictions, weights and features come in: f32, and f64, which is rounded to f32.
pub trait FloatElement: Copy + Into<f64> {
    /// The array as numbers of f32 or f64.
    fn floats<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> Floats<'_>;
}

/// Numbers of f32, or of f64, which are rounded to f32 where they are used.
#[derive(Clone, Debug)]
pub enum Floats<'a> {
    /// As they are used.
    Narrow(ArrayViewD<'a, f32>),
    /// To be rounded.
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

/// Whether a finite number is beyond what f32 holds: it would become an infinity.
pub(crate) fn is_beyond_f32(x: f64) -> bool {
    x.is_finite() && !(x as f32).is_finite()
}

/// Numbers rounded to f32, or the element and the number that f32 cannot hold.
pub(crate) fn rounded(numbers: &ArrayViewD<f64>) -> std::result::Result<ArrayD<f32>, (usize, f64)> {
    match numbers.iter().position(|&x| is_beyond_f32(x)) {
        None => Ok(numbers.mapv(|x| x as f32)),
        Some(element) => Err((element, numbers.iter().nth(element).copied().unwrap_or_default())),
    }
}

/// What fits in place of a number that f32 cannot hold.
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

    /// The first input of a loss by its name; [`Inputs::input`] adds the others. `gradus losses NAME` lists them.
    pub fn named(name: &'a str, array: impl Into<Targets<'a>>) -> Self {
        Inputs::none().input(name, array)
    }

    /// Nothing yet.
    pub(crate) fn none() -> Self {
        Inputs {
            arrays: Vec::new(),
            wide: Vec::new(),
            weight: None,
            mask: None,
            class_mask: None,
            upstream: None,
            auxiliary: false,
            hessian: false,
        }
    }

    /// Another input by its name, f32, f64 (rounded to f32) or whole numbers; one of the same name is replaced.
    pub fn input(mut self, name: &'a str, array: impl Into<Targets<'a>>) -> Self {
        self.arrays.retain(|(given, _)| *given != name);
        self.wide.retain(|(given, _)| *given != name);
        match array.into() {
            Targets::Wide(array) => self.wide.push((name, array)),
            array => self.arrays.push((name, array)),
        }
        self
    }

    /// Sets `weight` or `upstream`, or keeps their f64 until they are rounded.
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

    /// The same for a shorter time: the type of an array's view fixes its lifetime.
    fn reborrowed(&self) -> Inputs<'_> {
        Inputs {
            arrays: self.arrays.iter().map(|(name, array)| (*name, array.reborrowed())).collect(),
            wide: Vec::new(),
            weight: self.weight.as_ref().map(|array| array.view()),
            mask: self.mask.as_ref().map(|array| array.view()),
            class_mask: self.class_mask.as_ref().map(|array| array.view()),
            upstream: self.upstream.as_ref().map(|array| array.view()),
            auxiliary: self.auxiliary,
            hessian: self.hessian,
        }
    }

    /// Calls `run` with all inputs of f64 rounded to f32.
    ///
    /// # Errors
    /// [`Error::Input`] for a number that f32 cannot hold: as an infinity it would be a silent surprise.
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

    /// An input by its name.
    pub(crate) fn get(&self, name: &str) -> Option<&Targets<'a>> {
        self.arrays.iter().find(|(given, _)| *given == name).map(|(_, array)| array)
    }

    /// The numbers of an input that must be there.
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

    /// Multiplies each value and its gradient: of the predictions' shape (pointwise losses), or one for each row.
    pub fn weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.with_floats("weight", FloatElement::floats(weight))
    }

    /// False takes an element or a row out, whatever stands there. Shapes as [`Inputs::weight`].
    pub fn mask<S: Data<Elem = bool>, D: Dimension>(mut self, mask: &'a ArrayBase<S, D>) -> Self {
        self.mask = Some(mask.view().into_dyn());
        self
    }

    /// One weight for each class, `[classes]`.
    pub fn class_weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.input("class_weight", FloatElement::floats(weight))
    }

    /// False takes a class out of the softmax: `[classes]`, or of the predictions' shape.
    pub fn class_mask<S: Data<Elem = bool>, D: Dimension>(
        mut self,
        mask: &'a ArrayBase<S, D>,
    ) -> Self {
        self.class_mask = Some(mask.view().into_dyn());
        self
    }

    /// The weight of the positive side of each column, `[columns]`.
    pub fn pos_weight<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        weight: &'a ArrayBase<S, D>,
    ) -> Self {
        self.input("pos_weight", FloatElement::floats(weight))
    }

    /// dL/d(value), which the gradient is multiplied by: of the value's shape.
    pub fn upstream<S: Data<Elem: FloatElement>, D: Dimension>(
        self,
        upstream: &'a ArrayBase<S, D>,
    ) -> Self {
        self.with_floats("upstream", FloatElement::floats(upstream))
    }

    /// Asks for what a class-axis loss can hand back besides: [`crate::Auxiliaries`].
    pub fn auxiliary(mut self) -> Self {
        self.auxiliary = true;
        self
    }

    /// Asks for the diagonal of the Hessian besides: the derivative of each number of the gradient by its own prediction, times
    /// everything that the gradient is (factor, weight, mask, upstream). For gradient boosting take [`crate::Reduction::Sum`] or
    /// `None`, so that no factor is in it. Losses have it whose predictions are those of a generalized linear model:
    /// `mse`, `poisson_nll`, `gamma_deviance`, `tweedie`, `bce_with_logits`, `cross_entropy` (without `softcap` and
    /// `target_logit_transform`); others refuse. A second pass over the data; nobody else pays for it.
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
}

/// Sizes of a call whose shapes fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Rows of a row-wise loss; the leading axis of a pointwise one.
    pub rows: usize,
    /// Elements in a row.
    pub row_length: usize,
    /// Length of the last axis.
    pub columns: usize,
    /// The shape of the unreduced value.
    pub value_shape: Vec<usize>,
}

impl Sizes {
    /// From the shapes of predictions and targets.
    pub fn of(
        loss: &dyn LossDefinition,
        predictions: &[usize],
        targets: &[usize],
        labels: bool,
    ) -> Result<Self> {
        let name = loss.name();
        let rowwise = !loss.is_pointwise();
        let takes_labels = loss.targets().takes_labels();
        if labels && !takes_labels {
            let allowed = format!(
                "it takes dense targets (floats) of the predictions' shape {predictions:?}"
            );
            return Err(input_error(loss, "targets", "are class labels", allowed));
        }
        if rowwise && predictions.is_empty() {
            let found = format!("predictions are {predictions:?}");
            return Err(shape_error(name, found, "they must be [rows, classes]"));
        }
        if !labels && !loss.targets().takes_dense() {
            return Err(wants_labels(name));
        }
        let leading = if rowwise { &predictions[..predictions.len() - 1] } else { predictions };
        let fitting = if labels { leading } else { predictions };
        if targets != fitting {
            let found = format!("predictions are {predictions:?} but targets are {targets:?}");
            let allowed = if labels && !loss.targets().takes_dense() {
                format!("targets must be labels {leading:?}")
            } else if takes_labels {
                format!("targets must be labels {leading:?} or dense {predictions:?}")
            } else {
                format!("targets must be {predictions:?} too")
            };
            return Err(shape_error(name, found, &allowed));
        }
        let elements: usize = predictions.iter().product();
        if elements == 0 {
            return Err(Error::Empty {
                operation: name.into(),
                name: format!("predictions {predictions:?}"),
            });
        }
        if elements > u32::MAX as usize {
            return Err(Error::TooLarge {
                name: format!("predictions {predictions:?} of {name}"),
                bytes: 4 * elements as u64,
                limit: 4 * u64::from(u32::MAX),
                advice: "split them and use reduction `divisor`".into(),
            });
        }
        let columns = predictions.last().copied().unwrap_or(1);
        let (rows, value_shape) = if rowwise {
            (elements / columns, leading.to_vec())
        } else {
            (predictions.first().copied().unwrap_or(1), predictions.to_vec())
        };
        Ok(Sizes { rows, row_length: elements / rows, columns, value_shape })
    }

    /// The shape of one number for each row.
    fn row_shape(&self, rowwise: bool) -> &[usize] {
        if rowwise { &self.value_shape } else { &self.value_shape[..self.value_shape.len().min(1)] }
    }

    /// Whether a weight or mask has one number for each row (true) or for each element (false).
    pub fn is_per_row(
        &self,
        loss: &dyn LossDefinition,
        name: &str,
        shape: &[usize],
    ) -> Result<bool> {
        let rowwise = !loss.is_pointwise();
        if !rowwise && shape == self.value_shape {
            return Ok(false);
        }
        let rows = self.row_shape(rowwise);
        // [rows, 1] says the same as [rows].
        let trimmed = if shape.len() == rows.len() + 1 && shape.last() == Some(&1) {
            &shape[..rows.len()]
        } else {
            shape
        };
        if trimmed == rows {
            return Ok(true);
        }
        let elements = if rowwise {
            String::new()
        } else {
            format!("{:?} (one for each element) or ", self.value_shape)
        };
        let found = format!("{name} is {shape:?}");
        Err(shape_error(
            loss.name(),
            found,
            &format!("it must be {elements}{rows:?} (one for each row)"),
        ))
    }

    /// Whether a class mask is for all rows (true) or for each cell (false).
    pub fn is_per_column(
        &self,
        loss: &dyn LossDefinition,
        predictions: &[usize],
        shape: &[usize],
    ) -> Result<bool> {
        if shape == predictions {
            return Ok(shape.len() == 1);
        }
        if shape == [self.columns] {
            return Ok(true);
        }
        let allowed =
            format!("it must be [{}] (one for each class) or {predictions:?}", self.columns);
        Err(shape_error(loss.name(), format!("class_mask is {shape:?}"), &allowed))
    }
}

/// Refuses the Hessian of a loss that has none.
pub(crate) fn check_hessian(loss: &dyn LossDefinition, asked: bool) -> Result<()> {
    if !asked || loss.spec().hessian_diagonal {
        return Ok(());
    }
    let allowed = "those of generalized linear models have it: mse, poisson_nll, gamma_deviance, tweedie, bce_with_logits, \
                   cross_entropy (without softcap and target_logit_transform)";
    Err(input_error(loss, "the diagonal of the Hessian", "was asked for", allowed))
}

/// Refuses the auxiliary outputs of a loss that has none.
pub(crate) fn check_auxiliary(loss: &dyn LossDefinition, asked: bool) -> Result<()> {
    if !asked || loss.spec().auxiliary {
        return Ok(());
    }
    let allowed = "only a loss over classes (cross_entropy) has them";
    Err(input_error(loss, "auxiliary outputs", "were asked for", allowed))
}

/// An [`Error::Input`].
pub(crate) fn input_error(
    loss: &dyn LossDefinition,
    name: &str,
    found: impl Into<String>,
    allowed: impl Into<String>,
) -> Error {
    let operation = loss.name().into();
    Error::Input { operation, name: name.into(), found: found.into(), allowed: allowed.into() }
}

/// The refusal of targets in lists where an array is wanted.
pub(crate) fn no_lists(loss: &dyn LossDefinition, name: &str) -> Error {
    let allowed = "a criterion takes an array [lists, items], padded with numbers below 0; lists are what a model is trained on";
    input_error(loss, name, "are in lists", allowed)
}

/// The refusal of dense targets.
fn wants_labels(operation: &str) -> Error {
    Error::Input {
        operation: operation.into(),
        name: "targets".into(),
        found: "are dense".into(),
        allowed: "it takes class labels (i64, i32, u64, usize, u32 or u8), one for each row".into(),
    }
}

/// An [`Error::Shape`].
pub(crate) fn shape_error(operation: &str, found: String, allowed: &str) -> Error {
    Error::Shape { operation: operation.into(), found, allowed: allowed.into() }
}

/// The names of all inputs that a loss takes.
pub(crate) fn known(loss: &dyn LossDefinition) -> Vec<&'static str> {
    let own: &[&str] = if loss.arguments().is_empty() { &["predictions", "targets"] } else { &[] };
    let arguments = loss.arguments().iter().map(|argument| argument.name);
    let optional = loss.inputs().iter().map(|input| input.name);
    own.iter().copied().chain(arguments).chain(["weight", "mask"]).chain(optional).collect()
}

/// Refuses an input that the loss does not know.
pub(crate) fn check_known(loss: &dyn LossDefinition, name: &str) -> Result<()> {
    let known = known(loss);
    if known.contains(&name) {
        return Ok(());
    }
    Err(Error::unknown(&format!("input of {}", loss.name()), name, known))
}

/// Refuses targets outside what the loss takes. NaN passes: it comes out as NaN.
pub(crate) fn check_dense(loss: &dyn LossDefinition, targets: &[f32]) -> Result<()> {
    check_domain(loss, "targets", loss.targets(), targets)
}

/// Refuses numbers of an input outside what the loss takes. NaN passes: it comes out as NaN.
pub(crate) fn check_domain(
    loss: &dyn LossDefinition,
    name: &str,
    domain: Domain,
    targets: &[f32],
) -> Result<()> {
    let (found, allowed) = match domain {
        Domain::Sign => (
            first_refused(targets, |y| (y != 1.0) & (y != -1.0)),
            "they must be -1 or +1 (0 and 1: option labels = \"zero_one\")",
        ),
        Domain::ZeroOne => {
            (first_refused(targets, |y| (y != 0.0) & (y != 1.0)), "they must be 0 or 1")
        }
        Domain::Probability => {
            (first_refused(targets, |y| !(0.0..=1.0).contains(&y)), "they must be from 0 to 1")
        }
        Domain::LogProbability => (first_refused(targets, |y| y > 0.0), "they must not be above 0"),
        Domain::Positive => (first_refused(targets, |y| y <= 0.0), "they must be above 0"),
        Domain::NonNegative | Domain::Variance | Domain::Distribution => {
            (first_refused(targets, |y| y < 0.0), "they must not be negative")
        }
        Domain::Label => return Err(wants_labels(name)),
        Domain::ClassList => (
            first_refused(targets, |y| (y < -1.0) | (y.fract() != 0.0)),
            "they must be class numbers, each row's list ended by -1",
        ),
        Domain::Grade => (
            first_refused(targets, |y| y > 100.0),
            "they must be up to 100: 2 to the power of each is taken",
        ),
        Domain::Real
        | Domain::Exponent
        | Domain::Logits
        | Domain::Cosine
        | Domain::LogDistribution
        | Domain::Class
        | Domain::Relevance => return Ok(()),
    };
    let Some(index) = found else {
        return Ok(());
    };
    Err(input_error(
        loss,
        name,
        format!("hold {} at element {index}", exact(targets[index].into())),
        allowed,
    ))
}

/// Refuses a class of a row's list that there is not; `keeps` says which rows count at all.
pub(crate) fn check_class_lists(
    loss: &dyn LossDefinition,
    targets: &[f32],
    classes: usize,
    keeps: impl Fn(usize) -> bool,
) -> Result<()> {
    for (row, list) in targets.chunks_exact(classes).enumerate().filter(|(row, _)| keeps(*row)) {
        let mut listed = list.iter().take_while(|&&class| class != -1.0);
        if let Some(&class) = listed.find(|&&class| class >= classes as f32) {
            // Far from every class the message shows the number as it is in the file: as an i64 it would be another.
            if class.abs() >= 1e9 {
                let found = format!("name class {} in row {row}", exact(class.into()));
                return Err(input_error(
                    loss,
                    "targets",
                    found,
                    format!("classes are 0 to {}", classes - 1),
                ));
            }
            return Err(label_error(loss, row, class as i64, classes));
        }
    }
    Ok(())
}

/// What `mean` counts in a list: the pairs of items whose targets differ, or 1 if there is an item at all.
pub(crate) fn list_units(loss: &dyn LossDefinition, targets: &[f32]) -> usize {
    // NaN is no padding.
    let kept = || targets.iter().copied().filter(|&y| y.is_nan() || y >= 0.0);
    if loss.spec().mean != Mean::OverPairs {
        return usize::from(kept().next().is_some());
    }
    let mut truths: Vec<f32> = kept().map(|y| y + 0.0).collect();
    truths.sort_by(f32::total_cmp);
    let mut pairs = 0;
    let mut lower = 0;
    for (place, truth) in truths.iter().enumerate() {
        // As the device compares: nothing is above or below NaN.
        if place > 0 && *truth != truths[place - 1] {
            lower = place;
        }
        pairs += if truth.is_nan() { 0 } else { lower };
    }
    pairs
}

/// Where the first number stands that is refused and no NaN. On all cores and without a branch for each number: a search one by
/// one took five times as long as the loss itself.
fn first_refused(targets: &[f32], refused: impl Fn(f32) -> bool + Sync) -> Option<usize> {
    let is_bad = |y: f32| refused(y) & !y.is_nan();
    let bad = parallel::sum(targets.len(), parallel::PIECE, |range| {
        simd::dispatch(
            #[inline(always)]
            || targets[range].iter().fold(0_u32, |count, &y| count + u32::from(is_bad(y))),
        )
        .into()
    });
    if bad == 0.0 { None } else { targets.iter().position(|&y| is_bad(y)) }
}

/// Refuses a label that is neither a class nor ignored; `keeps` says which rows count at all.
pub(crate) fn check_labels(
    loss: &dyn LossDefinition,
    labels: &[i64],
    columns: usize,
    keeps: impl Fn(usize) -> bool,
) -> Result<()> {
    let classes = loss.classes(columns);
    // Mostly all of them are classes, which a loop without branches finds out sooner than one that asks for more. A negative label is
    // a large one without its sign.
    let others: usize =
        labels.iter().map(|&label| usize::from(label as u64 >= classes as u64)).sum();
    if others == 0 {
        return Ok(());
    }
    let ignored = loss.ignored();
    let bad = labels.iter().enumerate().find(|&(row, label)| {
        !(usize::try_from(*label).is_ok_and(|label| label < classes))
            && !ignored.contains(label)
            && keeps(row)
    });
    match bad {
        None => Ok(()),
        Some((row, &label)) => Err(label_error(loss, row, label, classes)),
    }
}

/// An [`Error::Label`] that lists what is ignored.
pub(crate) fn label_error(
    loss: &dyn LossDefinition,
    row: usize,
    label: i64,
    classes: usize,
) -> Error {
    let list: Vec<String> = loss.ignored().iter().map(ToString::to_string).collect();
    let ignored = if list.is_empty() {
        String::new()
    } else {
        format!(" or an ignored one ({})", list.join(", "))
    };
    Error::Label { operation: loss.name().into(), row, label, classes, ignored }
}
