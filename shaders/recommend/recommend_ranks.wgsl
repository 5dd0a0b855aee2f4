// Ranks of items among all others:
//
//     ranks[i] = number of items j other than the wanted one that are not excluded
//                and whose score is not below the wanted one's
//
// wanted[i] = (row of the scores, item, begin, end), the last two a range in `left_out`. One
// workgroup per wanted item; its threads iterate over the items, and counts are added in workgroup
// memory. A score of NaN ranks behind all others.

override WORKGROUP: u32 = 64u;

struct Params {
    first: u32, // first of the wanted items
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

// Comparisons with NaN depend on the driver.
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
