// Kernel 1 of 2 over lists: computes the record of each item, which the second kernel uses for the
// item's pairs.
//
//     statistics_i = fold over the items j of the list by update_statistics(statistics, i, j),
//                    from initial_statistics()
//     records_i    = record(i, statistics_i)
//
// Padding is excluded from both. If uses_statistics() is false, only record is called. Requires its
// functions from shaders/losses/*.wgsl or a helper, through an adaptor. Linked with
// templates/listwise/lists.

fn record_of(unit: Unit, index: u32) -> vec4<f32> {
    let item = item_at(unit.first, index);
    if item.truth < 0.0 || is_nan(item.score) {
        return vec4<f32>(item.score, item.truth, 0.0, 0.0);
    }
    var statistics = initial_statistics();
    if uses_statistics() {
        for (var k = 0u; k < params.items; k += 1u) {
            let other = item_at(unit.first, k);
            if other.truth >= 0.0 {
                statistics = update_statistics(statistics, item, other);
            }
        }
    }
    let made = record(item, statistics);
    return vec4<f32>(made.score, made.truth, made.x, made.y);
}

@compute @workgroup_size(WORKGROUP)
fn list_records(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let range = units_of(workgroup.y * count.x + workgroup.x);
    for (var index = range.x; index < range.y; index += 1u) {
        let unit = unit_of(index);
        for (var k = unit.begin + local_index; k < unit.end; k += WORKGROUP) {
            records[unit.first + k] = record_of(unit, k);
        }
    }
}
