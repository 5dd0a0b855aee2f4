// Numbers that drivers disagree on, in forms that do not depend on them.

// A weight with these bits is no number at all: its element or row is masked out. No arithmetic makes this NaN.
const MASKED: u32 = 0xffffffffu;

// Where a maximum of logits starts from: finite, since (-inf) - (-inf) is NaN, and so far from the lowest f32 that its
// difference to any logit up to 2e38 is finite too. A logit below it counts as -inf.
const LOWEST: f32 = -1.0e38;

// `x != x` is compiled to an ordered comparison, which is false for NaN; min, max and clamp hide it. Only bits tell.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// tanh(100) is NaN on several drivers; beyond 15 the result is 1 in f32 anyway.
fn tanh_clamped(x: f32) -> f32 {
    return select(tanh(clamp(x, -15.0, 15.0)), x, is_nan(x));
}

// The same of four numbers, where NaN is somebody else's care.
fn tanh_clamped4(x: vec4<f32>) -> vec4<f32> {
    return tanh(clamp(x, vec4<f32>(-15.0), vec4<f32>(15.0)));
}

fn sum4(x: vec4<f32>) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

// ln x for a positive normal x: the driver's is only good to 5e-7 absolute near 1.
// x = m 2^e with m in [1/sqrt 2, sqrt 2); ln m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172: the first term left
// out is s^11/11 < 4e-10.
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

// ln(1 + x) for 0 <= x <= 1, relative error below 2e-7 down to the smallest x: 2 artanh(s), s = x/(2 + x) <= 1/3,
// the polynomial is artanh(s)/s - 1 to 4e-9 on the whole range (Remez), where Taylor's takes three terms more.
fn log1p_unit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let q = s * s;
    let tail = q * (0.333331573 + q * (0.200124551 + q * (0.139803014 + q * 0.140891676)));
    return 2.0 * s + 2.0 * s * tail;
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|): no overflow on either side.
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log1p_unit(exp(-abs(x)));
}

// 1/(1 + e^-x), by e^-|x| so that nothing overflows.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
