//! Contrastive loss of pairs of vectors.

use crate::cpu::real::{is_too_large, is_too_small};
use crate::losses::prelude::*;

options! {
    /// Contrastive loss: two vectors should coincide where the target is 1, and be at least a
    /// margin apart where it is 0.
    ///
    /// t d² + (1 − t)[m − d]₊², d = ‖x₁ − x₂ + ε‖₂; derivative
    /// 2(t − (1 − t)[m − d]₊/d)(x₁ − x₂ + ε) for `first`, its negative for `second`; 0 where d = 0.
    /// `first` and `second` are [rows, columns], `targets` and the values `[rows]`.
    ///
    /// pytorch-metric-learning `ContrastiveLoss` uses `[d]₊` and [m − d]₊ without the squares.
    /// Source: R. Hadsell, S. Chopra and Y. LeCun, Dimensionality reduction by learning an
    /// invariant mapping, 2006.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Contrastive, Loss}};
    /// use ndarray::array;
    ///
    /// let (first, second, targets) = (array![[3.0, 4.0], [3.0, 4.0]], array![[0.0, 0.0], [0.0, 0.0]], array![1.0, 0.0]);
    /// let inputs = Inputs::named("first", &first).input("second", &second).input("targets", &targets);
    /// let step = Contrastive::new().margin(7.0).epsilon(0.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 14.5).abs() < 1e-12); // ½(5² + (7 − 5)²)
    /// assert!((step.gradient[[0, 1]] - 4.0).abs() < 1e-12 && (step.gradient[[1, 1]] + 1.6).abs() < 1e-12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Contrastive of "contrastive" {
        /// Margin m between vectors that differ.
        margin: f64 = 1.0, "> 0" if |margin| margin > 0.0 && margin.is_finite();
        /// Added to each difference, so that equal vectors have a nonzero distance.
        epsilon: f64 = 1e-6, ">= 0" if |epsilon| epsilon >= 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "contrastive",
    summary: "pairs of vectors, together or a margin apart",
    formula: "t d² + (1−t)[m−d]₊²",
    options: Contrastive::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "R. Hadsell, S. Chopra and Y. LeCun, Dimensionality reduction by learning an invariant mapping, 2006",
    variants: &[r#"{"margin": 6.0, "epsilon": 0.01}"#],
    shader: crate::runtime::wgsl::shader!("losses/contrastive.wgsl"),
    make: make::<Contrastive>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "first",
        shape: "[rows, columns]: a vector in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "second",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "[rows]: 1 for two that are alike, else 0",
        role: Role::Fixed,
        domain: Domain::ZeroOne,
    },
];

impl LossDefinition for Contrastive {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::distance(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("MARGIN", self.margin), ("EPSILON", self.epsilon)]
    }
}

impl Distance for Contrastive {
    #[inline(always)]
    fn leaves_range<R: Real>(&self, [square, ..]: [R; 3]) -> bool {
        is_too_large(square) | is_too_small(square)
    }

    #[inline(always)]
    fn peaks<R: Real>(&self, [x, y, _]: [R; 3]) -> [R; 3] {
        [((x - y) + R::new(self.epsilon)).abs(), R::ZERO, R::ZERO]
    }

    #[inline(always)]
    fn fold<R: Real>(&self, [scale, ..]: [R; 3], [x, y, _]: [R; 3]) -> [R; 3] {
        let gap = scale * ((x - y) + R::new(self.epsilon));
        [gap * gap, R::ZERO, R::ZERO]
    }

    #[inline(always)]
    fn finish<R: Real>(
        &self,
        [scale, ..]: [R; 3],
        [square, ..]: [R; 3],
        truth: R,
    ) -> DistanceTerms<R> {
        let scaled = square.sqrt();
        let short = (R::new(self.margin) - scaled / scale).max(R::ZERO);
        let apart = R::ONE - truth;
        let repulsion = R::select(scaled > R::ZERO, short / scaled, R::ZERO);
        // A square beyond f32 must not affect the value where the target is 0.
        let similar = R::select(truth == R::ZERO, R::ZERO, truth * (square / scale / scale));
        DistanceTerms {
            value: similar + apart * short * short,
            factors: [R::new(2.0) * truth, R::new(2.0) * (apart * repulsion), R::ZERO, R::ZERO],
        }
    }

    #[inline(always)]
    fn derivatives<R: Real>(
        &self,
        outcome: &DistanceTerms<R>,
        [scale, ..]: [R; 3],
        [x, y, _]: [R; 3],
    ) -> [R; 3] {
        let gap = (x - y) + R::new(self.epsilon);
        let [attraction, repulsion, ..] = outcome.factors;
        // A difference beyond f32 has derivative 0 if its factor is 0.
        let part = |factor: R, gap: R| R::select(factor == R::ZERO, R::ZERO, factor * gap);
        let derivative = part(attraction, gap) - part(repulsion, scale * gap);
        [derivative, -derivative, R::ZERO]
    }
}
