// Parameters of the kernels that normalise by channel. A segment is what has its own statistics:
// the whole batch (batch norm) or a sample (group norm). Tensors are [segments, pixels, channels];
// statistics are [segments, 2, channels], partial sums [segments, slabs, 2, channels].

struct Params {
    channels: u32,
    groups: u32,       // of consecutive channels, which share statistics
    segments: u32,
    pixels: u32,       // of a segment
    slab: u32,         // pixels of a slab
    slabs: u32,        // of a segment
    weight: u32,       // offsets in the parameters and their gradients
    bias: u32,
    running_mean: u32, // offsets in the running statistics
    running_var: u32,
    flags: u32,
    momentum: f32,
    unbiased: f32,     // n / (n - 1)
    epsilon: f32,
}

const AFFINE: u32 = 1u;
const RELU: u32 = 2u;
const RESIDUAL: u32 = 4u;
const TRAINING: u32 = 8u;    // statistics of the input, not the running ones
const MOVES: u32 = 16u;      // the running statistics
const ACCUMULATE: u32 = 32u; // gradients of the parameters
const PARAMETERS: u32 = 64u; // their gradients are written
const INPUT: u32 = 128u;     // the gradient of the input is written

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;

fn has(flag: u32) -> bool {
    return (params.flags & flag) != 0u;
}
