// Sums an array into one slot, in an order that depends only on its length. One workgroup.
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

fn part_at(place: u32) -> f32 {
    if place < params.length {
        return parts[place];
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn sum(@builtin(local_invocation_index) local_index: u32) {
    var ones = 0.0;
    var fours = 0.0;
    var sixteens = 0.0;
    var rest = 0.0;
    var count = 0u;
    for (var i = local_index; i < params.length; i += 16u * WORKGROUP) {
        // Sixteen loads are in flight at once.
        var four = vec4<f32>();
        for (var k = 0u; k < 4u; k += 1u) {
            four += vec4<f32>(
                part_at(i + 4u * k * WORKGROUP),
                part_at(i + (4u * k + 1u) * WORKGROUP),
                part_at(i + (4u * k + 2u) * WORKGROUP),
                part_at(i + (4u * k + 3u) * WORKGROUP),
            );
        }
        // In groups of four at each level: the error grows with the longest chain of additions, and
        // four equal numbers add up without one.
        ones += (four.x + four.y) + (four.z + four.w);
        count += 1u;
        if count % 4u == 0u {
            fours += ones;
            ones = 0.0;
        }
        if count % 16u == 0u {
            sixteens += fours;
            fours = 0.0;
        }
        if count % 64u == 0u {
            rest += sixteens;
            sixteens = 0.0;
        }
    }
    sums[local_index] = ((ones + fours) + sixteens) + rest;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u {
        results[params.slot] = sums[0];
    }
}
