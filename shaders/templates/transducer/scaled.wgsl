// Probabilities of long paths: x.x times 2^x.y, x.x in [1, 2), or 0. A product or a sum of them has
// the rounding of one, where that of logarithms would be an ulp of numbers in the hundreds; nothing
// overflows or underflows.

const NOTHING: vec2<f32> = vec2<f32>(0.0, -1e9);

fn scaled(x: vec2<f32>) -> vec2<f32> {
    let bits = bitcast<u32>(x.x);
    let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    return select(vec2<f32>(mantissa, x.y + f32(i32(bits >> 23u) - 127)), NOTHING, x.x == 0.0);
}

// 2^n for n <= 0.
fn lowered(n: f32) -> f32 {
    return select(power_of_two(i32(max(n, -126.0))), 0.0, n < -126.0);
}

fn scaled_sum(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let exponent = max(x.y, y.y);
    return scaled(vec2<f32>(x.x * lowered(x.y - exponent) + y.x * lowered(y.y - exponent), exponent));
}

fn scaled_product(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    return scaled(vec2<f32>(x.x * y.x, x.y + y.y));
}

// e^x for x <= 0 as in lib/numbers exp_any, but of any size.
fn scaled_exp(x: f32) -> vec2<f32> {
    let inside = max(x, -1e7);
    let n = round(inside * 1.442695);
    let r = clamp((inside - n * 0.693359375) + n * 2.1219444e-4, -1.0, 1.0);
    let tail = r * r * (0.5 + r * (0.16666667 + r * (0.041666667 + r * (0.0083333333 + r * (0.0013888889 + r * 1.9841270e-4)))));
    return select(scaled(vec2<f32>(1.0 + (r + tail), n)), NOTHING, x < -3.4028234e38);
}

// x/y as a plain number, for x <= y up to roundings: 2/2 may be 1 times 2 over 1.9999999.
fn scaled_quotient(x: vec2<f32>, y: vec2<f32>) -> f32 {
    return 2.0 * (x.x / y.x) * lowered(min(x.y - y.y, 1.0) - 1.0);
}

// Probability of a class of a node's row (templates/transducer/transducer_rows), of its logit less
// the largest.
fn probability_of(row: vec4<f32>, logit: f32) -> vec2<f32> {
    let power = scaled_exp(logit);
    return select(NOTHING, scaled(vec2<f32>(power.x / row.y, power.y)), row.y > 0.0);
}
