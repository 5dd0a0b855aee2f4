// Access to the matrices by four elements, for products whose lengths and offsets are all multiples
// of four. Linked with a layout, a core and an epilogue; its alternative is matmul_scalar.wgsl.

// One stored element is four numbers.
alias Element = vec4<f32>;
// No run of four crosses the end of k.
const ALIGNED: bool = true;

@group(0) @binding(1) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> right: array<vec4<f32>>;

// Four adjacent numbers from `index` on. `valid` is the number remaining in the row: always four
// here.
fn left_four(index: u32, valid: u32) -> vec4<f32> {
    return left[index / 4u];
}

fn right_four(index: u32, valid: u32) -> vec4<f32> {
    return right[index / 4u];
}

// Passes four adjacent results of a row to the epilogue, if they lie inside.
fn finish_row(row: u32, column: u32, value: vec4<f32>) {
    if row < params.m && column < params.n {
        epilogue((row * params.n + column) / 4u, column / 4u, output_start() / 4u, params.bias_offset / 4u, value);
    }
}
