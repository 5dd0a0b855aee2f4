//! The two precisions of the CPU: one generic function is the f64 reference and the f32 fast path.
//!
//! A loss, an activation or an optimizer is written once over [`Real`]. At f64 it calls the
//! standard library's functions and serves as the plain reference. At f32 it calls the branch-free
//! polynomials of `single`, which the compiler vectorizes when the function is called in a loop
//! inside [`crate::cpu::simd::dispatch`].
//!
//! | f32 function | maximal error found against f64 (ulp) |
//! |---|---|
//! | `exp` | 1.0 (1 more where the result is subnormal) |
//! | `ln` | 1.0 |
//! | `exp_m1`, `ln_1p` | 2.0, relative near 0 too |
//! | `tanh` | 3.0, relative near 0 too |
//! | `sigmoid`, `softplus`, `logistic` | 2.5 |
//! | `powf` | 1.0 |
//! | `normal_cdf` | 1.5 ulp of 1 (absolute) |
//!
//! The tests of `single` and `normal` sweep the domains and enforce these bounds.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

pub(crate) mod normal;
pub(crate) mod single;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// f32 or f64, with the functions that losses, activations and optimizers need.
///
/// Every function of one argument propagates NaN. `max`, `min` and `clamp` propagate a NaN of
/// `self` but drop one of the other argument (one vector instruction each): put the value that may
/// be NaN first.
///
/// ```
/// use gradus::Real;
/// fn softplus_twice<R: Real>(x: R) -> R {
///     R::new(2.0) * x.softplus()
/// }
/// assert!((softplus_twice(0.0_f64) - 1.3862943611198906).abs() < 1e-15);
/// assert!((softplus_twice(0.0_f32) - 1.3862944).abs() < 3e-7);
/// assert!(f32::NAN.max(0.0) == 0.0 && Real::max(f32::NAN, 0.0).is_nan());
/// ```
pub trait Real:
    Copy
    + Send
    + Sync
    + Debug
    + Default
    + PartialOrd
    + 'static
    + sealed::Sealed
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;
    /// A quiet NaN.
    const NAN: Self;
    /// The lowest finite number, the initial value of a maximum.
    const LOWEST: Self;
    /// The distance from 1 to the next number.
    const EPSILON: Self;

    /// Converts a constant or an option, rounding to nearest.
    fn new(value: f64) -> Self;
    /// As f64, exactly.
    fn to_f64(self) -> f64;
    /// From f32, exactly.
    fn from_f32(value: f32) -> Self;
    /// The nearest f32.
    fn to_f32(self) -> f32;

    /// |x|.
    fn abs(self) -> Self;
    /// √x; NaN below 0.
    fn sqrt(self) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// eˣ − 1, without cancellation near 0.
    fn exp_m1(self) -> Self;
    /// The natural logarithm; −∞ at 0, NaN below.
    fn ln(self) -> Self;
    /// ln(1 + x), without cancellation near 0; −∞ at −1, NaN below.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// xᵖ for a finite p; a negative x needs a whole p, else NaN. x⁰ is 1, except for NaN.
    fn powf(self, exponent: Self) -> Self;
    /// Φ(x), the CDF of the standard normal distribution; 0 at −∞, 1 at ∞.
    fn normal_cdf(self) -> Self;
    /// A power of two that scales a positive number near 1, keeping its square representable; for 0
    /// it is 1. Exact: multiplying by it loses no bit.
    fn scale_to_one(self) -> Self;
    /// True if NaN.
    fn is_nan(self) -> bool;
    /// True if neither NaN nor infinite.
    fn is_finite(self) -> bool;

    /// Runs a loop with the vector instructions of this machine in f32, and as it stands in f64: the
    /// reference is not for speed, and each further set of instructions is a copy of every loop. See
    /// [`crate::cpu::simd::dispatch`], whose rules hold.
    #[doc(hidden)]
    fn dispatch<T>(operation: impl FnOnce() -> T) -> T;

    /// The slice itself if this precision is f32: lets a generic function call an f32 kernel.
    #[doc(hidden)]
    fn as_single(values: &[Self]) -> Option<&[f32]>;
    /// Mutable [`Real::as_single`].
    #[doc(hidden)]
    fn as_single_mut(values: &mut [Self]) -> Option<&mut [f32]>;
    /// The slice itself if this precision is f64.
    #[doc(hidden)]
    fn as_double(values: &[Self]) -> Option<&[f64]>;
    /// Mutable [`Real::as_double`].
    #[doc(hidden)]
    fn as_double_mut(values: &mut [Self]) -> Option<&mut [f64]>;

    /// A value of a family in this precision, with the precision known.
    #[doc(hidden)]
    fn by_precision<F: OfPrecision>(value: F::Of<Self>) -> ByPrecision<F>;

    /// `yes` if the condition holds, else `no`; both are evaluated, so it vectorizes.
    #[inline(always)]
    fn select(condition: bool, yes: Self, no: Self) -> Self {
        if condition { yes } else { no }
    }

    /// The larger one; a NaN of `self` is propagated, a NaN of `other` is dropped.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The smaller one; a NaN of `self` is propagated, a NaN of `other` is dropped.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self > other { other } else { self }
    }

    /// Clamps to [low, high]; NaN is propagated.
    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        Real::min(Real::max(self, low), high)
    }

    /// 1/x.
    #[inline(always)]
    fn recip(self) -> Self {
        Self::ONE / self
    }

    /// −1, 0 or 1; 0 at 0 (of either sign), NaN for NaN.
    #[inline(always)]
    fn sign(self) -> Self {
        let negative = Self::select(self < Self::ZERO, -Self::ONE, self);
        Self::select(self > Self::ZERO, Self::ONE, negative)
    }

    /// xⁿ by repeated squaring; vectorizes if n is a constant.
    #[inline(always)]
    fn powi(self, exponent: i32) -> Self {
        let mut power = Self::ONE;
        let mut square = self;
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                power *= square;
            }
            square *= square;
            rest >>= 1;
        }
        if exponent < 0 { power.recip() } else { power }
    }

    /// σ(x) = 1/(1 + e⁻ˣ), from e^(−|x|) to avoid overflow and keep the digits of small results.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let decay = Real::exp(-Real::abs(self));
        // A NaN x makes `decay` NaN, with either numerator.
        Self::select(self < Self::ZERO, decay, Self::ONE) / (Self::ONE + decay)
    }

    /// sp(x) = ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|)).
    #[inline(always)]
    fn softplus(self) -> Self {
        Real::max(self, Self::ZERO) + Real::ln_1p(Real::exp(-Real::abs(self)))
    }

    /// ln(1 + e^(−|x|)), σ(|x|) and σ(−|x|), the terms of the logistic losses, from one exponential
    /// and one division.
    ///
    /// ```
    /// use gradus::Real;
    /// let (tail, high, low) = (-2.0_f64).logistic();
    /// assert_eq!((2.0 + tail, low), (2.0_f64.softplus(), (-2.0_f64).sigmoid()));
    /// assert!((high + low - 1.0).abs() < 1e-15);
    /// ```
    #[inline(always)]
    fn logistic(self) -> (Self, Self, Self) {
        let decay = Real::exp(-Real::abs(self));
        let high = Self::ONE / (Self::ONE + decay);
        (Real::ln_1p(decay), high, decay * high)
    }
}

