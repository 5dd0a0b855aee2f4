// Shared declarations of the kernels over transducers: sizes, and the properties of each item of the
// batch. A node (t, u) of an item's lattice has seen t rows and given out u labels.

struct Params {
    batch: u32,
    time: u32,
    length: u32, // positions per row of targets
    classes: u32,
    blank: u32,
    factor: f32,
    upstream: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// The input length of each item, then the target lengths, the weights and the upstream gradients.
@group(0) @binding(1) var<storage, read> items: array<u32>;

// Lengths that arrive on the device are checked here: an item of others is NaN.
fn has_lengths(item: u32) -> bool {
    return items[item] - 1u < params.time && items[params.batch + item] <= params.length;
}

fn node_of(item: u32, t: u32, u: u32) -> u32 {
    return (item * params.time + t) * (params.length + 1u) + u;
}
