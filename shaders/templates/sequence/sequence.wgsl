// What the kernels over sequences have in common: the sizes, and what each item of the batch is.

struct Params {
    time: u32,
    batch: u32,
    classes: u32,
    length: u32, // places in a row of targets
    states: u32, // 2 length + 1
    blank: u32,
    factor: f32,
    upstream: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// The input length of each item, then the target lengths, the weights, the upstreams.
@group(0) @binding(1) var<storage, read> items: array<u32>;

// A place in the chain of a label's repetitions (templates/sequence/sequence_chain): the chain's end, and a place that is not its first.
const END: u32 = 0x7fffffffu;
const LATER: u32 = 0x80000000u;