macro_rules! constants {
    ($real:ident) => {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const INFINITY: Self = $real::INFINITY;
        const NEG_INFINITY: Self = $real::NEG_INFINITY;
        const NAN: Self = $real::NAN;
        const LOWEST: Self = $real::MIN;
        const EPSILON: Self = $real::EPSILON;
    };
}

/// The functions that are single instructions of the standard library in both precisions.
macro_rules! plain {
    ($real:ident) => {
        #[inline(always)]
        fn abs(self) -> Self {
            $real::abs(self)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            $real::sqrt(self)
        }
        #[inline(always)]
        fn scale_to_one(self) -> Self {
            const MANTISSA: u32 = $real::MANTISSA_DIGITS - 1;
            let largest = $real::MAX.to_bits() >> MANTISSA;
            // Not the outermost exponents: the power itself must not be subnormal, which a GPU
            // flushes to 0. Nor beyond 2^100, so that a length used as a divisor can be scaled too.
            let exponent = (self.to_bits() >> MANTISSA).clamp(largest / 2 - 100, largest - 2);
            if self > 0.0 { $real::from_bits((largest - exponent) << MANTISSA) } else { 1.0 }
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            $real::is_nan(self)
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            $real::is_finite(self)
        }
        #[inline(always)]
        fn new(value: f64) -> Self {
            value as $real
        }
        #[inline(always)]
        fn from_f32(value: f32) -> Self {
            $real::from(value)
        }
    };
}

