// The size of an update, by block of parameters:
//
//     parts[4 b + 3] = Σ (w − before)²
//
// A workgroup sums one block; the order depends only on the length.

struct Params {
    length: u32,
    block: u32, // parameters of a workgroup
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> before: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn watch_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let first = workgroup.x * params.block;
    let end = min(first + params.block, params.length);
    var total = 0.0;
    for (var i = first + local_index; i < end; i += WORKGROUP) {
        let moved = parameters[i] - before[i];
        total += moved * moved;
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
        parts[4u * workgroup.x + 3u] = sums[0];
    }
}
