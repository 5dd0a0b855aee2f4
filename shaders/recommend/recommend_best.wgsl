// Top-n selection: the n best items of each row of scores, except excluded ones; all of them if
// there are fewer. Ties go to the lower index.
//
// left_out holds where each row's exclusions begin, and the end, [rows + 1], then the items.
// found[row, place] = (item, score), unordered: the host sorts n of them.
//
// One workgroup per row. It finds the bits of the n-th best score, eight at a time, by counting the
// scores per digit, then takes all scores above them and the first ones equal to them. Counts are
// integers: their sums do not depend on the order.

const LANES: u32 = 64u;
const LEFT_OUT: u32 = 0xffffffffu; // lowest in the order of bits, and never a result of arithmetic

struct Params {
    rows: u32,
    items: u32,
    n: u32,
    reserved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> left_out: array<u32>;
@group(0) @binding(2) var<storage, read_write> scores: array<u32>;
@group(0) @binding(3) var<storage, read_write> found: array<vec2<u32>>;

var<workgroup> digits: array<atomic<u32>, 256>;
var<workgroup> counts: array<vec2<u32>, LANES>;

// An integer key in the same order as the numbers.
fn key_of(bits: u32) -> u32 {
    return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn choose(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    let end = left_out[row + 1u];
    let wanted = min(params.n, params.items - (end - left_out[row]));
    if wanted == 0u {
        return;
    }
    let base = row * params.items;
    for (var at = left_out[row] + local_index; at < end; at += LANES) {
        scores[base + left_out[at]] = LEFT_OUT;
    }
    storageBarrier(); // excluded items are marked

    // Key of the last item taken, and the number taken of exactly this key.
    var threshold = 0u;
    var ties = wanted;
    for (var digit_number = 0u; digit_number < 4u; digit_number++) {
        let shift = 24u - 8u * digit_number;
        let known = ~(0xffffffffu >> (8u * digit_number));
        for (var digit = local_index; digit < 256u; digit += LANES) {
            atomicStore(&digits[digit], 0u);
        }
        workgroupBarrier(); // all counts are 0
        for (var item = local_index; item < params.items; item += LANES) {
            let key = key_of(scores[base + item]);
            if (key & known) == threshold {
                atomicAdd(&digits[(key >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier(); // all are counted
        var digit = 255u;
        while digit > 0u {
            let here = atomicLoad(&digits[digit]);
            if here >= ties {
                break;
            }
            ties -= here;
            digit--;
        }
        threshold |= digit << shift;
        workgroupBarrier(); // all threads have read the counts
    }

    // Each thread takes from its own range, after the items taken by the threads before it.
    let stretch = (params.items + LANES - 1u) / LANES;
    let first = min(local_index * stretch, params.items);
    let last = min(first + stretch, params.items);
    var own = vec2<u32>(); // above the threshold, equal to it
    for (var item = first; item < last; item++) {
        let key = key_of(scores[base + item]);
        own += vec2<u32>(select(0u, 1u, key > threshold), select(0u, 1u, key == threshold));
    }
    counts[local_index] = own;
    workgroupBarrier(); // all ranges are counted
    var before = vec2<u32>();
    for (var other = 0u; other < local_index; other++) {
        before += counts[other];
    }
    for (var item = first; item < last; item++) {
        let bits = scores[base + item];
        let key = key_of(bits);
        if key > threshold {
            found[row * params.n + before.x] = vec2<u32>(item, bits);
            before.x++;
        } else if key == threshold {
            if before.y < ties {
                found[row * params.n + wanted - ties + before.y] = vec2<u32>(item, bits);
            }
            before.y++;
        }
    }
}
