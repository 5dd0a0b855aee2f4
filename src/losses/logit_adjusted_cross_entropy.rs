//! Logit-adjusted cross-entropy for classes of unequal frequency.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::softmax_shifted::{self, Shift};

options! {
    /// Logit-adjusted cross-entropy: softmax cross-entropy for classes of very unequal frequency,
    /// whose logits are shifted by the logarithm of the frequency during training, so that the
    /// plain logits predict as if all classes were equally frequent.
    ///
    /// lse(z) − z_y with z_c = x_c + τ ln π_c, π the input `class_prior`; derivative p_c − [c = y],
    /// p the softmax of z. Predictions are logits [rows, classes], targets labels `[rows]`,
    /// `class_prior` the frequencies `[classes]`, as shares or as counts: a common factor changes
    /// nothing. Without it all classes count as equally frequent. A class with a prior of 0 or a
    /// logit of −∞ is a masked class unless it is the label: then the loss is ∞. `mean` divides by
    /// the number of rows. Predict by the largest x, without the shift.
    ///
    /// A model's training (`Model::fit`) counts its labels for the prior, at least one of each class;
    /// `Model::evaluate` has none.
    ///
    /// Balanced softmax (Ren et al., 2020) is τ = 1.
    /// Source: A. K. Menon et al., Long-tail learning via logit adjustment, 2021.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LogitAdjustedCrossEntropy, Loss}};
    /// use ndarray::array;
    ///
    /// let (logits, labels, counts) = (array![[0.0, 0.0]], array![1_i64], array![3.0, 1.0]);
    /// let inputs = Inputs::new(&logits, &labels).input("class_prior", &counts);
    /// let step = LogitAdjustedCrossEntropy::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 4.0_f64.ln()).abs() < 1e-15); // a class of a quarter
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.75, -0.75]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LogitAdjustedCrossEntropy of "logit_adjusted_cross_entropy" {
        /// Strength τ of the adjustment.
        tau: f64 = 1.0, "> 0" if |tau| tau > 0.0 && tau.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "logit_adjusted_cross_entropy",
    summary: "classes of very unequal frequency: logits shifted by its logarithm",
    formula: "lse(z) − z_y, z = x + τ ln π",
    options: LogitAdjustedCrossEntropy::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "A. K. Menon et al., Long-tail learning via logit adjustment, 2021",
    variants: &[r#"{"tau": 0.5}"#],
    shader: shader!("losses/logit_adjusted_cross_entropy.wgsl"),
    make: make::<LogitAdjustedCrossEntropy>,
};

impl LossDefinition for LogitAdjustedCrossEntropy {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Label,
            inputs: &[CLASS_PRIOR, CLASS_MASK],
            helpers: const { &[shader!("templates/rowwise/softmax_shifted.wgsl")] },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TAU", self.tau)]
    }
}

impl Shift for LogitAdjustedCrossEntropy {
    fn scale(&self) -> f64 {
        1.0
    }

    #[inline(always)]
    fn shift<R: Real>(&self, prior: R) -> R {
        R::new(self.tau) * prior.ln()
    }
}

impl Rowwise for LogitAdjustedCrossEntropy {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        softmax_shifted::row(self, row, scale, gradient)
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        softmax_shifted::short_rows(self, rows, first, gradient, values)
    }
}
