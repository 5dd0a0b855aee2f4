// Ranks of items among all others:
//
//     ranks[i] = number of items j other than the wanted one whose score is not below the wanted one's, but for those left out
//
// wanted[i] = (row of the scores, item, begin, end), the last two of what is left out, in `left_out`. A workgroup for each wanted item;
// its threads take turns, counts are added up through workgroup memory. A score of NaN is behind all and before none.

override WORKGROUP: u32 = 64u;

struct Params {
    first: u32, // of the wanted ones
    count: u32,
    items: u32,
    reserved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> wanted: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> left_out: array<u32>;
@group(0) @binding(4) var<storage, read_write> ranks: array<u32>;

var<workgroup> counts: array<u32, 64>;

// Drivers answer a comparison with NaN as they like.
fn is_below(a: f32, b: f32) -> bool {
    return !is_nan(a) && !is_nan(b) && a < b;
}

@compute @workgroup_size(WORKGROUP)
fn rank(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = workgroup.y * count.x + workgroup.x;
    if index >= params.count {
        return;
    }
    let own = wanted[params.first + index];
    let row = own.x * params.items;
    let score = scores[row + own.y];
    var above = 0u;
    for (var item = local_index; item < params.items; item += WORKGROUP) {
        above += select(0u, 1u, !is_below(scores[row + item], score) && item != own.y);
    }
    for (var at = own.z + local_index; at < own.w; at += WORKGROUP) {
        let item = left_out[at];
        above -= select(0u, 1u, !is_below(scores[row + item], score) && item != own.y);
    }
    counts[local_index] = above;
    workgroupBarrier(); // all threads have counted
    if local_index == 0u {
        var sum = 0u;
        for (var other = 0u; other < WORKGROUP; other++) {
            sum += counts[other];
        }
        ranks[params.first + index] = sum;
    }
}
