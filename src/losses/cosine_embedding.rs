//! Cosine embedding loss of pairs of vectors.

use crate::cpu::real::is_too_large;
use crate::losses::prelude::*;

options! {
    /// Cosine embedding loss: two vectors should point the same way where the target is +1, and
    /// have a cosine of at most a margin where it is −1.
    ///
    /// y = 1: 1 − cos; y = −1: [cos − m]₊; cos = x₁·x₂ / √((‖x₁‖² + δ)(‖x₂‖² + δ)), δ = 10⁻¹², as
    /// in PyTorch: a zero vector has cosine 0. The gradient is nonzero at cos = m, as in PyTorch.
    /// `first` and `second` are [rows, columns], `targets` and the values `[rows]`.
    ///
    /// PyTorch `CosineEmbeddingLoss`, burn `CosineEmbeddingLoss`.
    /// Source: A. Frome et al., DeViSE: a deep visual-semantic embedding model, 2013.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{CosineEmbedding, Loss}};
    /// use ndarray::array;
    ///
    /// let (first, second, targets) = (array![[2.0, 0.0]], array![[3.0, 4.0]], array![-1.0]);
    /// let inputs = Inputs::named("first", &first).input("second", &second).input("targets", &targets);
    /// let step = CosineEmbedding::new().margin(0.5).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 0.1).abs() < 1e-7); // cos 0.6 is 0.1 above the margin
    /// assert!((step.gradient[[0, 1]] - 0.4).abs() < 1e-7); // 0.8/2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct CosineEmbedding of "cosine_embedding" {
        /// Margin m: largest cosine with a loss of 0 for target −1.
        margin: f64 = 0.0, "from -1 to 1" if |margin| (-1.0..=1.0).contains(&margin);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cosine_embedding",
    summary: "pairs of vectors, alike or not, by their angle",
    formula: "y=1: 1 − cos; y=−1: [cos − m]₊",
    options: CosineEmbedding::OPTIONS,
    torch: "CosineEmbeddingLoss",
    keras: "",
    optax: "",
    source: "A. Frome et al., DeViSE: a deep visual-semantic embedding model, 2013",
    variants: &[r#"{"margin": 0.3}"#],
    shader: crate::runtime::wgsl::shader!("losses/cosine_embedding.wgsl"),
    make: make::<CosineEmbedding>,
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
        shape: "[rows]: +1 or -1",
        role: Role::Fixed,
        domain: Domain::Sign,
    },
];

impl LossDefinition for CosineEmbedding {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::distance(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("MARGIN", self.margin)]
    }
}

impl Distance for CosineEmbedding {
    #[inline(always)]
    fn leaves_range<R: Real>(&self, [_, first, second]: [R; 3]) -> bool {
        // Small ones are negligible next to the added 1e-12.
        is_too_large(first) | is_too_large(second)
    }

    #[inline(always)]
    fn peaks<R: Real>(&self, [x, y, _]: [R; 3]) -> [R; 3] {
        // At least 1: the scales are for large numbers only; with a small vector next to a large
        // one the 1e-12 would leave the range of f32.
        [x.abs().max(R::ONE), y.abs().max(R::ONE), R::ZERO]
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
        truth: R,
    ) -> DistanceTerms<R> {
        let added = |scale: R| scale * (scale * R::new(1e-12));
        let (first, second) = (first + added(scales[0]), second + added(scales[1]));
        let (length, other) = (first.sqrt(), second.sqrt());
        let cosine = product / length / other;
        let above = cosine - R::new(self.margin);
        let (value, derivative) = if truth > R::ZERO {
            (R::ONE - cosine, -R::ONE)
        } else {
            (above.max(R::ZERO), R::select(above >= R::ZERO, R::ONE, R::ZERO))
        };
        DistanceTerms {
            value,
            factors: [
                derivative / length,
                R::ONE / other,
                cosine / length,
                derivative * cosine / other,
            ],
        }
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
            scale_x * over_first * (over_second * y - first * x),
            scale_y * over_second * (over_first * x - second * y),
            R::ZERO,
        ]
    }
}
