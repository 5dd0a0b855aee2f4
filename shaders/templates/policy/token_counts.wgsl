// Number of tokens of each completion: its contribution to the divisor of a mean over tokens. One
// thread per completion, which loops over its tokens.

struct Params {
    rows: u32,
    columns: u32,
    ignored: i32,
}

override WORKGROUP: u32 = 64u;
override HAS_MASK: bool = false;
// The masks are the bits of labels: a token is left out where its label is the ignored one.
override HAS_LABELS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> masks: array<f32>;
@group(0) @binding(2) var<storage, read_write> counts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn token_counts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    var found = params.columns;
    if HAS_MASK || HAS_LABELS {
        found = 0u;
        for (var t = 0u; t < params.columns; t += 1u) {
            let bits = bitcast<i32>(masks[row * params.columns + t]);
            // Neither +0 nor -0: NaN counts, as in templates/policy/policy.
            let is_kept = select((bits & 0x7fffffff) != 0, bits != params.ignored, HAS_LABELS);
            found += select(0u, 1u, is_kept);
        }
    }
    counts[row] = f32(found);
}
