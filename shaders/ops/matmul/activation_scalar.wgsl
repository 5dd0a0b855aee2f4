// The activation applied to an element, which is one number. Linked where matmul_scalar.wgsl is.

fn activate_each(x: f32) -> f32 {
    return activate(x);
}

fn derivative_each(x: f32, y: f32) -> f32 {
    return derivative(x, y);
}
