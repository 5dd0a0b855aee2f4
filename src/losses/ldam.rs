//! Label-distribution-aware margin loss.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::softmax_shifted::{self, Shift};

options! {
    /// LDAM: cross-entropy with a margin for each class, larger for rarer ones, which need the
    /// margin more to generalize from few samples.
    ///
    /// lse(z) − z_y with z_c = s(x_c − [c = y] Δ_y), Δ_j = m (n_min/n_j)^¼, n the input `class_prior`
    /// and n_min its smallest number above 0: the margin of the rarest class is m, the others have
    /// the paper's C/n_j^¼. Derivative s(p_c − [c = y]), p the softmax of z. Predictions are logits
    /// [rows, classes], in the paper cosines of normalized features and weights; targets are labels
    /// `[rows]`; `class_prior` is the number of samples of each class, `[classes]`, or its share: a
    /// common factor changes nothing. Without it all margins are m. A logit of −∞ is a masked class
    /// unless it is the label: then the loss is ∞. `mean` divides by the number of rows; for the
    /// deferred re-weighting of the paper pass each row's weight as `weight`.
    ///
    /// A model's training (`Model::fit`) counts its labels for the prior, at least one of each class;
    /// `Model::evaluate` has none.
    ///
    /// The authors' `LDAMLoss(max_m, s)`.
    /// Source: K. Cao, C. Wei, A. Gaidon, N. Arechiga and T. Ma, Learning imbalanced datasets with
    /// label-distribution-aware margin loss, 2019.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Ldam, Loss}};
    /// use ndarray::array;
    ///
    /// let (cosines, labels, samples) = (array![[0.5, 0.25]], array![0_i64], array![16.0, 1.0]);
    /// let inputs = Inputs::new(&cosines, &labels).input("class_prior", &samples);
    /// let step = Ldam::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-12); // the margin ½/16^¼ uses up the lead
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-15.0, 15.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Ldam of "ldam" {
        /// Margin m of the rarest class.
        margin: f64 = 0.5, ">= 0" if |margin| margin >= 0.0 && margin.is_finite();
        /// Factor s of the logits.
        scale: f64 = 30.0, "> 0" if |scale| scale > 0.0 && scale.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "ldam",
    summary: "LDAM: larger margins for rarer classes",
    formula: "lse(z) − z_y, z = s(x − [c = y] m (n_min/n)^¼)",
    options: Ldam::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "K. Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, 2019",
    variants: &[r#"{"margin": 0.25, "scale": 4.0}"#],
    shader: shader!("losses/ldam.wgsl"),
    make: make::<Ldam>,
};

impl LossDefinition for Ldam {
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
        vec![("MARGIN", self.margin), ("SCALE", self.scale)]
    }
}

impl Shift for Ldam {
    const USES_LEAST: bool = true;

    fn scale(&self) -> f64 {
        self.scale
    }

    #[inline(always)]
    fn shift<R: Real>(&self, _: R) -> R {
        R::ZERO
    }

    #[inline(always)]
    fn label_shift<R: Real>(&self, samples: R, least: R) -> R {
        let ratio = R::select(samples > R::ZERO, (least / samples).min(R::ONE), R::ONE);
        R::new(self.margin) * ratio.sqrt().sqrt()
    }
}

impl Rowwise for Ldam {
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
