// Shared declarations of the kernels over lists of items with times and events. An item whose time
// is negative is padding.

struct Params {
    lists: u32,
    items: u32, // per list
    factor: f32,
    upstream: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> times: array<f32>;
@group(0) @binding(3) var<storage, read> events: array<f32>;

// By the bits: NaN is not padding, and -0 is a time of 0.
fn is_padding(place: u32) -> bool {
    let bits = bitcast<u32>(times[place]);
    return bits > 0x80000000u && bits <= 0xff800000u;
}

fn is_event(place: u32) -> bool {
    return (bitcast<u32>(events[place]) & 0x7fffffffu) != 0u;
}

// a - b of two scores: 0 if they are equal, even if both are the same infinity.
fn difference(a: f32, b: f32) -> f32 {
    return select(a - b, 0.0, a == b);
}
