//! Softmax cross-entropy with all common options.

mod margin;
mod row;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::catalogue::OptionDoc;
use crate::losses::prelude::{require, *};

pub use margin::TargetLogitTransform;

/// Softmax cross-entropy of logits, against class labels or dense targets.
///
/// Predictions are logits [rows, classes] (more leading axes are more rows); targets are labels
/// `[rows]` or dense [rows, classes]. With z the logits after `softcap` and `temperature`, lse = ln
/// Σ e^z, p = e^(z − lse), q_c = w_c((1 − s)t_c + s/K), t one-hot for a label, w the input
/// `class_weight`, s `label_smoothing`, K the number of classes unmasked by the input `class_mask`
/// (all without it):
///
/// loss = Σ_c q_c (lse − z_c) + `z_loss` lse², derivative ∂/∂z_c = p_c(Σq + 2 `z_loss` lse) − q_c.
///
/// `mean` divides by the sum of the class weights of the included rows for labels, by the number of
/// rows for dense targets, as PyTorch. A row with an ignored label has value and gradient 0 and is
/// not counted. A logit of −∞ is a masked class (probability 0, gradient 0, excluded from
/// smoothing) unless it is the target: then the loss is ∞. With the input `class_mask` a label on a
/// masked class costs ∞ too; the dense target of a masked class is left out, as optax's `where`.
///
/// With `target_logit_transform` the predictions are cosines: the label's becomes cos(θ + m)
/// ("arcface"), cos θ − m ("cosface") or cos(mθ) ("sphereface"), m the `margin`, and all are
/// multiplied by `scale`; see [`TargetLogitTransform`].
///
/// PyTorch `CrossEntropyLoss`, Keras `SparseCategoricalCrossentropy` and `CategoricalCrossentropy`
/// (from_logits=True), optax `softmax_cross_entropy` and `…_with_integer_labels`, Liger
/// `LigerCrossEntropyLoss`.
/// Sources: C. Szegedy et al., Rethinking the Inception architecture, 2016 (smoothing); A.
/// Chowdhery et al., PaLM, 2022 (z-loss); Gemma Team, Gemma 2, 2024 (softcap).
///
/// ```
/// use gradus::{Device, losses::{CrossEntropy, Loss}};
/// use ndarray::array;
///
/// let criterion = CrossEntropy::new().ignore_index(-100).on(&Device::reference())?;
/// let logits = array![[0.0, 0.0], [5.0, 1.0]];
/// let step = criterion.value_and_gradient(&logits, &array![1_i64, -100])?;
/// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-12);
/// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, -0.5, 0.0, 0.0]);
/// assert_eq!(step.count, 1);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {
    label_smoothing: f64,
    #[serde(deserialize_with = "crate::losses::prelude::one_or_several")]
    ignore_index: Vec<i64>,
    z_loss: f64,
    softcap: Option<f64>,
    temperature: f64,
    target_logit_transform: Option<TargetLogitTransform>,
    margin: Option<f64>,
    scale: f64,
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cross_entropy",
    summary: "softmax cross-entropy: one class of many, from images to language models",
    formula: "Σ_c w_c((1 − s)t_c + s/K)(lse − z_c) + λ lse²",
    options: CrossEntropy::OPTIONS,
    torch: "CrossEntropyLoss",
    keras: "SparseCategoricalCrossentropy, CategoricalCrossentropy (from_logits=True)",
    optax: "softmax_cross_entropy, softmax_cross_entropy_with_integer_labels",
    source: "C. Szegedy et al., Rethinking the Inception architecture, 2016; Chowdhery et al., PaLM, 2022 (z-loss)",
    variants: &[
        r#"{"label_smoothing": 0.1}"#,
        r#"{"z_loss": 0.01}"#,
        r#"{"softcap": 5.0, "temperature": 0.5}"#,
        r#"{"target_logit_transform": "arcface", "margin": 0.25, "scale": 8.0}"#,
        r#"{"target_logit_transform": "cosface", "scale": 16.0, "label_smoothing": 0.1}"#,
        r#"{"target_logit_transform": "sphereface", "margin": 3.0, "scale": 4.0}"#,
        r#"{"label_smoothing": 0.2, "ignore_index": [0, -100], "z_loss": 0.001, "softcap": 10.0, "temperature": 2.0}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/cross_entropy.wgsl"),
    make: make::<CrossEntropy>,
};

impl Default for CrossEntropy {
    fn default() -> Self {
        CrossEntropy {
            label_smoothing: 0.0,
            ignore_index: vec![-100],
            z_loss: 0.0,
            softcap: None,
            temperature: 1.0,
            target_logit_transform: None,
            margin: None,
            scale: 64.0,
        }
    }
}

