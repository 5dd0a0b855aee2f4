// Numeric functions that drivers disagree on, written so that the result does not depend on the
// driver.

// A weight with these bits is not a number: its element or row is masked out. No arithmetic
// produces this NaN.
const MASKED: u32 = 0xffffffffu;

// Initial value of a maximum of logits: finite, since (-inf) - (-inf) is NaN, and far enough from
// the lowest f32 that its difference to any logit up to 2e38 is finite too. A logit below it counts
// as -inf.
const LOWEST: f32 = -1.0e38;

// `x != x` is compiled to an ordered comparison, which is false for NaN; min, max and clamp hide
// NaN. Only the bits are reliable.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// tanh(100) is NaN on several drivers; beyond 15 the result is 1 in f32 anyway.
fn tanh_clamped(x: f32) -> f32 {
    return select(tanh(clamp(x, -15.0, 15.0)), x, is_nan(x));
}

// As tanh_clamped, for four numbers; the caller handles NaN.
fn tanh_clamped4(x: vec4<f32>) -> vec4<f32> {
    return tanh(clamp(x, vec4<f32>(-15.0), vec4<f32>(15.0)));
}

// A running sum in groups of four: four numbers are added, then four of those sums, then four of
// the next level. A plain sum loses a digit for each tenfold increase in count; here up to
// sixty-four equal numbers add up without an error.
struct RunningSum {
    ones: f32,
    fours: f32,
    sixteens: f32,
    count: u32,
}

fn add_to(sum: ptr<function, RunningSum>, x: f32) {
    (*sum).ones += x;
    (*sum).count += 1u;
    if (*sum).count % 4u == 0u {
        (*sum).fours += (*sum).ones;
        (*sum).ones = 0.0;
    }
    if (*sum).count % 16u == 0u {
        (*sum).sixteens += (*sum).fours;
        (*sum).fours = 0.0;
    }
}

fn total_of(sum: RunningSum) -> f32 {
    return (sum.ones + sum.fours) + sum.sixteens;
}

fn sum4(x: vec4<f32>) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

// ln x for a positive normal x: a driver's has an absolute error of up to 5e-7 near 1.
// x = m 2^e with m in [1/sqrt 2, sqrt 2); ln m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172: the
// first term left out is s^11/11 < 4e-10.
fn log_accurate4(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    // Arithmetic shift: the exponent is negative below 1/sqrt 2.
    let exponent = bitcast<vec4<i32>>(bits - 0x3f3504f3u) >> vec4<u32>(23u);
    let mantissa = bitcast<vec4<f32>>(bits - (bitcast<vec4<u32>>(exponent) << vec4<u32>(23u)));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let q = s * s;
    let series = 2.0 * s + 2.0 * s * q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * 0.11111111)));
    return vec4<f32>(exponent) * 0.69314718 + series;
}

fn log_accurate(x: f32) -> f32 {
    return log_accurate4(vec4<f32>(x)).x;
}

// A NaN that no compiler folds away: its bits depend on a value known only at run time.
fn not_a_number(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
}

// ln x for any x: -inf at 0, NaN below, inf at inf; subnormal numbers by their bits, since drivers
// flush them.
fn ln_positive(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let is_subnormal = bits < 0x00800000u;
    // A subnormal number is its bits times 2^-149; 149 ln 2 = 103.27893.
    let inside = log_accurate(select(x, f32(bits), is_subnormal)) - select(0.0, 103.27893, is_subnormal);
    let not_above = select(not_a_number(x), bitcast<f32>(bits | 0xff800000u), (bits << 1u) == 0u);
    let is_above = bits - 1u < 0x7f7fffffu;
    return select(select(not_above, x, bits == 0x7f800000u), inside, is_above);
}

// ln(1 + x) for -1/2 <= x <= 1, relative error below 2e-7 down to the smallest x:
// 2 artanh(s), s = x/(2 + x), |s| <= 1/3. The polynomial is artanh(s)/s - 1 to 4e-9 on the whole
// range (Remez); a Taylor series needs three more terms.
fn ln_1p_unit_interval(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let q = s * s;
    let tail = q * (0.333331573 + q * (0.200124551 + q * (0.139803014 + q * 0.140891676)));
    return 2.0 * s + 2.0 * s * tail;
}

// ln(1 + x) for -1 < x < inf by one series: 1 + x = m 2^n as in log_accurate4; where n is 0, m - 1
// is x itself with all its digits. Elsewhere ln(1 + x) is at least 0.34 from 0, where the rounding
// of 1 + x is negligible: total error at most 2.2e-7.
fn ln_1p_above_minus_one4(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(1.0 + x);
    let exponent = bitcast<vec4<i32>>(bits - 0x3f3504f3u) >> vec4<u32>(23u);
    let mantissa = bitcast<vec4<f32>>(bits - (bitcast<vec4<u32>>(exponent) << vec4<u32>(23u)));
    let f = select(mantissa - 1.0, x, exponent == vec4<i32>());
    let s = f / (2.0 + f);
    let q = s * s;
    let series = 2.0 * s + 2.0 * s * q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * 0.11111111)));
    return vec4<f32>(exponent) * 0.69314718 + series;
}

