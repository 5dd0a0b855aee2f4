// The sum of two to four tensors, with ReLU if it is asked for. Buffers end at multiples of
// four numbers.

struct Params {
    vectors: u32,
    terms: u32, // the others are not read
    relu: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> second: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> third: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> fourth: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> outputs: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn add_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.vectors {
        return;
    }
    var sum = first[i] + second[i];
    if params.terms > 2u {
        sum += third[i];
    }
    if params.terms > 3u {
        sum += fourth[i];
    }
    if params.relu != 0u {
        // max would turn NaN into 0; only the bits are reliable.
        let magnitudes = bitcast<vec4<u32>>(sum) & vec4<u32>(0x7fffffffu);
        sum = select(max(sum, vec4<f32>(0.0)), sum, magnitudes > vec4<u32>(0x7f800000u));
    }
    outputs[i] = sum;
}
