// One update of one cell of a row: x <- x - rate (g + alpha x), rate = learning_rate / sqrt G with
// ADAGRAD, then G <- G + g^2. The order of operations is that of the CPU, so that a device without
// fused operations gives the same bits.

override ADAGRAD: bool = true;

@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> records: array<vec4<u32>>;

struct Moving {
    x: vec4<f32>,
    squares: vec4<f32>,
}

fn hit(moving: Moving, g: vec4<f32>, alpha: f32) -> Moving {
    var rate = vec4<f32>(params.learning_rate);
    if ADAGRAD {
        rate = params.learning_rate / sqrt(moving.squares);
    }
    return Moving(moving.x - rate * (g + alpha * moving.x), moving.squares + g * g);
}
