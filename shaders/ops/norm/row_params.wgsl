// Parameters of the kernels that normalise by row. Tensors are [rows, width], statistics [rows, 2]:
// mean and 1/sqrt(variance + EPSILON).

struct Params {
    rows: u32,
    width: u32,
    weight: u32, // offsets in the parameters
    bias: u32,
    slab: u32,   // rows of a slab of partial sums
    slabs: u32,
    flags: u32,
    epsilon: f32,
}

const WEIGHT: u32 = 1u;
const BIAS: u32 = 2u;
const CENTRED: u32 = 4u; // the mean is subtracted: layer norm

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;

fn has(flag: u32) -> bool {
    return (params.flags & flag) != 0u;
}
