// Sizes of one matrix product, output[m, n] = left[m, k] · right[k, n], and the offsets of its
// operands.
//
// All matrices are dense and row-major. The offsets, in elements, let the weights of all layers
// share one flat buffer. Rust counterpart: `nn::ops::matmul::Params`.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // 1: the stored left matrix (k rows of m - 1 columns, layout tn) gets one more column, of ones.
    ones: u32,
    // 1: the weight gradient is added to the output.
    accumulate: u32,
    left_offset: u32,
    right_offset: u32,
    bias_offset: u32,
    output_offset: u32,
    // Where k is split, the depth of a chunk of k: a multiple of 32.
    part_k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
