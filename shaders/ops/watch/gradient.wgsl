// The gradient of an update against that of the update before, by block of parameters:
//
//     parts[4 b] = Σ g²,  parts[4 b + 1] = Σ g h,  parts[4 b + 2] = Σ w²
//
// with the gradient g, the previous one h and the weights w. Then h becomes g, and `before` w. A
// workgroup sums one block; the order depends only on the length.

struct Params {
    length: u32,
    block: u32, // parameters of a workgroup
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> previous: array<f32>;
@group(0) @binding(4) var<storage, read_write> before: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;

var<workgroup> sums: array<vec3<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn watch_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let first = workgroup.x * params.block;
    let end = min(first + params.block, params.length);
    var total = vec3<f32>();
    for (var i = first + local_index; i < end; i += WORKGROUP) {
        let g = gradients[i];
        let w = parameters[i];
        total += vec3<f32>(g * g, g * previous[i], w * w);
        previous[i] = g;
        before[i] = w;
    }
    sums[local_index] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u {
        parts[4u * workgroup.x] = sums[0].x;
        parts[4u * workgroup.x + 1u] = sums[0].y;
        parts[4u * workgroup.x + 2u] = sums[0].z;
    }
}
