// The log-probability of each completion from the losses of its tokens, -ln p each and 0 for
// ignored tokens:
//
//     normalizers[c] = 1 for the sum, 1/(unmasked tokens) for the mean, 0 without tokens
//     logs[c]        = -normalizers[c] * sum over the tokens of costs, at most 0
//
// One workgroup per completion.

struct Params {
    completions: u32,
    length: u32,   // tokens per completion
    averages: u32, // 1 for the mean, 0 for the sum
    ignored: i32,  // label of ignored tokens
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> costs: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> logs: array<f32>;
@group(0) @binding(4) var<storage, read_write> normalizers: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> counts: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn completion_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let completion = workgroup.y * count.x + workgroup.x;
    var sum = 0.0;
    var kept = 0u;
    if completion < params.completions {
        for (var place = local_index; place < params.length; place += WORKGROUP) {
            let token = completion * params.length + place;
            sum += costs[token];
            kept += select(1u, 0u, labels[token] == params.ignored);
        }
    }
    sums[local_index] = sum;
    counts[local_index] = kept;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates writes and reads of the tree's levels; at the first level, from the threads'
        // own sums.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
            counts[local_index] += counts[local_index + half];
        }
    }
    if local_index == 0u && completion < params.completions {
        let normalizer = select(1.0, 1.0 / f32(max(counts[0], 1u)), params.averages != 0u);
        let total = -normalizer * sums[0];
        normalizers[completion] = select(normalizer, 0.0, counts[0] == 0u);
        // Rounding may leave a probability slightly above 1. NaN passes through.
        logs[completion] = select(total, 0.0, total > 0.0);
    }
}
