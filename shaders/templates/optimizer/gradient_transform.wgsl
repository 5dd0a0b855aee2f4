// Gradient transform applied before an optimizer's update. Linked with templates/optimizer/penalty
// and lib/numbers.
//
// `clip` is the output of templates/optimizer/clip_factor and
// templates/optimizer/tensor_norms_join: the factor of the global norm, or NaN if a norm is not
// finite, then one factor per tensor. CLIPS selects the transform: 0: none, 1: by the global norm,
// 2: by value, 3: by the norm of each tensor.
override CLIPS: u32 = 0u;
override SKIPS: bool = false;

// True if this step is skipped because its gradient is not finite.
fn is_skipped(factor: f32) -> bool {
    return SKIPS && is_nan(factor);
}

// clip (g + dR/dw)
fn transformed(span: u32, parameter: f32, gradient: f32, limit: f32) -> f32 {
    var g = gradient;
    if params.spans > 0u {
        g += regularization_in(span, parameter);
    }
    if CLIPS == 1u {
        g *= clip[0];
    }
    if CLIPS == 2u {
        // clamp may hide a NaN.
        g = select(clamp(g, -limit, limit), g, is_nan(g));
    }
    if CLIPS == 3u {
        g *= clip[1u + span];
    }
    return g;
}
