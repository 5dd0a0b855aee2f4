// Interface of a loss over the lattice of a sequence's states: its inputs, the lattice and its
// outputs. Linked with the loss's own file, which holds the recursions, templates/sequence/sequence
// and lib/numbers. One workgroup per item.

override REDUCTION_NONE: bool = false;

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read> normalizers: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> lattice: array<f32>;
// Two rows of the backward variables per item.
@group(0) @binding(6) var<storage, read_write> backward: array<f32>;
// The value of each item, then the upstream factor of its gradient.
@group(0) @binding(7) var<storage, read_write> results: array<f32>;
