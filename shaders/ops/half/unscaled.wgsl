// A product with a gradient that was multiplied by the loss scale, divided by it.

// The scale and 1 / scale.
@group(0) @binding(7) var<storage, read> loss_scale: array<f32>;

fn unscaled(product: f32) -> f32 {
    return product * loss_scale[1];
}
