// Access to the matrices by single elements, for products with a length or an offset that is not a
// multiple of four. Linked with a layout, a core and an epilogue; its alternative is
// matmul_vec4.wgsl.

// One stored element is one number.
alias Element = f32;
// A run of four may cross the end of k.
const ALIGNED: bool = false;

@group(0) @binding(1) var<storage, read> left: array<f32>;
@group(0) @binding(2) var<storage, read> right: array<f32>;

// Four adjacent numbers from `index` on. `valid`, at least 1, is the number remaining in the row:
// those behind it count as zero and are not read, since they may lie behind the end of the buffer.
fn left_four(index: u32, valid: u32) -> vec4<f32> {
    let last = valid - 1u;
    let found = vec4<f32>(left[index], left[index + min(1u, last)], left[index + min(2u, last)], left[index + min(3u, last)]);
    return select(vec4<f32>(0.0), found, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));
}

fn right_four(index: u32, valid: u32) -> vec4<f32> {
    let last = valid - 1u;
    let found = vec4<f32>(right[index], right[index + min(1u, last)], right[index + min(2u, last)], right[index + min(3u, last)]);
    return select(vec4<f32>(0.0), found, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));
}

// Passes four adjacent results of a row to the epilogue, one by one, skipping those outside.
fn finish_row(row: u32, column: u32, value: vec4<f32>) {
    finish_one(row, column, value.x);
    finish_one(row, column + 1u, value.y);
    finish_one(row, column + 2u, value.z);
    finish_one(row, column + 3u, value.w);
}

fn finish_one(row: u32, column: u32, value: f32) {
    if row < params.m && column < params.n {
        epilogue(row * params.n + column, column, output_start(), params.bias_offset, value);
    }
}
