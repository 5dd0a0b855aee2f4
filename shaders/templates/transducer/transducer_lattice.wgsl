// Interface of a loss over the lattice of a transducer: its inputs, the lattice and its outputs. Linked
// with the loss's own file, which holds the recursions, templates/transducer/scaled,
// templates/transducer/transducer and lib/numbers. One workgroup per item.

override REDUCTION_NONE: bool = false;

@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> forward: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> backward: array<vec2<f32>>;
// The value of each item, then the upstream factor of its gradient.
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
