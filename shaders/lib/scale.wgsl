// Detects sums of squares that overflow or underflow f32, and gives the power of two that rescales
// them into range.

fn is_too_large(square: f32) -> bool {
    return square > 1e37;
}

fn is_too_small(square: f32) -> bool {
    return square < 1e-30;
}

// A power of two that scales a positive number to near 1; 1 for 0. The outermost exponents are
// avoided, since a subnormal power is flushed to 0, and so is everything beyond 2^100, so that a
// length used as a divisor can be scaled as well.
fn scale_to_one(peak: f32) -> f32 {
    let exponent = clamp(bitcast<u32>(peak) >> 23u, 27u, 252u);
    return select(1.0, bitcast<f32>((254u - exponent) << 23u), peak > 0.0);
}