impl CrossEntropy {
    pub(super) const OPTIONS: &'static [OptionDoc] = &[
        OptionDoc {
            name: "label_smoothing",
            domain: "in [0, 1]",
            meaning: "share s of the target spread over all classes",
        },
        OptionDoc {
            name: "ignore_index",
            domain: "a label or a list of up to 16",
            meaning: "labels whose rows are left out",
        },
        OptionDoc {
            name: "z_loss",
            domain: ">= 0",
            meaning: "weight λ of lse², which keeps logits from drifting",
        },
        OptionDoc {
            name: "softcap",
            domain: "> 0 or null",
            meaning: "logits become c·tanh(x/c) first",
        },
        OptionDoc {
            name: "temperature",
            domain: "> 0",
            meaning: "logits are divided by it (after the softcap)",
        },
        OptionDoc {
            name: "target_logit_transform",
            domain: "\"arcface\", \"cosface\", \"sphereface\" or null; not with a softcap",
            meaning: "predictions are cosines, and the label's gets a margin",
        },
        OptionDoc {
            name: "margin",
            domain: "in [0, π], or null: 0.5 for arcface, 0.35 for cosface; for sphereface a whole number from 1 to 8, 4",
            meaning: "the margin: of the angle for arcface, of the cosine for cosface; a factor of the angle for sphereface",
        },
        OptionDoc {
            name: "scale",
            domain: "> 0",
            meaning: "what cosines are multiplied by, where they are transformed",
        },
    ];

    /// Cross-entropy with default options; rows with label −100 are ignored.
    pub fn new() -> Self {
        Self::default()
    }

    /// Label smoothing: the fraction of the target distributed over all classes, from 0 to 1
    /// (default 0).
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The label whose rows are ignored (default −100).
    pub fn ignore_index(self, label: i64) -> Self {
        self.ignore_indices([label])
    }

    /// Up to 16 labels whose rows are ignored.
    pub fn ignore_indices(mut self, labels: impl IntoIterator<Item = i64>) -> Self {
        self.ignore_index = labels.into_iter().collect();
        self
    }

    /// Weight of lse², ≥ 0 (default 0).
    pub fn z_loss(mut self, z_loss: f64) -> Self {
        self.z_loss = z_loss;
        self
    }

    /// Replaces each logit x by c·tanh(x/c), c > 0 (default: off). Applied before the temperature.
    pub fn softcap(mut self, softcap: f64) -> Self {
        self.softcap = Some(softcap);
        self
    }

    /// Divides the logits, > 0 (default 1).
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Interprets predictions as cosines and applies a margin to the label's (default: off). Not
    /// compatible with a softcap.
    pub fn target_logit_transform(mut self, transform: TargetLogitTransform) -> Self {
        self.target_logit_transform = Some(transform);
        self
    }

    /// The margin, from 0 to π (default 0.5 for ArcFace, in radians, and 0.35 for CosFace); for
    /// SphereFace the factor of the angle, a whole number from 1 to 8 (default 4).
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = Some(margin);
        self
    }

    /// Multiplies transformed cosines, > 0 (default 64).
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }
}

impl Options for CrossEntropy {
    fn check_domains(&self) -> Result<()> {
        require(
            (0.0..=1.0).contains(&self.label_smoothing),
            &ENTRY,
            "label_smoothing",
            self.label_smoothing,
        )?;
        require(self.z_loss >= 0.0 && self.z_loss.is_finite(), &ENTRY, "z_loss", self.z_loss)?;
        let cap = self.softcap.unwrap_or(1.0);
        require(cap > 0.0 && cap.is_finite(), &ENTRY, "softcap", cap)?;
        require(
            self.temperature > 0.0 && self.temperature.is_finite(),
            &ENTRY,
            "temperature",
            self.temperature,
        )?;
        let is_multiple = self.target_logit_transform == Some(TargetLogitTransform::SphereFace);
        let margin = self.margin.unwrap_or(if is_multiple { 4.0 } else { 0.0 });
        let is_valid = match is_multiple {
            true => (1.0..=8.0).contains(&margin) && margin.fract() == 0.0,
            false => (0.0..=std::f64::consts::PI).contains(&margin),
        };
        require(is_valid, &ENTRY, "margin", margin)?;
        require(self.scale > 0.0 && self.scale.is_finite(), &ENTRY, "scale", self.scale)?;
        if let (Some(transform), Some(_)) = (self.target_logit_transform, self.softcap) {
            let found = format!("{transform:?} with a softcap");
            return Err(Error::option(ENTRY.name, "target_logit_transform", found, "one of both"));
        }
        if self.ignore_index.len() > MOST_IGNORED {
            let found = format!("a list of {}", self.ignore_index.len());
            return Err(Error::option(
                "cross_entropy",
                "ignore_index",
                found,
                "a label or a list of up to 16",
            ));
        }
        Ok(())
    }
}

impl LossDefinition for CrossEntropy {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: if self.target_logit_transform.is_some() {
                Domain::Label
            } else {
                Domain::Class
            },
            mean: Mean::OverClassWeights,
            auxiliary: true,
            peaks_first: self.label_smoothing == 0.0
                && self.softcap.is_none()
                && self.target_logit_transform.is_none(),
            inputs: &[
                CLASS_WEIGHT,
                Input {
                    name: "class_mask",
                    shape: "[classes] or [rows, classes]: false takes a class out of the softmax",
                },
            ],
            hessian_diagonal: if self.softcap.is_none() && self.target_logit_transform.is_none() {
                Some(HessianDiagonal::Rowwise(self))
            } else {
                None
            },
            predictions: if self.target_logit_transform.is_some() {
                Domain::Cosine
            } else {
                Domain::Logits
            },
            target_derivative: if self.target_logit_transform.is_none() {
                Some(TargetDerivative::Rowwise(self))
            } else {
                None
            },
            ignored: &self.ignore_index,
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let margin = self.label_margin().map_or(0.0, |margin| margin.size);
        vec![
            ("LABEL_SMOOTHING", self.label_smoothing),
            ("Z_LOSS", self.z_loss),
            ("SOFTCAP", self.softcap.unwrap_or(0.0)),
            ("TEMPERATURE", self.temperature),
            (
                "TARGET_LOGIT_TRANSFORM",
                self.target_logit_transform.map_or(0.0, |transform| f64::from(transform as u8 + 1)),
            ),
            ("MARGIN", margin),
            // Computed on the CPU because a driver's functions may be off by 2^-11.
            ("MARGIN_COSINE", margin.cos()),
            ("MARGIN_SINE", margin.sin()),
            ("SCALE", if self.target_logit_transform.is_some() { self.scale } else { 1.0 }),
        ]
    }
}
