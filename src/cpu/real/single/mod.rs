//! exp, ln, their neighbours and tanh at f32, without branches, tables or calls.
//!
//! Conditions are selects of two computed values and integers come from the bits, so a loop over these functions becomes
//! vector instructions of any width with the same bits at each width: products and sums are never fused.
//! The polynomials are weighted least-squares fits on Chebyshev nodes, reweighted towards equal ripple, of our own.

// 355/512 has 9 digits, so that its product with an exponent (8 digits) is exact; the rest of ln 2 follows (Cody and Waite).
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// 1.5·2²³: after adding it the low bits of a float are the nearest integer.
const ROUND: f32 = 12_582_912.0;
/// √½, in bits: mantissas are taken from [√½, √2), so that ln of a number near 1 has exponent 0 and loses no digit.
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;

#[inline(always)]
fn select(condition: bool, yes: f32, no: f32) -> f32 {
    if condition { yes } else { no }
}

/// 2ⁿ for n in −126 ..= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// x = n ln 2 + r with |r| ≤ ½ ln 2 (x within ±105): (n, eʳ − 1). A NaN stays in eʳ − 1.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let whole = shifted - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let tail = 1.395_052e-3;
    let tail = tail * rest + 8.368_908e-3;
    let tail = tail * rest + 4.166_620_5e-2;
    let tail = tail * rest + 1.666_652e-1;
    let tail = tail * rest + 0.5;
    (n, tail * (rest * rest) + rest)
}

/// eˣ; 0 at −∞, ∞ above 88.72, subnormal results rounded once.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // e⁸⁹ is ∞ and e⁻¹⁰⁵ is 0 in f32; comparisons with NaN are false, so NaN passes.
    let x = select(x > 89.0, 89.0, select(x < -105.0, -105.0, x));
    let (n, minus_one) = reduce(x);
    // 2ⁿ in two factors: n reaches 128 and −151, where one float cannot hold it.
    let half = n >> 1;
    ((minus_one + 1.0) * power_of_two(half)) * power_of_two(n.wrapping_sub(half))
}

/// eˣ for x ≤ 0: as [`exp`] with fewer steps, and 0 already below −87.7, where a share of a sum that holds 1 is lost anyway.
#[inline(always)]
pub(crate) fn exp_below(x: f32) -> f32 {
    // At −88 n is −127, whose power comes out as the bits of 0; a NaN fails the comparison and stays.
    let (n, minus_one) = reduce(select(x < -88.0, -88.0, x));
    (minus_one + 1.0) * power_of_two(n)
}

/// eˣ − 1.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let x = select(x > 89.0, 89.0, select(x < -20.0, -20.0, x));
    let (n, minus_one) = reduce(x);
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    // 2ⁿ(p + 1) − 1 = ((2ʰp) + (2ʰ − 2⁻ʳ)) 2ʳ with n = h + r: the bracket is exact, so small results keep their digits.
    let offset = power_of_two(half) - power_of_two(rest.wrapping_neg());
    (minus_one * power_of_two(half) + offset) * power_of_two(rest)
}

/// ln of a positive finite number, subnormal ones included.
#[inline(always)]
fn ln_positive(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let (scaled, scale) = (select(subnormal, x * 8_388_608.0, x), select(subnormal, 23.0, 0.0));
    ln_normal(scaled, scale)
}

/// ln(x · 2⁻ˢ) of a positive normal number x and a whole s.
#[inline(always)]
fn ln_normal(x: f32, scale: f32) -> f32 {
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = ((shifted as i32) >> 23) as f32 - scale;
    let f = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    let tail = -7.861_468e-2;
    let tail = tail * f + 1.288_376_2e-1;
    let tail = tail * f - 1.312_904e-1;
    let tail = tail * f + 1.418_091_8e-1;
    let tail = tail * f - 1.662_45e-1;
    let tail = tail * f + 2.000_229_7e-1;
    let tail = tail * f - 2.500_081e-1;
    let tail = tail * f + 3.333_331_7e-1;
    let square = f * f;
    let small = (tail * f * square + exponent * LN_2_LOW) - 0.5 * square;
    (f + small) + exponent * LN_2_HIGH
}

/// ln x; −∞ at 0, NaN below, ∞ at ∞.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    let inside = ln_positive(x);
    let at_zero = select(x == 0.0, f32::NEG_INFINITY, f32::NAN);
    // NaN and ∞ are their own logarithms; a NaN fails both comparisons.
    let outside = select(x <= 0.0, at_zero, x);
    select(x > 0.0 && x < f32::INFINITY, inside, outside)
}

