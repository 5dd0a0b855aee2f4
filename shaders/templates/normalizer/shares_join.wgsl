// Joins the partial results of templates/normalizer/shares_count, in an order that depends only on
// their number. One workgroup.
//
//     notes = (unchanged, 1 + position of the first invalid label or 0, divisor, count, that label)

struct Params {
    length: u32,
    count_scale: u32,   // values that one counted value represents
    divisor_scale: u32, // the same for the divisor
    by_count: u32,      // 1: the divisor is the count
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> notes: array<u32>;

var<workgroup> counts: array<u32, WORKGROUP>;
var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> bad: array<vec2<u32>, WORKGROUP>;

fn add_counts(a: u32, b: u32) -> u32 {
    return a + min(b, 0xffffffffu - a);
}

fn times(a: u32, b: u32) -> u32 {
    return select(a * b, 0xffffffffu, a > 0xffffffffu / max(b, 1u));
}

@compute @workgroup_size(WORKGROUP)
fn shares_join(@builtin(local_invocation_index) local_index: u32) {
    var count = 0u;
    var sum = 0.0;
    var first = vec2<u32>(0xffffffffu, 0u);
    for (var i = local_index; i < params.length; i += 16u * WORKGROUP) {
        // 16 values are summed before they are added to the total: the error grows with the longest
        // chain of additions.
        var part = 0.0;
        for (var k = i; k < min(i + 16u * WORKGROUP, params.length); k += WORKGROUP) {
            let found = partials[k];
            count = add_counts(count, found.x);
            part += bitcast<f32>(found.y);
            if found.z < first.x {
                first = found.zw;
            }
        }
        sum += part;
    }
    counts[local_index] = count;
    sums[local_index] = sum;
    bad[local_index] = first;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            counts[local_index] = add_counts(counts[local_index], counts[local_index + half]);
            sums[local_index] += sums[local_index + half];
            if bad[local_index + half].x < bad[local_index].x {
                bad[local_index] = bad[local_index + half];
            }
        }
    }
    if local_index == 0u {
        let whole = times(counts[0], params.divisor_scale);
        let divisor = select(sums[0] * f32(params.divisor_scale), f32(whole), params.by_count != 0u);
        notes[1] = bad[0].x + 1u;
        notes[2] = bitcast<u32>(divisor);
        notes[3] = times(counts[0], params.count_scale);
        notes[4] = bad[0].y;
    }
}
