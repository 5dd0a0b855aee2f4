// Radix sort, kernel 2 of 3: exclusive prefix sum of the counts, which gives the place where each
// digit's ids begin.
//
//     counts[i] <- counts[0] + ... + counts[i - 1]
//
// One workgroup; each thread sums a contiguous range, the sums are scanned in workgroup memory (W.
// Hillis, G. Steele, Data parallel algorithms, 1986), and each thread writes its range.

const WORKGROUP: u32 = 256u;

struct Params {
    length: u32,
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

var<workgroup> sums: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn scan(@builtin(local_invocation_index) local_index: u32) {
    let stretch = (params.length + WORKGROUP - 1u) / WORKGROUP;
    let begin = min(local_index * stretch, params.length);
    let end = min(begin + stretch, params.length);
    var sum = 0u;
    for (var at = begin; at < end; at++) {
        sum += counts[at];
    }
    sums[local_index] = sum;
    for (var step = 1u; step < WORKGROUP; step *= 2u) {
        workgroupBarrier(); // the previous step's sums are written
        var below = 0u;
        if local_index >= step {
            below = sums[local_index - step];
        }
        workgroupBarrier(); // all sums are read
        sums[local_index] += below;
    }
    // Sum of everything before this thread's range; no other thread reads its sum any more.
    var before = sums[local_index] - sum;
    for (var at = begin; at < end; at++) {
        let own = counts[at];
        counts[at] = before;
        before += own;
    }
}