/// ln(1 + x) = ln u + (x − (u − 1))/u with u the rounded 1 + x: the second term is what the rounding lost.
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let inside = ln_normal(u, 0.0) + (x - (u - 1.0)) / u;
    let at_pole = select(x == -1.0, f32::NEG_INFINITY, f32::NAN);
    let outside = select(x <= -1.0, at_pole, x);
    select(x > -1.0 && x < f32::INFINITY, inside, outside)
}

/// max(x, 0) + ln(1 + z), z = e^(−|x|) in [0, 1]: as [`ln_1p`], but nothing needs a special case and 1/u is nearly 1 − z/2.
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    let z = exp(-x.abs());
    let u = 1.0 + z;
    // What the rounding of u lost is below 2⁻²⁴; times the 9 % by which 1 − z/2 misses 1/u, for z near 1/2, it is no more than 5e-9.
    let tail = ln_normal(u, 0.0) + (z - (u - 1.0)) * (1.0 - 0.5 * z);
    select(x < 0.0, 0.0, x) + tail
}

/// ln(1 + z), 1/(1 + z) and z/(1 + z), z = e^(−|x|): as [`softplus`], with the quotient that is computed anyway.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> (f32, f32, f32) {
    let z = exp_below(-x.abs());
    let u = 1.0 + z;
    let high = 1.0 / u;
    (ln_normal(u, 0.0) + (z - (u - 1.0)) * high, high, z * high)
}

/// tanh |x| = −t/(t + 2) with t = e^(−2|x|) − 1; the sign is copied from x.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let t = exp_m1(-2.0 * x.abs());
    let magnitude = t / (t + 2.0);
    f32::from_bits((magnitude.to_bits() & 0x7fff_ffff) | (x.to_bits() & 0x8000_0000))
}

/// xᵖ = 2^(p log₂ x) through f64, whose spare digits the exponent needs.
#[inline(always)]
pub(crate) fn powf(x: f32, exponent: f32) -> f32 {
    let magnitude = x.abs();
    let power = exp2_wide(f64::from(exponent) * log2_wide(magnitude)) as f32;
    let at_end = |grows: bool| select(exponent == 0.0, 1.0, select(grows, f32::INFINITY, 0.0));
    let power = select(magnitude == 0.0, at_end(exponent < 0.0), power);
    let power = select(magnitude == f32::INFINITY, at_end(exponent > 0.0), power);
    // A negative base: its power has a sign if p is odd and does not exist if p is broken.
    let whole = exponent.trunc() == exponent;
    let odd = whole && (exponent * 0.5).trunc() != exponent * 0.5;
    let of_negative = select(whole, select(odd, -power, power), f32::NAN);
    let power = select(x < 0.0, of_negative, power);
    select(x.is_nan() || exponent.is_nan(), f32::NAN, power)
}

/// log₂ of a positive finite number to 1e-12, from the series of artanh s, s = (m − 1)/(m + 1), |s| ≤ 0.172.
#[inline(always)]
fn log2_wide(x: f32) -> f64 {
    let subnormal = x < f32::MIN_POSITIVE;
    let x = select(subnormal, x * 8_388_608.0, x);
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = ((shifted as i32) >> 23) - if subnormal { 23 } else { 0 };
    let mantissa = f64::from(f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let series = 1.0 / 13.0;
    let series = series * z + 1.0 / 11.0;
    let series = series * z + 1.0 / 9.0;
    let series = series * z + 1.0 / 7.0;
    let series = series * z + 1.0 / 5.0;
    let series = series * z + 1.0 / 3.0;
    let series = series * z + 1.0;
    f64::from(exponent) + series * s * (2.0 * std::f64::consts::LOG2_E)
}

/// 2ʸ to 1e-11, for what an f32 can hold: 0 below −152, ∞ above 129.
#[inline(always)]
fn exp2_wide(y: f64) -> f64 {
    const ROUND_WIDE: f64 = 6_755_399_441_055_744.0; // 1.5·2⁵²
    let y = if y > 129.0 { 129.0 } else { y };
    let y = if y < -152.0 { -152.0 } else { y };
    let shifted = y + ROUND_WIDE;
    let n = (shifted.to_bits() as i64).wrapping_sub(ROUND_WIDE.to_bits() as i64);
    let r = (y - (shifted - ROUND_WIDE)) * std::f64::consts::LN_2;
    let series = 1.0 / 362_880.0;
    let series = series * r + 1.0 / 40_320.0;
    let series = series * r + 1.0 / 5_040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    series * f64::from_bits((n.wrapping_add(1023) as u64) << 52)
}

#[cfg(test)]
mod tests;
