//! Cosine distance between predictions and targets.

use crate::cpu::real::{is_too_large, is_too_small};
use crate::losses::prelude::*;

options! {
    /// Cosine distance of each row of the predictions to its row of the targets: 0 in the same
    /// direction, 1 at right angles, 2 in opposite directions.
    ///
    /// 1 − cos, cos = x·y / (max(‖x‖, ε) max(‖y‖, ε)); derivative −(ŷ − cos x̂)/‖x‖ for
    /// `predictions`; none for `targets`. The derivative of a length is x/‖x‖ below ε too, and 0 at
    /// 0, as in PyTorch: a zero vector has value 1 and derivative −ŷ/ε. `predictions` and `targets`
    /// are [rows, columns]; the values are `[rows]`.
    ///
    /// PyTorch `1 - F.cosine_similarity(x, y, dim=1)`, optax `cosine_distance`, Keras
    /// `1 + CosineSimilarity`.
    /// Source: G. Salton and M. J. McGill, Introduction to Modern Information Retrieval, 1983.
    ///
    /// ```
    /// use gradus::{Device, losses::{CosineSimilarity, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = CosineSimilarity::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[2.0, 0.0]], &array![[3.0, 4.0]])?;
    /// assert!((step.value() - 0.4).abs() < 1e-7); // cos = 6/(2 · 5)
    /// assert!((step.gradient[[0, 1]] + 0.4).abs() < 1e-7); // −0.8/2 across, nothing along
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct CosineSimilarity of "cosine_similarity" {
        /// Lower bound ε of the lengths in the denominator.
        epsilon: f64 = 1e-8, "> 0" if |epsilon| epsilon > 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cosine_similarity",
    summary: "the angle between two vectors, whatever their lengths",
    formula: "1 − x·y/(‖x‖ ‖y‖)",
    options: CosineSimilarity::OPTIONS,
    torch: "functional.cosine_similarity",
    keras: "CosineSimilarity",
    optax: "cosine_distance",
    source: "G. Salton and M. J. McGill, Introduction to Modern Information Retrieval, 1983",
    variants: &[r#"{"epsilon": 0.001}"#],
    shader: crate::runtime::wgsl::shader!("losses/cosine_similarity.wgsl"),
    make: make::<CosineSimilarity>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[rows, columns]: a vector in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "of the predictions' shape",
        role: Role::Fixed,
        domain: Domain::Real,
    },
];

impl LossDefinition for CosineSimilarity {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::distance(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl Distance for CosineSimilarity {
    #[inline(always)]
    fn leaves_range<R: Real>(&self, [_, first, second]: [R; 3]) -> bool {
        is_too_large(first) | is_too_large(second) | is_too_small(first) | is_too_small(second)
    }

    #[inline(always)]
    fn peaks<R: Real>(&self, [x, y, _]: [R; 3]) -> [R; 3] {
        [x.abs(), y.abs(), R::ZERO]
    }

    #[inline(always)]
    fn fold<R: Real>(&self, [over_x, over_y, _]: [R; 3], [x, y, _]: [R; 3]) -> [R; 3] {
        let (x, y) = (over_x * x, over_y * y);
        [x * y, x * x, y * y]
    }

    #[inline(always)]
    fn finish<R: Real>(
        &self,
        scales: [R; 3],
        [product, first, second]: [R; 3],
        _: R,
    ) -> DistanceTerms<R> {
        let epsilon = R::new(self.epsilon);
        let (first, second) = (first.sqrt(), second.sqrt());
        let (over_first, over_second) =
            (first.max(scales[0] * epsilon), second.max(scales[1] * epsilon));
        // Two divisions: the product of two lengths may leave the range of f32.
        let cosine = product / over_first / over_second;
        let own = |length: R| R::select(length > R::ZERO, cosine / length, R::ZERO);
        // Not multiplied together: the product of two small factors may leave the range of f32.
        let factors = [R::ONE / over_first, R::ONE / over_second, own(first), own(second)];
        DistanceTerms { value: R::ONE - cosine, factors }
    }

    #[inline(always)]
    fn derivatives<R: Real>(
        &self,
        outcome: &DistanceTerms<R>,
        scales: [R; 3],
        [x, y, _]: [R; 3],
    ) -> [R; 3] {
        let ([over_first, over_second, first, second], [scale_x, scale_y, _]) =
            (outcome.factors, scales);
        let (x, y) = (scale_x * x, scale_y * y);
        [
            scale_x * over_first * (first * x - over_second * y),
            scale_y * over_second * (second * y - over_first * x),
            R::ZERO,
        ]
    }
}
