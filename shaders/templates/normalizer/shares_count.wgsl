// Per-thread partial results of the divisor of a mean, the number of unmasked values, and the first
// invalid label, which templates/normalizer/shares_join joins. Linked with
// templates/normalizer/shares. Threads loop over all values with a stride, so that adjacent threads
// read adjacent memory.

// Count; bits of the sum of the normalizer terms; position of the first invalid label (all bits
// set: none); that label.
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<u32>>;

// Saturating addition.
fn add_counts(a: u32, b: u32) -> u32 {
    return a + min(b, 0xffffffffu - a);
}

@compute @workgroup_size(WORKGROUP)
fn shares_count(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let lanes = (params.length + params.iterations - 1u) / params.iterations;
    let own = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if own >= lanes {
        return;
    }
    var values = 0u;
    var sum = 0.0;
    var bad = 0xffffffffu;
    var label = 0;
    for (var unit = own; unit < params.length; unit += lanes) {
        let found = unit_at(unit);
        if found.state == KEPT {
            values = add_counts(values, found.count);
            sum += found.normalizer_term;
        } else if found.state == BAD && bad == 0xffffffffu {
            bad = params.first + unit;
            label = found.label;
        }
    }
    partials[params.first_partial + own] = vec4<u32>(values, bitcast<u32>(sum), bad, bitcast<u32>(label));
}
