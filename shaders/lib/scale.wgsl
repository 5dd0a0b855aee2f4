// Sums of squares that leave f32, above or below, and the power of two that keeps them in.

fn is_too_large(square: f32) -> bool {
    return square > 1e37;
}

fn is_too_small(square: f32) -> bool {
    return square < 1e-30;
}

// A power of two that brings a number above 0 near 1; 1 for 0. Not the outermost exponents: a subnormal power is 0 here. Nor beyond
// 2^100, so that a length to divide by can be scaled as well.
fn scale_to_one(peak: f32) -> f32 {
    let exponent = clamp(bitcast<u32>(peak) >> 23u, 27u, 252u);
    return select(1.0, bitcast<f32>((254u - exponent) << 23u), peak > 0.0);
}
