// The sizes of one matrix product, output[m, n] = left[m, k] · right[k, n], and where its operands begin.
//
// All matrices are dense and row-major. The offsets, in elements, let the weights of all layers lie in one flat buffer.
// CPU counterpart: `kernels::matmul::Params`.

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
    // Where k is split, the depth of a part: a multiple of 32.
    part_k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
