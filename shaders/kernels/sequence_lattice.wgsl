// What a loss over the lattice of a sequence's states is handed: its inputs, the lattice and what it leaves. Linked with the loss's own
// file, which holds the recursions, and helpers/numbers. A workgroup takes an item.

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
override EACH: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// The input length of each item, then the target lengths, the weights, the upstreams.
@group(0) @binding(1) var<storage, read> items: array<u32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read> normalizers: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> lattice: array<f32>;
// Two rows of b for each item.
@group(0) @binding(6) var<storage, read_write> backward: array<f32>;
// The value of each item, then what its gradient is multiplied by.
@group(0) @binding(7) var<storage, read_write> results: array<f32>;
