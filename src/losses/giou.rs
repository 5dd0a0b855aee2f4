//! Generalized IoU loss of boxes.

use crate::losses::prelude::*;

options! {
    /// Generalized IoU loss of boxes: the IoU loss plus the empty share of the smallest box around
    /// both, which draws boxes together that do not overlap.
    ///
    /// 1 − I/(U + ε) + (C − U)/(C + ε), I the area of the intersection, U that of the union and C that
    /// of the smallest box around both; from 0 to 2.
    /// Predictions and targets are [rows, 4], x1, y1, x2, y2: two opposite corners in any order. The
    /// values are `[rows]`; the gradient is that of the predictions. Where a corner lies on a side of
    /// the other box, half of the derivative passes, as in PyTorch. A NaN or an infinite corner makes
    /// value and gradient of its row NaN.
    ///
    /// torchvision `generalized_box_iou_loss`.
    /// Source: H. Rezatofighi et al., Generalized intersection over union, 2019.
    ///
    /// ```
    /// use gradus::{Device, losses::{Giou, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Giou::new().on(&Device::reference())?;
    /// let (found, truth) = (array![[0.0, 0.0, 2.0, 2.0]], array![[1.0, 1.0, 3.0, 3.0]]);
    /// let step = criterion.value_and_gradient(&found, &truth)?;
    /// assert!((step.value() - (6.0 / 7.0 + 2.0 / 9.0)).abs() < 1e-7); // 2 of the 9 around both are empty
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Giou of "giou" {
        /// Added to what divides, ε.
        epsilon: f64 = 1e-7, "from 1e-30 to 1" if |epsilon| (1e-30..=1.0).contains(&epsilon);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "giou",
    summary: "boxes: IoU, with a gradient where they do not overlap",
    formula: "1 − I/(U + ε) + (C − U)/(C + ε)",
    options: Giou::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "H. Rezatofighi et al., Generalized intersection over union, 2019",
    variants: &[r#"{"epsilon": 0.001}"#],
    shader: crate::runtime::wgsl::shader!("losses/giou.wgsl"),
    make: make::<Giou>,
};

impl LossDefinition for Giou {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::boxes(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl BoxLoss for Giou {
    fn epsilon(&self) -> f64 {
        self.epsilon
    }

    #[inline(always)]
    fn terms<R: Real>(&self, pair: &BoxPair<R>) -> BoxTerms<R> {
        let iou = pair.iou();
        let [width, height] = pair.hull;
        let hull = width * height;
        let around = hull + pair.epsilon;
        let d_hull = (pair.joined + pair.epsilon) / around / around;
        BoxTerms {
            value: iou.value + (hull - pair.joined) / around,
            joined: iou.joined - R::ONE / around,
            hull: [d_hull * height, d_hull * width],
            ..iou
        }
    }
}
