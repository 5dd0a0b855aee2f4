// Shared declarations of the kernels over regions, [batch, classes, places]: the region of a class in
// an item, and sums over each. One workgroup per region.

struct Params {
    batch: u32,
    classes: u32,
    places: u32,
    factor: f32,   // of the reduction
    upstream: f32, // dL/d(value)
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> predictions: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
