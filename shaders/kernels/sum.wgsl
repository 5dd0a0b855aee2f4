// Sums an array into one slot, in an order that depends on its length alone. One workgroup.
//
//     results[slot] = parts[0] + parts[1] + …

struct Params {
    length: u32,
    slot: u32,
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn sum(@builtin(local_invocation_index) lane: u32) {
    var total = 0.0;
    for (var i = lane; i < params.length; i += 16u * WORKGROUP) {
        // Sixteen at a time before they join the total: the error grows with the longest chain of additions, and
        // sixteen loads are under way at once.
        var part = 0.0;
        for (var k = 0u; k < 16u; k += 1u) {
            if i + k * WORKGROUP < params.length {
                part += parts[i + k * WORKGROUP];
            }
        }
        total += part;
    }
    sums[lane] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    if lane == 0u {
        results[params.slot] = sums[0];
    }
}
