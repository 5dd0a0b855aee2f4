//! Distance IoU loss of boxes.

use crate::losses::prelude::*;

options! {
    /// Distance IoU loss of boxes: the IoU loss plus the distance of the centres, relative to the box
    /// around both; converges faster than [`crate::losses::Giou`].
    ///
    /// 1 − I/(U + ε) + ρ²/(c² + ε), I the area of the intersection, U that of the union, ρ the
    /// distance of the centres and c the diagonal of the smallest box around both; from 0 to 2.
    /// Predictions and targets are [rows, 4], x1, y1, x2, y2: two opposite corners in any order. The
    /// values are `[rows]`; the gradient is that of the predictions. Where a corner lies on a side of
    /// the other box, half of the derivative passes, as in PyTorch. A NaN or an infinite corner makes
    /// value and gradient of its row NaN.
    ///
    /// torchvision `distance_box_iou_loss`.
    /// Source: Z. Zheng et al., Distance-IoU loss: faster and better learning for bounding box regression, 2020.
    ///
    /// ```
    /// use gradus::{Device, losses::{Diou, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Diou::new().on(&Device::reference())?;
    /// let (found, truth) = (array![[0.0, 0.0, 2.0, 2.0]], array![[1.0, 1.0, 3.0, 3.0]]);
    /// let step = criterion.value_and_gradient(&found, &truth)?;
    /// assert!((step.value() - (6.0 / 7.0 + 2.0 / 18.0)).abs() < 1e-7); // ρ² = 2, c² = 18
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Diou of "diou" {
        /// Added to what divides, ε.
        epsilon: f64 = 1e-7, "from 1e-30 to 1" if |epsilon| (1e-30..=1.0).contains(&epsilon);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "diou",
    summary: "boxes: IoU and the distance of the centres",
    formula: "1 − I/(U + ε) + ρ²/(c² + ε)",
    options: Diou::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Z. Zheng et al., Distance-IoU loss: faster and better learning for bounding box regression, 2020",
    variants: &[r#"{"epsilon": 0.001}"#],
    shader: crate::runtime::wgsl::shader!("losses/diou.wgsl"),
    make: make::<Diou>,
};

impl LossDefinition for Diou {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::boxes(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl BoxLoss for Diou {
    fn epsilon(&self) -> f64 {
        self.epsilon
    }

    #[inline(always)]
    fn terms<R: Real>(&self, pair: &BoxPair<R>) -> BoxTerms<R> {
        pair.diou()
    }
}
