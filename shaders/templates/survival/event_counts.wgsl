// Number of events of each list: its contribution to the divisor of a mean. One thread per list,
// which loops over its items. Linked with templates/survival/survival.

@group(0) @binding(4) var<storage, read_write> counts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn event_counts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let list = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if list >= params.lists {
        return;
    }
    var found = 0u;
    for (var k = 0u; k < params.items; k += 1u) {
        let place = list * params.items + k;
        found += select(0u, 1u, is_event(place) && !is_padding(place));
    }
    counts[list] = f32(found);
}
