//! IoU loss of boxes.

use crate::losses::prelude::*;

options! {
    /// IoU loss of boxes: the share of the union of a predicted and a true box that they do not have
    /// in common. Without an overlap its gradient is 0: [`crate::losses::Giou`] and
    /// [`crate::losses::Diou`] have one there too.
    ///
    /// 1 − I/(U + ε), I the area of the intersection and U that of the union.
    /// Predictions and targets are [rows, 4], x1, y1, x2, y2: two opposite corners in any order. The
    /// values are `[rows]`; the gradient is that of the predictions. Where a corner lies on a side of
    /// the other box, half of the derivative passes, as in PyTorch. A NaN or an infinite corner makes
    /// value and gradient of its row NaN.
    ///
    /// Source: J. Yu et al., UnitBox: an advanced object detection network, 2016.
    ///
    /// ```
    /// use gradus::{Device, losses::{Iou, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Iou::new().on(&Device::reference())?;
    /// let (found, truth) = (array![[0.0, 0.0, 2.0, 2.0]], array![[1.0, 1.0, 3.0, 3.0]]);
    /// let step = criterion.value_and_gradient(&found, &truth)?;
    /// assert!((step.value() - 6.0 / 7.0).abs() < 1e-7); // an overlap of 1 of 4 + 4 − 1
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Iou of "iou" {
        /// Added to what divides, ε.
        epsilon: f64 = 1e-7, "from 1e-30 to 1" if |epsilon| (1e-30..=1.0).contains(&epsilon);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "iou",
    summary: "boxes: the share of their union that they do not have in common",
    formula: "1 − I/(U + ε)",
    options: Iou::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "J. Yu et al., UnitBox: an advanced object detection network, 2016",
    variants: &[r#"{"epsilon": 0.001}"#],
    shader: crate::runtime::wgsl::shader!("losses/iou.wgsl"),
    make: make::<Iou>,
};

impl LossDefinition for Iou {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::boxes(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl BoxLoss for Iou {
    fn epsilon(&self) -> f64 {
        self.epsilon
    }

    #[inline(always)]
    fn terms<R: Real>(&self, pair: &BoxPair<R>) -> BoxTerms<R> {
        pair.iou()
    }
}