fn ln_1p_above_minus_one(x: f32) -> f32 {
    return ln_1p_above_minus_one4(vec4<f32>(x)).x;
}

// ln(1 + x) for any x: -inf at -1, NaN below, inf at inf.
fn ln_1p(x: f32) -> f32 {
    let bits = bitcast<u32>(1.0 + x);
    let not_above = select(bits | 0x7fc00000u, bits | 0xff800000u, (bits << 1u) == 0u);
    let outside = select(not_above, bits, bits == 0x7f800000u);
    return bitcast<f32>(select(outside, bitcast<u32>(ln_1p_above_minus_one(x)), bits - 1u < 0x7f7fffffu));
}

// e^x within 1.5 ulp, where a driver's own may be 3 + 2|x| off; differences like e^x - y need this
// accuracy. x = n ln 2 + r, |r| <= ln(2)/2; 355/512 holds the high bits of ln 2, so that n times it
// is exact; then the series of e^r, whose first omitted term is 5e-9. Only the last product can
// overflow: e^89 is inf and e^-105 is 0.
fn exp_any(x: f32) -> f32 {
    let n = round(clamp(x, -105.0, 89.0) * 1.442695);
    let r = (clamp(x, -105.0, 89.0) - n * 0.693359375) + n * 2.1219444e-4;
    let tail = r * r * (0.5 + r * (0.16666667 + r * (0.041666667 + r * (0.0083333333 + r * (0.0013888889 + r * 1.9841270e-4)))));
    let half = i32(n) / 2;
    return (1.0 + (r + tail)) * power_of_two(half) * power_of_two(i32(n) - half);
}

// 2^n for n from -126 to 127.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// e^x and e^x - 1 for any x, with e^r - 1 = p as in exp_any, h = n/2:
//     2^n (p + 1) - 1 = ((2^h p) + (2^h - 2^(h - n))) 2^(n - h)
// The second bracket is exact, so that small results keep their digits; near 0, where n is 0, the
// result is p.
fn exp_and_less4(x: vec4<f32>) -> array<vec4<f32>, 2> {
    let inside = clamp(x, vec4<f32>(-105.0), vec4<f32>(89.0));
    let n = round(inside * 1.442695);
    let r = (inside - n * 0.693359375) + n * 2.1219444e-4;
    let tail = r * r * (0.5 + r * (0.16666667 + r * (0.041666667 + r * (0.0083333333 + r * (0.0013888889 + r * 1.9841270e-4)))));
    let p = r + tail;
    let half = vec4<i32>(n) >> vec4<u32>(1u);
    let rest = vec4<i32>(n) - half;
    let large = power_of_two4(half);
    let small = power_of_two4(rest);
    return array<vec4<f32>, 2>((1.0 + p) * large * small, (p * large + (large - power_of_two4(-rest))) * small);
}

fn power_of_two4(n: vec4<i32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(n + 127) << vec4<u32>(23u));
}

fn exp_and_less(x: f32) -> vec2<f32> {
    let found = exp_and_less4(vec4<f32>(x));
    return vec2<f32>(found[0].x, found[1].x);
}

// e^x - 1 for any x.
fn exp_m1(x: f32) -> f32 {
    return exp_and_less(x).y;
}

// x^p for x >= 0. Computed as 2^(p log2 x), a driver loses a digit for each factor of ten in p log2
// x; here x = m 2^n with m in [1/sqrt 2, sqrt 2), and the integer part of p n is split off exactly:
// p_high has 12 bits, n 8.
fn power(x: f32, p: f32) -> f32 {
    // A single return: with early returns here SwiftShader took longer to compile the callers.
    var found = x;
    if p == 2.0 {
        found = x * x;
    } else if p == 0.0 {
        found = select(1.0, x, is_nan(x));
    } else if p == 0.5 {
        found = sqrt(x);
    } else if x == 0.0 || x > 3.4028234e38 {
        found = select(1.0 / x, x, p > 0.0);
    } else if p != 1.0 {
        found = power_normal(x, p);
    }
    return found;
}

fn power_normal(x: f32, p: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let is_subnormal = bits < 0x00800000u;
    let scaled = select(bits, bitcast<u32>(f32(bits)), is_subnormal);
    let exponent = bitcast<i32>(scaled - 0x3f3504f3u) >> 23u;
    let n = f32(exponent) - select(0.0, 149.0, is_subnormal);
    let mantissa = bitcast<f32>(scaled - (bitcast<u32>(exponent) << 23u));
    let p_high = bitcast<f32>(bitcast<u32>(p) & 0xfffff000u);
    let whole = clamp(round(p_high * n), -1000.0, 1000.0);
    let rest = (p_high * n - whole) + ((p - p_high) * n + p * (1.442695 * log_accurate(mantissa)));
    let step = clamp(round(rest), -1000.0, 1000.0);
    let shift = clamp(i32(whole + step), -252, 252);
    let half = shift / 2;
    // In two factors: one f32 can hold neither 2^-149 as a normal number nor 2^128.
    return exp2(rest - step) * power_of_two(half) * power_of_two(shift - half);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|): no overflow on either side.
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + ln_1p_unit_interval(exp(-abs(x)));
}

// 1/(1 + e^-x), by e^-|x| so that nothing overflows.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
