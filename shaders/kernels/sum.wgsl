// Sums an array into one slot, in an order that depends on its length alone. One workgroup.
//
//     results[slot] = parts[0] + parts[1] + …
//
// With HAS_STATUS a second plane follows the parts, and the first index whose status is not 0 is written as bits to
// results[slot + 1]; 0xffffffff where there is none.

struct Params {
    length: u32,
    slot: u32,
    stride: u32, // from the parts to their statuses
    reserved: u32,
}

override WORKGROUP: u32 = 256u;
override HAS_STATUS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> firsts: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn sum(@builtin(local_invocation_index) lane: u32) {
    var total = 0.0;
    var first = 0xffffffffu;
    var i = lane;
    while i < params.length {
        // Sixteen at a time before they join the total: the error grows with the longest chain of additions.
        var part = 0.0;
        for (var k = 0u; k < 16u && i < params.length; k += 1u) {
            part += parts[i];
            if HAS_STATUS {
                first = select(first, min(first, i), parts[params.stride + i] != 0.0);
            }
            i += WORKGROUP;
        }
        total += part;
    }
    sums[lane] = total;
    firsts[lane] = first;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
            firsts[lane] = min(firsts[lane], firsts[lane + half]);
        }
    }
    if lane == 0u {
        results[params.slot] = sums[0];
        if HAS_STATUS {
            results[params.slot + 1u] = bitcast<f32>(firsts[0]);
        }
    }
}
