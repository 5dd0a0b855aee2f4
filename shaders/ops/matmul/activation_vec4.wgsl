// Applies the activation to each of an element's four numbers. Linked with matmul_vec4.wgsl.

fn activate_each(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(activate(x.x), activate(x.y), activate(x.z), activate(x.w));
}

fn derivative_each(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(derivative(x.x, y.x), derivative(x.y, y.y), derivative(x.z, y.z), derivative(x.w, y.w));
}
