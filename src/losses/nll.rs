//! Negative log-likelihood.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::catalogue::OptionDoc;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows, is_ignored, stored};

/// Negative log-likelihood of log-probabilities x against class labels: −w_y x_y.
///
/// Predictions are log-probabilities [rows, classes] (more leading axes are more rows), targets
/// labels `[rows]`, w the input `class_weight`. The derivative is −w_y at the label and 0
/// elsewhere. `mean` divides by the sum of the class weights of the included rows, as PyTorch; a
/// row with an ignored label has value and gradient 0 and is not counted. −∞ at the label makes the
/// loss ∞. For logits use [`crate::losses::CrossEntropy`], which computes this from their
/// log-softmax in one pass.
///
/// PyTorch `NLLLoss`.
///
/// ```
/// use gradus::{Device, losses::{Loss, Nll}};
/// use ndarray::array;
///
/// let criterion = Nll::new().on(&Device::reference())?;
/// let step = criterion.value_and_gradient(&array![[-0.5, -1.0], [-2.0, -0.25]], &array![1_i64, -100])?;
/// assert_eq!((step.value(), step.count), (1.0, 1));
/// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, -1.0, 0.0, 0.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nll {
    #[serde(deserialize_with = "crate::losses::prelude::one_or_several")]
    ignore_index: Vec<i64>,
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "nll",
    summary: "negative log-likelihood: for a network that ends in a log-softmax",
    formula: "−w_y x_y",
    options: &[OptionDoc {
        name: "ignore_index",
        domain: "a label or a list of up to 16",
        meaning: "labels whose rows are left out",
    }],
    torch: "NLLLoss",
    keras: "",
    optax: "",
    source: "R. A. Fisher, On the mathematical foundations of theoretical statistics, 1922",
    variants: &[r#"{"ignore_index": [0, 2]}"#],
    shader: crate::runtime::wgsl::shader!("losses/nll.wgsl"),
    make: make::<Nll>,
};

impl Default for Nll {
    fn default() -> Self {
        Nll { ignore_index: vec![-100] }
    }
}

impl Nll {
    /// Rows with label −100 are ignored.
    pub fn new() -> Self {
        Self::default()
    }

    /// The label whose rows are ignored (default −100).
    #[must_use]
    pub fn ignore_index(self, label: i64) -> Self {
        self.ignore_indices([label])
    }

    /// Up to 16 labels whose rows are ignored.
    #[must_use]
    pub fn ignore_indices(mut self, labels: impl IntoIterator<Item = i64>) -> Self {
        self.ignore_index = labels.into_iter().collect();
        self
    }
}

impl Options for Nll {
    fn check_domains(&self) -> Result<()> {
        if self.ignore_index.len() > MOST_IGNORED {
            let found = format!("a list of {}", self.ignore_index.len());
            return Err(Error::option(ENTRY.name, "ignore_index", found, ENTRY.options[0].domain));
        }
        Ok(())
    }
}

impl LossDefinition for Nll {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::LogDistribution,
            targets: Domain::Label,
            inputs: &[CLASS_WEIGHT],
            mean: Mean::OverClassWeights,
            ignored: &self.ignore_index,
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for Nll {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let label = row.target;
        let weight = row.class_weight(label);
        gradient.fill(R::ZERO);
        gradient[label] = -scale * weight;
        R::select(weight == R::ZERO, R::ZERO, -weight * row.logits[label])
    }
    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        let columns = rows.columns;
        let logits = &rows.logits[first * columns..][..gradient.len()];
        // A row with a NaN anywhere is NaN, which the general path sees to.
        let mut is_broken = false;
        for &x in logits {
            is_broken |= x.is_nan();
        }
        if is_broken || !rows.has_all_classes_alike() {
            return false;
        }
        gradient.fill(0.0);
        let labels = &rows.targets[first..][..values.len()];
        let has_factors = !(rows.weight.is_empty() && rows.upstreams.is_empty());
        if !has_factors && rows.mask.is_empty() && rows.ignored.len() <= 1 {
            // Labels of rows that count are not negative.
            let ignored = rows.ignored.first().map_or(-1, |&label| stored(label));
            let (weight, scale) = rows.weight_and_scale(first);
            for (k, (&label, value)) in labels.iter().zip(values).enumerate() {
                *value = 0.0;
                if label != ignored {
                    let place = k * columns + label as usize;
                    gradient[place] = -scale;
                    *value = weight * -logits[place];
                }
            }
            return true;
        }
        for (k, (&label, value)) in labels.iter().zip(values).enumerate() {
            *value = 0.0;
            if rows.keeps(first + k) && !is_ignored(rows.ignored, label) {
                let (weight, scale) = rows.weight_and_scale(first + k);
                let place = k * columns + label as usize;
                gradient[place] = -scale;
                *value = weight * -logits[place];
            }
        }
        true
    }
}
