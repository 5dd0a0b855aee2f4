//! Triplet margin loss.

use crate::cpu::real::{is_too_large, is_too_small};
use crate::losses::prelude::*;

options! {
    /// Triplet margin loss: an anchor should be nearer to its positive than to its negative by a
    /// margin.
    ///
    /// [d(a,p) − d(a,n) + m]₊, d(x,y) = ‖x − y + ε‖ₚ; `swap` uses the smaller of d(a,n) and d(p,n)
    /// as the second distance. The gradient is nonzero where the sum is 0, is halved between two
    /// equal distances under `swap`, and is 0 where a distance is 0 and at the kinks of p = 1, as
    /// in PyTorch. `anchor`, `positive` and `negative` are [rows, columns]; the values are
    /// `[rows]`.
    ///
    /// PyTorch `TripletMarginLoss`, burn `TripletMarginLoss`; here p is finite and at least 1.
    /// Source: F. Schroff, D. Kalenichenko and J. Philbin, FaceNet, 2015; swap: V. Balntas et al.,
    /// Learning local feature descriptors with triplets and shallow convolutional neural
    /// networks, 2016.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, TripletMargin}};
    /// use ndarray::array;
    ///
    /// let (anchor, positive, negative) = (array![[0.0, 0.0]], array![[3.0, 4.0]], array![[0.0, 2.0]]);
    /// let inputs = Inputs::named("anchor", &anchor).input("positive", &positive).input("negative", &negative);
    /// let step = TripletMargin::new().epsilon(0.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 4.0).abs() < 1e-12); // 5 − 2 + 1
    /// assert!((step.gradient_of("positive").unwrap()[[0, 1]] - 0.8).abs() < 1e-12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct TripletMargin of "triplet_margin" {
        /// Margin m between the distances.
        margin: f64 = 1.0, "> 0" if |margin| margin > 0.0 && margin.is_finite();
        /// Exponent p of the norm: 2 is Euclidean, 1 the sum of absolute differences.
        p: f64 = 2.0, "from 1 on, finite" if |p| p >= 1.0 && p.is_finite();
        /// Added to each difference, so that equal vectors have a nonzero distance.
        epsilon: f64 = 1e-6, ">= 0" if |epsilon| epsilon >= 0.0 && epsilon.is_finite();
        /// True to use the negative's distance to the positive if it is smaller.
        swap: bool = false, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "triplet_margin",
    summary: "nearer to the positive than to the negative, by a margin",
    formula: "[d(a,p) − d(a,n) + m]₊",
    options: TripletMargin::OPTIONS,
    torch: "TripletMarginLoss",
    keras: "",
    optax: "triplet_margin_loss",
    source: "F. Schroff, D. Kalenichenko and J. Philbin, FaceNet, 2015",
    variants: &[
        r#"{"p": 1.0, "margin": 3.0, "epsilon": 0.0}"#,
        r#"{"swap": true, "margin": 2.0}"#,
        r#"{"p": 3.5, "swap": true}"#,
        r#"{"p": 1.5}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/triplet_margin.wgsl"),
    make: make::<TripletMargin>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "anchor",
        shape: "[rows, columns]: a vector in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "positive",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "negative",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
];

impl LossDefinition for TripletMargin {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        let unrolled = if self.p == 1.0 || self.p == 2.0 { 4 } else { 0 };
        Spec { unrolled, ..Spec::distance(self, ARGUMENTS) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let flag = |on: bool| f64::from(u8::from(on));
        vec![
            ("MARGIN", self.margin),
            ("P", self.p),
            ("EPSILON", self.epsilon),
            ("SWAP", flag(self.swap)),
        ]
    }
}

impl TripletMargin {
    /// The differences anchor − positive, anchor − negative, positive − negative.
    #[inline(always)]
    fn gaps<R: Real>(&self, [a, p, n]: [R; 3]) -> [R; 3] {
        let epsilon = R::new(self.epsilon);
        [(a - p) + epsilon, (a - n) + epsilon, (p - n) + epsilon]
    }

    /// |x|ᵖ; for p other than 1 and 2 relative to the peak, so that no power overflows or
    /// underflows.
    #[inline(always)]
    fn term<R: Real>(&self, x: R, peak: R) -> R {
        if self.p == 2.0 {
            (peak * x) * (peak * x)
        } else if self.p == 1.0 {
            x.abs()
        } else if peak > R::ZERO {
            (x.abs() / peak).powf(R::new(self.p))
        } else {
            R::ZERO
        }
    }

    /// The distance, and the factor of sign(x)|x|ᵖ⁻¹ in its derivative.
    #[inline(always)]
    fn distance<R: Real>(&self, sum: R, peak: R) -> (R, R) {
        if self.p == 1.0 {
            return (sum, R::ONE);
        }
        if self.p == 2.0 {
            let scaled = sum.sqrt();
            return (scaled / peak, R::select(scaled > R::ZERO, R::ONE / scaled, R::ZERO));
        }
        if peak > R::ZERO {
            let root = R::new(1.0 / self.p);
            (peak * sum.powf(root), sum.powf(root - R::ONE))
        } else {
            (R::ZERO, R::ZERO)
        }
    }

    /// `factor` · sign(x)|x|ᵖ⁻¹.
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, peak: R, factor: R) -> R {
        if self.p == 2.0 {
            factor * (peak * x)
        } else if self.p == 1.0 {
            factor * x.sign()
        } else if peak > R::ZERO {
            factor * x.sign() * (x.abs() / peak).powf(R::new(self.p - 1.0))
        } else {
            R::ZERO
        }
    }
}

