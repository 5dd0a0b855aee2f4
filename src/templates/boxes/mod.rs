//! Kernel template of losses of a predicted box and a true one.

use crate::cpu::real::Real;
use crate::templates::argument::{Argument, Domain, Role};

pub mod cpu;
pub(crate) mod gpu;

/// The inputs of a loss of boxes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[rows, 4]: two opposite corners of a box, x1, y1, x2, y2",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "of the same shape: the true boxes",
        role: Role::Fixed,
        domain: Domain::Real,
    },
];

/// CPU implementation of a shader over boxes.
pub trait BoxLoss: Clone + Send + Sync {
    /// Value, and derivatives with respect to the numbers of the pair.
    fn terms<R: Real>(&self, pair: &BoxPair<R>) -> BoxTerms<R>;

    /// Added to every area or square that divides.
    fn epsilon(&self) -> f64;

    /// True if the gradients are the derivatives of the values. False if part of the loss is held
    /// constant.
    fn derives_its_value(&self) -> bool {
        true
    }
}

/// Lengths of two boxes; the first of each pair of numbers is horizontal.
#[derive(Clone, Copy, Debug)]
pub struct BoxPair<R> {
    /// Area of the intersection.
    pub overlap: R,
    /// Area of the union.
    pub joined: R,
    /// Sides of the smallest box around both.
    pub hull: [R; 2],
    /// Predicted centre − true centre.
    pub apart: [R; 2],
    /// Sides of the predicted box.
    pub size: [R; 2],
    /// Sides of the true box.
    pub true_size: [R; 2],
    /// The epsilon in the scale of the areas.
    pub epsilon: R,
}

/// Result of a loss of boxes: its value, and its derivatives with respect to the members of
/// [`BoxPair`] of the same name.
#[derive(Clone, Copy, Debug)]
pub struct BoxTerms<R> {
    /// The value.
    pub value: R,
    /// By the area of the intersection.
    pub overlap: R,
    /// By the area of the union.
    pub joined: R,
    /// By the sides of the smallest box around both.
    pub hull: [R; 2],
    /// By the difference of the centres.
    pub apart: [R; 2],
    /// By the sides of the predicted box.
    pub size: [R; 2],
}

impl<R: Real> BoxPair<R> {
    /// 1 − I/(U + ε), with its derivatives.
    #[inline(always)]
    pub fn iou(&self) -> BoxTerms<R> {
        let joined = self.joined + self.epsilon;
        let ratio = self.overlap / joined;
        BoxTerms {
            value: R::ONE - ratio,
            overlap: -R::ONE / joined,
            joined: ratio / joined,
            hull: [R::ZERO; 2],
            apart: [R::ZERO; 2],
            size: [R::ZERO; 2],
        }
    }

    /// As [`BoxPair::iou`], plus the squared distance of the centres divided by the squared diagonal
    /// of the smallest box around both.
    #[inline(always)]
    pub fn diou(&self) -> BoxTerms<R> {
        let iou = self.iou();
        let two = R::new(2.0);
        let diagonal = square(self.hull) + self.epsilon;
        let distance = square(self.apart) / diagonal;
        BoxTerms {
            value: iou.value + distance,
            hull: self.hull.map(|side| -two * distance / diagonal * side),
            apart: self.apart.map(|gap| two / diagonal * gap),
            ..iou
        }
    }
}

/// The sum of the squares of two numbers.
#[inline(always)]
pub(crate) fn square<R: Real>([x, y]: [R; 2]) -> R {
    x * x + y * y
}
