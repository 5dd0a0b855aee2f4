// A product without a gradient. The alternative is unscaled.wgsl.

fn unscaled(product: f32) -> f32 {
    return product;
}