impl Distance for TripletMargin {
    fn is_scaled(&self) -> bool {
        self.p != 1.0 && self.p != 2.0
    }

    #[inline(always)]
    fn with_constants(&self, run: impl FnOnce(&Self)) {
        let with = |p: f64, swap: bool| TripletMargin { p, swap, ..self.clone() };
        match (self.p, self.swap) {
            (2.0, false) => run(&with(2.0, false)),
            (2.0, true) => run(&with(2.0, true)),
            (1.0, false) => run(&with(1.0, false)),
            (1.0, true) => run(&with(1.0, true)),
            _ => run(self),
        }
    }

    #[inline(always)]
    fn leaves_range<R: Real>(&self, [near, far, other]: [R; 3]) -> bool {
        let leaves = |square: R| is_too_large(square) | is_too_small(square);
        self.p == 2.0 && (leaves(near) | leaves(far) | (self.swap && leaves(other)))
    }

    #[inline(always)]
    fn peaks<R: Real>(&self, cells: [R; 3]) -> [R; 3] {
        self.gaps(cells).map(|gap| gap.abs())
    }

    #[inline(always)]
    fn fold<R: Real>(&self, peaks: [R; 3], cells: [R; 3]) -> [R; 3] {
        let gaps = self.gaps(cells);
        let third = if self.swap { self.term(gaps[2], peaks[2]) } else { R::ZERO };
        [self.term(gaps[0], peaks[0]), self.term(gaps[1], peaks[1]), third]
    }

    #[inline(always)]
    fn finish<R: Real>(&self, peaks: [R; 3], sums: [R; 3], _: R) -> DistanceTerms<R> {
        let (near, near_factor) = self.distance(sums[0], peaks[0]);
        let (far, far_factor) = self.distance(sums[1], peaks[1]);
        let (mut apart, mut swapped, mut other_factor) = (far, R::ZERO, R::ZERO);
        if self.swap {
            let (other, factor) = self.distance(sums[2], peaks[2]);
            swapped = R::select(other < far, R::ONE, R::select(other == far, R::new(0.5), R::ZERO));
            (apart, other_factor) = (far.min(other), factor);
        }
        let short = near - apart + R::new(self.margin);
        let passes = R::select(short >= R::ZERO, R::ONE, R::ZERO);
        let shares =
            [near_factor, -((R::ONE - swapped) * far_factor), -(swapped * other_factor), R::ZERO];
        DistanceTerms { value: short.max(R::ZERO), factors: shares.map(|share| passes * share) }
    }

    #[inline(always)]
    fn derivatives<R: Real>(
        &self,
        outcome: &DistanceTerms<R>,
        peaks: [R; 3],
        cells: [R; 3],
    ) -> [R; 3] {
        let gaps = self.gaps(cells);
        let near = self.derivative(gaps[0], peaks[0], outcome.factors[0]);
        let far = self.derivative(gaps[1], peaks[1], outcome.factors[1]);
        let other = if self.swap {
            self.derivative(gaps[2], peaks[2], outcome.factors[2])
        } else {
            R::ZERO
        };
        [near + far, other - near, -far - other]
    }
}
