// Applies the activation to an element, which is one number. Linked with matmul_scalar.wgsl.

fn activate_each(x: f32) -> f32 {
    return activate(x);
}

fn derivative_each(x: f32, y: f32) -> f32 {
    return derivative(x, y);
}
