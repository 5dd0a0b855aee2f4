// dL/ds of y = relu(s): dL/dy where y > 0. Linked with add_mask_one or add_mask_two,
// which write it. Buffers end at multiples of four numbers.

struct Params {
    vectors: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> outputs: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> upstream: array<vec4<f32>>;

fn masked(i: u32) -> vec4<f32> {
    let y = outputs[i];
    let gradient = select(vec4<f32>(0.0), upstream[i], y > vec4<f32>(0.0));
    let magnitudes = bitcast<vec4<u32>>(y) & vec4<u32>(0x7fffffffu);
    return select(gradient, y, magnitudes > vec4<u32>(0x7f800000u));
}
