// Operand of a product in mixed precision: x scale rounded to the nearest f16 and divided by scale,
// with the loss scale for gradients and 1 for all others. Linked with lib/half. The CPU
// implementation is `cpu::half`. Four adjacent numbers per thread.

struct Params {
    length: u32,
    // First number in `source`.
    offset: u32,
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 64u;
override IS_GRADIENT: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
// The scale and 1 / scale.
@group(0) @binding(2) var<storage, read> loss_scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> operand: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn round_operand(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let first = ((workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index) * 4u;
    if first >= params.length {
        return;
    }
    let last = params.length - 1u;
    let places = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
    let from_places = places + params.offset;
    var x = vec4<f32>(source[from_places.x], source[from_places.y], source[from_places.z], source[from_places.w]);
    if IS_GRADIENT {
        x *= loss_scale[0];
    }
    x = widened(narrowed(x));
    if IS_GRADIENT {
        x *= loss_scale[1];
    }
    // Behind the end all four write the last number again.
    operand[places.x] = x.x;
    operand[places.y] = x.y;
    operand[places.z] = x.z;
    operand[places.w] = x.w;
}
