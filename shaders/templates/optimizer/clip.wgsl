// Clipping by norm: the factor of a gradient, 1 if its norm is within the limit. The CPU
// implementation is `nn::optimizers::clip`.
//
// sums.x is the sum of g^2, sums.y that of (g / 2^100)^2, used if the first is not finite.
fn norm_of(sums: vec2<f32>) -> f32 {
    if (bitcast<u32>(sums.x) & 0x7f800000u) == 0x7f800000u {
        return sqrt(sums.y) * 1.2676506002e30;
    }
    return sqrt(sums.x);
}

// Returns NaN for a norm that is not finite, so that the parameters become NaN and the training
// ends, as after PyTorch's clip_grad_norm_. min would return 1 or 0, depending on the driver.
fn clip_factor(sums: vec2<f32>, limit: f32, epsilon: f32) -> f32 {
    let norm = norm_of(sums);
    let bits = bitcast<u32>(norm) & 0x7fffffffu;
    // The bits depend on a value known only at run time, so that no compiler folds the NaN away.
    let nan_value = bitcast<f32>(0x7fc00000u | (bits & 1u));
    let length = norm + epsilon;
    return select(select(1.0, limit / length, length > limit), nan_value, bits >= 0x7f800000u);
}
