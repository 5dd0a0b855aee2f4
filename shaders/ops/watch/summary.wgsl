// The sums of all blocks of an update, to its slot of the ring:
//
//     ring[4 slot + k] = Σ_b parts[4 b + k]
//
// One workgroup; the order depends only on the number of blocks.

struct Params {
    blocks: u32,
    slot: u32,
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> ring: array<vec4<f32>>;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn watch_summary(@builtin(local_invocation_index) local_index: u32) {
    var total = vec4<f32>();
    for (var i = local_index; i < params.blocks; i += WORKGROUP) {
        total += parts[i];
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
        ring[params.slot] = sums[0];
    }
}
