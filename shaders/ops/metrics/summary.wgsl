// Summarizes one training step in two numbers: the loss, summed from its partial sums, and the
// number of correct rows.
//
//     ring[2 slot] = parts[0] + …,  ring[2 slot + 1] = parts[length] + …   (rows of them)
//
// The host reads the ring only on demand, since a read waits for the device. One workgroup; the
// order depends only on the lengths.

struct Params {
    length: u32,
    rows: u32, // 0 if correct rows are not counted
    slot: u32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> ring: array<f32>;

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn summary(@builtin(local_invocation_index) local_index: u32) {
    var total = vec2<f32>();
    for (var i = local_index; i < params.length; i += WORKGROUP) {
        total.x += parts[i];
    }
    for (var i = local_index; i < params.rows; i += WORKGROUP) {
        total.y += parts[params.length + i];
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
        ring[2u * params.slot] = sums[0].x;
        ring[2u * params.slot + 1u] = sums[0].y;
    }
}
