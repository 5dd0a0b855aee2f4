// y/x = dy/dx of an element of prelu. Linked with ops/prelu/prelu.

@group(0) @binding(2) var<storage, read> parameters: array<f32>;

fn factor(i: u32) -> f32 {
    let x = inputs[i];
    // With one slope the remainder by 1 is 0.
    let slope = parameters[params.offset + i % params.channels % params.weights];
    return select(select(slope, 1.0, x > 0.0), x, is_nan(x));
}
