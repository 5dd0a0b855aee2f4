// Shared declarations of the kernels over sequences: sizes, and the properties of each item of the
// batch.

struct Params {
    time: u32,
    batch: u32,
    classes: u32,
    length: u32, // positions per row of targets
    states: u32, // 2 length + 1
    blank: u32,
    factor: f32,
    upstream: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// The input length of each item, then the target lengths, the weights and the upstream gradients.
@group(0) @binding(1) var<storage, read> items: array<u32>;

// Markers in the chain of a label's repetitions (templates/sequence/sequence_chain): the end of the
// chain, and a position that is not the label's first.
const END: u32 = 0x7fffffffu;
const LATER: u32 = 0x80000000u;
