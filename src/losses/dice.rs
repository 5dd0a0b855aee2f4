//! Dice loss.

use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Dice loss of probabilities p against t: one minus the overlap of two sets.
    ///
    /// Per row 1 − (2I + s)/(Σ w_c(p_c + t_c) + s), I = Σ w_c p_c t_c, w the input `class_weight`.
    /// With D the denominator and A = Σ w_c(p_c(1 − t_c) + t_c(1 − p_c)) it is computed as A/D, and
    /// the derivative is w_c((1 − t_c)(2I + s) − t_c(D + A))/D². Where D = 0 (empty sets and
    /// `smooth` 0) both are 0. Predictions (after a sigmoid or softmax) and targets [rows,
    /// classes], from 0 to 1; in segmentation the pixels of a class are a row. `mean` divides by
    /// the number of rows.
    ///
    /// Keras `Dice` (all rows as one), MONAI `DiceLoss`.
    /// Source: F. Milletari, N. Navab and S.-A. Ahmadi, V-Net, 2016, after L. R. Dice, 1945.
    ///
    /// ```
    /// use gradus::{Device, losses::{Dice, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Dice::new().smooth(0.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.5, 0.5]], &array![[1.0, 0.0]])?;
    /// assert_eq!(step.value(), 0.5); // 1 − 2·½/(1 + 1)
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.75, 0.25]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Dice of "dice" {
        /// Added to numerator and denominator; avoids 0/0 in rows without a target.
        smooth: f64 = 1.0, ">= 0" if |smooth| smooth >= 0.0 && smooth.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "dice",
    summary: "overlap of two sets: segmentation, where most pixels are background",
    formula: "1 − (2 Σ p t + s)/(Σ p + Σ t + s)",
    options: Dice::OPTIONS,
    torch: "",
    keras: "Dice",
    optax: "",
    source: "F. Milletari et al., V-Net, 2016; L. R. Dice, 1945",
    variants: &[r#"{"smooth": 0.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/dice.wgsl"),
    make: make::<Dice>,
};

impl LossDefinition for Dice {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Probability,
            targets: Domain::Probability,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("SMOOTH", self.smooth)]
    }
}

impl Rowwise for Dice {
    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let dense = row.target;
        let found = row.sum_over_classes(
            dense,
            #[inline(always)]
            |w, p, t| w * (p * t),
        );
        let apart = row.sum_over_classes(
            dense,
            #[inline(always)]
            |w, p, t| w * (p * (R::ONE - t) + t * (R::ONE - p)),
        );
        let right = R::new(2.0) * found + R::new(self.smooth);
        let whole = right + apart;
        if whole == R::ZERO {
            gradient.fill(R::ZERO);
            return R::ZERO;
        }
        let loss = apart / whole;
        let (near, far) = (scale * right / whole / whole, -scale * (R::ONE + loss) / whole);
        row.write_derivatives(
            dense,
            gradient,
            #[inline(always)]
            |w, t| w * ((R::ONE - t) * near + t * far),
        );
        loss
    }
}
