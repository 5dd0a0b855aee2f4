//! Generalized dice loss.

use crate::losses::prelude::*;
use crate::templates::regions::Regions;

options! {
    /// Generalized dice: one minus the overlap of the regions of all classes, each weighted by the
    /// inverse square of its size, so that small organs count as much as large ones.
    ///
    /// Per item 1 − (2 Σ w_c I_c + s)/(Σ w_c(P_c + T_c) + s) over the classes, with the sums I = Σ p t,
    /// P = Σ p and T = Σ t over a class's places, and w = 1/T²; a class without t has the largest w of
    /// the others. With D the denominator and A = Σ w_c Σ (p(1 − t) + t(1 − p)) it is computed as A/D,
    /// and the derivative is w_c((1 − t)(D − A) − t(D + A))/D².
    ///
    /// Predictions (after a softmax or sigmoid) and targets are [batch, classes, places], from 0 to 1.
    /// One value per item.
    ///
    /// MONAI `GeneralizedDiceLoss`.
    /// Source: C. H. Sudre, W. Li, T. Vercauteren, S. Ourselin and M. J. Cardoso, Generalised dice
    /// overlap as a deep learning loss function for highly unbalanced segmentations, 2017.
    ///
    /// ```
    /// use gradus::{Device, losses::{GeneralizedDice, Loss}};
    /// use ndarray::array;
    ///
    /// let (p, t) = (array![[[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]], array![[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]]);
    /// let criterion = GeneralizedDice::new().smooth(0.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&p, &t)?;
    /// assert!((step.value() - 1.25 / 3.75).abs() < 1e-15); // weights 1 and ¼
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct GeneralizedDice of "generalized_dice" {
        /// Added to numerator and denominator; avoids 0/0 in items without a target.
        smooth: f64 = 1e-5, ">= 0" if |smooth| smooth >= 0.0 && smooth.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "generalized_dice",
    summary: "overlap of the regions of all classes, whatever their size",
    formula: "1 − (2 Σ w I + s)/(Σ w (P + T) + s), w = 1/T²",
    options: GeneralizedDice::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "C. H. Sudre et al., Generalised dice overlap as a deep learning loss function for highly unbalanced segmentations, 2017",
    variants: &[r#"{"smooth": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/generalized_dice.wgsl"),
    make: make::<GeneralizedDice>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[batch, classes, places]: probabilities",
        role: Role::Differentiated,
        domain: Domain::Probability,
    },
    Argument {
        name: "targets",
        shape: "of the same shape: 1 where a place is of the class, else 0, or shares",
        role: Role::Fixed,
        domain: Domain::Probability,
    },
];

impl LossDefinition for GeneralizedDice {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::regions(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("SMOOTH", self.smooth)]
    }
}

impl Regions for GeneralizedDice {
    fn weight(&self, total: f64) -> f64 {
        1.0 / total / total
    }

    fn finish(&self, found: f64, apart: f64) -> [f64; 3] {
        let right = 2.0 * found + self.smooth;
        let whole = right + apart;
        if whole == 0.0 {
            return [0.0; 3];
        }
        let loss = apart / whole;
        [loss, right / whole / whole, -(1.0 + loss) / whole]
    }
}
