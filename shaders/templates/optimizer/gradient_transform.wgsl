// What happens to a gradient before an optimizer sees it. Linked with templates/optimizer/penalty and lib/numbers.
//
// `clip` is what templates/optimizer/clip_factor and templates/optimizer/tensor_norms_join left: the factor of the global norm, or NaN where a norm is not
// finite, then one factor for each tensor.
override CLIPS: u32 = 0u; // 0: not, 1: by the global norm, 2: by value, 3: by the norm of each tensor
override SKIPS: bool = false;

// Whether this step is left out: its gradient is not finite.
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
