//! Complete IoU loss of boxes.

use std::f64::consts::PI;

use crate::losses::prelude::*;
use crate::templates::boxes::square;

options! {
    /// Complete IoU loss of boxes: the distance IoU loss plus a term of the aspect ratios, the usual
    /// choice of detectors.
    ///
    /// 1 − I/(U + ε) + ρ²/(c² + ε) + αv, v = (4/π²)(atan(w′/h′) − atan(w/h))² of the sides of the
    /// true and the predicted box, α = v/(1 − I/(U + ε) + v + ε), which is a constant in the
    /// derivative, as in the paper and in torchvision, unless `detach` is false. I is the area of the intersection, U that of the union,
    /// ρ the distance of the centres and c the diagonal of the smallest box around both. A predicted
    /// box of size 0 has no derivative of v.
    /// Predictions and targets are [rows, 4], x1, y1, x2, y2: two opposite corners in any order. The
    /// values are `[rows]`; the gradient is that of the predictions. Where a corner lies on a side of
    /// the other box, half of the derivative passes, as in PyTorch. A NaN or an infinite corner makes
    /// value and gradient of its row NaN.
    ///
    /// torchvision `complete_box_iou_loss`.
    /// Source: Z. Zheng et al., Distance-IoU loss: faster and better learning for bounding box regression, 2020.
    ///
    /// ```
    /// use gradus::{Device, losses::{Ciou, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Ciou::new().on(&Device::reference())?;
    /// let (found, truth) = (array![[0.0, 0.0, 2.0, 2.0]], array![[1.0, 1.0, 3.0, 3.0]]);
    /// let step = criterion.value_and_gradient(&found, &truth)?;
    /// assert!((step.value() - (6.0 / 7.0 + 2.0 / 18.0)).abs() < 1e-7); // as diou: both are squares
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Ciou of "ciou" {
        /// Added to what divides, ε.
        epsilon: f64 = 1e-7, "from 1e-30 to 1" if |epsilon| (1e-30..=1.0).contains(&epsilon);
        /// True if α is a constant in the derivative.
        detach: bool = true, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "ciou",
    summary: "boxes: IoU, the distance of the centres and the aspect ratios",
    formula: "1 − I/(U + ε) + ρ²/(c² + ε) + αv",
    options: Ciou::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Z. Zheng et al., Distance-IoU loss: faster and better learning for bounding box regression, 2020",
    variants: &[r#"{"epsilon": 0.001, "detach": false}"#],
    shader: crate::runtime::wgsl::shader!("losses/ciou.wgsl"),
    make: make::<Ciou>,
};

impl LossDefinition for Ciou {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::boxes(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon), ("DETACH", f64::from(u8::from(self.detach)))]
    }
}

impl BoxLoss for Ciou {
    fn epsilon(&self) -> f64 {
        self.epsilon
    }

    #[inline(always)]
    fn terms<R: Real>(&self, pair: &BoxPair<R>) -> BoxTerms<R> {
        let ([width, height], [true_width, true_height]) = (pair.size, pair.true_size);
        // The difference of the angles as one angle: no digits are lost for similar shapes.
        let across = true_width * height - width * true_height;
        let along = true_width * width + true_height * height;
        let angle = R::new(across.to_f64().atan2(along.to_f64()));
        let v = R::new(4.0 / PI / PI) * angle * angle;
        let (iou, diou) = (pair.iou(), pair.diou());
        let share = v / (iou.value + v + pair.epsilon);
        let square = square(pair.size);
        // d(αv)/dv, and what is left of the derivative by the IoU.
        let (by_v, by_iou) = if self.detach {
            (share, R::ONE)
        } else {
            (share * (R::new(2.0) - share), R::ONE - share * share)
        };
        let factor = R::new(8.0 / PI / PI) * by_v * angle / square;
        let factor = R::select(square == R::ZERO, R::ZERO, factor);
        BoxTerms {
            value: diou.value + share * v,
            overlap: by_iou * diou.overlap,
            joined: by_iou * diou.joined,
            size: [-factor * height, factor * width],
            ..diou
        }
    }

    fn derives_its_value(&self) -> bool {
        !self.detach
    }
}
