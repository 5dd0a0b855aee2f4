//! Focal loss over classes.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::rows::Row;
use crate::templates::rowwise::softmax_target::{OfSoftmax, SoftmaxStatistics, ValueWithPartials};
use crate::templates::rowwise::target::{RowTarget, Target};

options! {
    /// Focal loss of logits: cross-entropy, down-weighted for well-classified rows.
    ///
    /// −α Σ_c q_c (1 − p_c)^γ ln p_c with p the softmax, q_c = w_c((1 − s)t_c + s/K), t one-hot for a
    /// label, w the input `class_weight` (an α for each class), s `label_smoothing`, K the number of
    /// classes unmasked by the input `class_mask`. Derivative p_c Σg − g_c with
    /// g_c = α q_c (1 − p_c)^γ (1 − γ p_c ln p_c/(1 − p_c)).
    /// Predictions are logits [rows, classes], targets labels `[rows]` or dense [rows, classes].
    /// `mean` divides by the number of rows. 1 − p is computed as the sum of the other
    /// probabilities, which avoids cancellation where p approaches 1. A logit of −∞ is a masked
    /// class unless it is a target: then the loss is ∞.
    ///
    /// Keras `CategoricalFocalCrossentropy(from_logits=True)`, whose `alpha` is 0.25.
    /// Source: T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, Focal loss for dense object
    /// detection, 2017.
    ///
    /// ```
    /// use gradus::{Device, losses::{Focal, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Focal::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![1_i64])?;
    /// assert!((step.value() - 2.0_f64.ln() / 4.0).abs() < 1e-15); // ½² ln 2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Focal of "focal" {
        /// Focusing parameter γ: larger values down-weight well-classified rows more; 0 is
        /// cross-entropy.
        gamma: f64 = 2.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Weight α of all classes; the input `class_weight` weights each class.
        alpha: f64 = 1.0, ">= 0" if |alpha| alpha >= 0.0 && alpha.is_finite();
        /// Share s of the target spread over all classes.
        label_smoothing: f64 = 0.0, "in [0, 1]" if |s| (0.0..=1.0).contains(&s);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "focal",
    summary: "focal: few hard examples among many easy ones",
    formula: "−α Σ q_c (1 − p_c)^γ ln p_c",
    options: Focal::OPTIONS,
    torch: "",
    keras: "CategoricalFocalCrossentropy(from_logits=True)",
    optax: "",
    source: "T.-Y. Lin et al., Focal loss for dense object detection, 2017",
    variants: &[
        r#"{"gamma": 0.5}"#,
        r#"{"gamma": 0.0, "alpha": 0.25}"#,
        r#"{"gamma": 3.5}"#,
        r#"{"label_smoothing": 0.1}"#,
    ],
    shader: shader!("losses/focal.wgsl"),
    make: make::<Focal>,
};

impl LossDefinition for Focal {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Logits,
            targets: Domain::Class,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            passes: 2,
            label_passes: if self.label_smoothing == 0.0 { 1 } else { 2 },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("GAMMA", self.gamma),
            ("ALPHA", self.alpha),
            ("LABEL_SMOOTHING", self.label_smoothing),
        ]
    }
}

impl Focal {
    /// (f, g): −α (1 − p)^γ ln p from 1 − p and −ln p, and its derivative by −ln p.
    #[inline(always)]
    fn terms<R: Real>(&self, probability: R, rest: R, cross: R) -> (R, R) {
        let gamma = R::new(self.gamma);
        // The usual exponent needs no logarithm.
        let power = if self.gamma == 2.0 { rest * rest } else { rest.powf(gamma) };
        let ease = R::new(self.alpha) * power;
        // cross/rest tends to 1 as rest tends to 0, and p ln p to 0 as p does.
        let ratio = R::select(rest == R::ZERO, R::ONE, cross / rest);
        let share = R::select(probability == R::ZERO, R::ZERO, probability * ratio);
        (R::select(ease == R::ZERO, R::ZERO, ease * cross), ease * (R::ONE + gamma * share))
    }

    /// A row with a target of several classes: dense, or a label that is smoothed.
    #[inline(always)]
    fn of_distribution<R: Real>(&self, row: &Row<'_, R>, scale: R, gradient: &mut [R]) -> R {
        let gradient = &mut gradient[..row.logits.len()];
        for (column, (z, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
            *z = R::select(row.keeps(column), x, R::NEG_INFINITY);
        }
        let is_open = |z: R| z != R::NEG_INFINITY;
        let maximum = simd::maximum(gradient);
        let maximum = R::select(is_open(maximum), maximum, R::ZERO);
        let classes = gradient.iter().filter(|&&z| is_open(z)).count();
        let share = if classes == 0 { 0.0 } else { self.label_smoothing / classes as f64 };
        // The sum without one class of the maximum: 1 − p keeps its digits where p is near 1.
        let top = gradient.iter().position(|&z| z == maximum);
        let rest = R::new(simd::sum_of(gradient.len(), |column| {
            let z = gradient[column];
            let counts = is_open(z) && top != Some(column);
            R::select(counts, (z - maximum).exp(), R::ZERO)
        }));
        let total = rest + R::select(top.is_some(), R::ONE, R::ZERO);
        let log_total = R::select(top.is_some(), rest.ln_1p(), R::ZERO);
        // A logit of +∞ is ∞ − ∞: the row is NaN.
        let broken = maximum == R::new(f64::INFINITY);
        let hard = R::new(1.0 - self.label_smoothing);
        let (mut value, mut slope) = (0.0, 0.0);
        let mut derivatives = vec![R::ZERO; gradient.len()];
        for (column, z) in gradient.iter().enumerate() {
            let t = match row.target {
                Target::Label(label) => R::select(label == column, R::ONE, R::ZERO),
                Target::Dense(dense) => R::select(row.keeps(column), dense[column], R::ZERO),
            };
            let open = is_open(*z);
            let q = row.class_weight(column) * (hard * t + R::select(open, R::new(share), R::ZERO));
            if q == R::ZERO {
                continue;
            }
            let below = *z - maximum;
            let p = R::select(open, below.exp() / total, R::ZERO);
            let apart = R::select(*z == maximum, rest / total, R::ONE - p);
            let (f, g) = self.terms(p, apart, log_total - below);
            value += (q * f).to_f64();
            derivatives[column] = R::select(open, q * g, R::ZERO);
            slope += derivatives[column].to_f64();
        }
        for (cell, own) in gradient.iter_mut().zip(derivatives) {
            let open = is_open(*cell);
            let p = (*cell - maximum).exp() / total;
            *cell = R::select(open, scale * (R::new(slope) * p - own), R::ZERO);
            *cell = R::select(open && broken, R::NAN, *cell);
        }
        R::select(broken, R::NAN, R::new(value))
    }
}

impl OfSoftmax for Focal {
    type Target<'a, R: Real> = Target<'a, R>;

    #[inline(always)]
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R> {
        let (loss, cross_derivative) =
            self.terms(statistics.probability, statistics.rest, statistics.cross);
        ValueWithPartials { loss, cross_derivative, rest_derivative: R::ZERO }
    }

    #[inline(always)]
    fn has_plain_labels(&self) -> bool {
        self.label_smoothing == 0.0
    }

    #[inline(always)]
    fn own_row<'a, R: Real>(
        &self,
        row: &Row<'a, R, Target<'a, R>>,
        scale: R,
        gradient: &mut [R],
    ) -> Option<R> {
        let is_plain = self.has_plain_labels() && matches!(row.target.either(), Target::Label(_));
        (!is_plain).then(|| self.of_distribution(row, scale, gradient))
    }
}
