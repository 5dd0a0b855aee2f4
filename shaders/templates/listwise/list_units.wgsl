// Divisor of a mean over lists whose targets are on the device: the number of pairs of items with
// different targets in each list, or 1 if the list has an item. Linked with
// templates/listwise/lists; templates/listwise/list_values joins its output.

override OVER_PAIRS: bool = false;

// Number of pairs in which the item is the higher one.
fn pairs_of_item(unit: Unit, index: u32) -> u32 {
    let item = item_at(unit.first, index);
    if item.truth < 0.0 {
        return 0u;
    }
    var pairs = 0u;
    for (var k = 0u; k < params.items; k += 1u) {
        let other = item_at(unit.first, k);
        pairs += select(0u, 1u, other.truth >= 0.0 && other.truth < item.truth);
    }
    return pairs;
}

// 1 for a list that has an item. One thread of its first block searches, usually over few items.
// (With every item searching for an earlier one, this kernel took as long as the loss: list_net of
// 4096 lists of 1000, 10 of 21 ms.)
fn counts_list(unit: Unit) -> f32 {
    var is_empty = true;
    for (var k = 0u; k < params.items && is_empty; k += 1u) {
        is_empty = item_at(unit.first, k).truth == -1.0;
    }
    return select(1.0, 0.0, is_empty);
}

@compute @workgroup_size(WORKGROUP)
fn list_units(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let range = units_of(workgroup.y * count.x + workgroup.x);
    for (var index = range.x; index < range.y; index += 1u) {
        let unit = unit_of(index);
        var found = 0.0;
        if OVER_PAIRS {
            for (var k = unit.begin + local_index; k < unit.end; k += WORKGROUP) {
                found += f32(pairs_of_item(unit, k));
            }
        } else if local_index == 0u && unit.begin == 0u {
            found = counts_list(unit);
        }
        values[index * WORKGROUP + local_index] = found;
    }
}
