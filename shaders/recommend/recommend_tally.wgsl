// Totals of a batch: tallies[batch] = (sum of the losses, draws, interactions with an update, draws
// / 2^32).
//
// One workgroup; its threads iterate over the interactions and are summed by a tree. Linked with
// recommend/recommend.

const LANES: u32 = 256u;

@group(0) @binding(1) var<storage, read> records: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> tallies: array<vec4<u32>>;

var<workgroup> sums: array<f32, LANES>;
var<workgroup> counts: array<vec3<u32>, LANES>;

// (draws, updates, draws / 2^32): exact ranks over many items need more than 32 bits for the draws.
fn add_counts(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
    let draws = a.x + b.x;
    return vec3<u32>(draws, a.y + b.y, a.z + b.z + select(0u, 1u, draws < a.x));
}

@compute @workgroup_size(LANES)
fn tally(@builtin(local_invocation_index) local_index: u32) {
    var sum = 0.0;
    var found = vec3<u32>();
    for (var place = local_index; place < params.length; place += LANES) {
        let record = records[place];
        sum += losses[place];
        found = add_counts(found, vec3<u32>(record.z, select(0u, 1u, bitcast<f32>(record.w) != 0.0), 0u));
    }
    sums[local_index] = sum;
    counts[local_index] = found;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier(); // both halves are written
        if local_index < half {
            sums[local_index] += sums[local_index + half];
            counts[local_index] = add_counts(counts[local_index], counts[local_index + half]);
        }
    }
    if local_index == 0u {
        tallies[params.batch] = vec4<u32>(bitcast<u32>(sums[0]), counts[0]);
    }
}
