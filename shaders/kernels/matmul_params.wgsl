// The sizes of one matrix product, output[m, n] = left[m, k] · right[k, n], and where its operands begin.
//
// All matrices are dense and row-major. The offsets, in elements, let the weights of all layers lie in one flat buffer.
// Rust twin: `kernels::matmul::Params`.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // 1: the stored left matrix (k rows of m - 1 columns, layout tn) counts as having one more column, of ones.
    ones: u32,
    // 1: the weight gradient is added to what the output holds.
    accumulate: u32,
    left_offset: u32,
    right_offset: u32,
    bias_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// A 4 × 4 block of the output grows by the outer product of four left values (its rows) and four right values (its columns).
// Its rows are the matrix's columns, as WGSL counts them: block[row][column].
fn add_outer(block: mat4x4<f32>, left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(left.x), right, block[0]),
        fma(vec4<f32>(left.y), right, block[1]),
        fma(vec4<f32>(left.z), right, block[2]),
        fma(vec4<f32>(left.w), right, block[3]),
    );
}

fn finish_block(row: u32, column: u32, block: mat4x4<f32>) {
    finish_row(row, column, block[0]);
    finish_row(row + 1u, column, block[1]);
    finish_row(row + 2u, column, block[2]);
    finish_row(row + 3u, column, block[3]);
}