/// A family of types with a precision as parameter, as slices of it are.
#[doc(hidden)]
pub trait OfPrecision {
    /// Its type in a precision.
    type Of<R: Real>;
}

/// A value of a family in one of the two precisions: how code that is generic in the precision
/// calls code that is written for each.
#[doc(hidden)]
pub enum ByPrecision<F: OfPrecision> {
    /// In f32.
    Single(F::Of<f32>),
    /// In f64.
    Double(F::Of<f64>),
}

impl Real for f64 {
    constants!(f64);
    plain!(f64);

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn exp_m1(self) -> Self {
        f64::exp_m1(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    fn powf(self, exponent: Self) -> Self {
        // The standard defines NaN⁰ = 1, which would hide a NaN.
        if self.is_nan() { self } else { f64::powf(self, exponent) }
    }
    fn normal_cdf(self) -> Self {
        normal::double(self)
    }
    #[inline(always)]
    fn dispatch<T>(operation: impl FnOnce() -> T) -> T {
        operation()
    }
    fn as_single(_: &[Self]) -> Option<&[f32]> {
        None
    }
    fn as_single_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
    fn as_double(values: &[Self]) -> Option<&[f64]> {
        Some(values)
    }
    fn as_double_mut(values: &mut [Self]) -> Option<&mut [f64]> {
        Some(values)
    }
    fn by_precision<F: OfPrecision>(value: F::Of<f64>) -> ByPrecision<F> {
        ByPrecision::Double(value)
    }
}

impl Real for f32 {
    constants!(f32);
    plain!(f32);

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn exp(self) -> Self {
        single::exp(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        single::exp_m1(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        single::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        single::ln_1p(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        single::tanh(self)
    }
    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        single::powf(self, exponent)
    }
    #[inline(always)]
    fn softplus(self) -> Self {
        single::softplus(self)
    }
    #[inline(always)]
    fn logistic(self) -> (Self, Self, Self) {
        single::logistic(self)
    }
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        normal::single(self)
    }
    #[inline(always)]
    fn dispatch<T>(operation: impl FnOnce() -> T) -> T {
        pulp::Arch::new().dispatch(operation)
    }
    fn as_single(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
    fn as_single_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }
    fn as_double(_: &[Self]) -> Option<&[f64]> {
        None
    }
    fn as_double_mut(_: &mut [Self]) -> Option<&mut [f64]> {
        None
    }
    fn by_precision<F: OfPrecision>(value: F::Of<f32>) -> ByPrecision<F> {
        ByPrecision::Single(value)
    }
}
/// True if a sum of squares overflows f32, or nearly.
#[inline(always)]
pub(crate) fn is_too_large<R: Real>(square: R) -> bool {
    square > R::new(1e37)
}

/// True if a sum of squares is so small that some terms underflowed.
#[inline(always)]
pub(crate) fn is_too_small<R: Real>(square: R) -> bool {
    square < R::new(1e-30)
}
