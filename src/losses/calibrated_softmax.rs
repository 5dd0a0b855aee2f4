//! Calibrated softmax loss of a list.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{kept_items, softmax_against};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Calibrated softmax loss: −Σ y ln softmax(s) with an additional item in each list of score 0
    /// and target `virtual_label`.
    ///
    /// The fixed score of that item determines the offset of the scores, to which softmax alone is
    /// invariant. Derivative softmax(s) (Σy + virtual_label) − y. Predictions and targets are
    /// [lists, items]; an item whose target is below 0 is padding: its score is ignored and its
    /// derivative is 0. `mean` divides by the number of lists with at least one item.
    ///
    /// Source: L. Yan, Z. Qin, X. Wang, M. Bendersky and M. Najork, Scale calibration of deep
    /// ranking models, 2022.
    ///
    /// ```
    /// use gradus::{Device, losses::{CalibratedSoftmax, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = CalibratedSoftmax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 7.0]], &array![[1.0, -1.0]])?;
    /// assert!((step.value() - 2.0 * 2.0_f64.ln()).abs() < 1e-15); // y and the virtual 1, each ln 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct CalibratedSoftmax of "calibrated_softmax" {
        /// Target of the virtual item.
        virtual_label: f64 = 1.0, "finite and >= 0" if |y| y >= 0.0 && y.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "calibrated_softmax",
    summary: "softmax of a list with a virtual item, so that scores keep a scale",
    formula: "−Σ y ln softmax(s, 0)",
    options: CalibratedSoftmax::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "L. Yan et al., Scale calibration of deep ranking models, 2022",
    variants: &[r#"{"virtual_label": 0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/calibrated_softmax.wgsl"),
    make: make::<CalibratedSoftmax>,
};

impl LossDefinition for CalibratedSoftmax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Relevance,
            item_weight: ItemWeight::OfTargets,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/rowwise/list_softmax.wgsl")] },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("VIRTUAL_LABEL", self.virtual_label)]
    }
}

impl Rowwise for CalibratedSoftmax {
    const TARGETS_ARE_PADDED: bool = true;

    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        kept_items(
            row,
            scale,
            gradient,
            #[inline(always)]
            |scores, truths, derivatives| {
                softmax_against(scores, truths, Some(self.virtual_label), derivatives)
            },
        )
    }
}
