// Shared by the kernels of prelu: y = x above 0, a x below and at 0, with a slope a for each
// channel (the last axis) or one for all. Linked with lib/numbers.

struct Params {
    length: u32,   // elements
    channels: u32,
    weights: u32,  // 1 or as many as channels
    offset: u32,   // of the weight
    slab: u32,     // rows per partial sum of the weight's gradient
    reserved: u32,
    unused: vec2<u32>,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
