// The divisor of a mean over lists whose targets live on the device: the pairs of items with truths that differ, or the lists
// that have an item at all. Linked with kernels/lists and one of helpers/partials_*; the sum kernel adds up what it leaves.

override OVER_PAIRS: bool = false;

// The pairs in which the item is above; or 1 for the first item of a list.
fn units_of_item(unit: Unit, index: u32) -> u32 {
    let item = item_at(unit.first, index);
    if item.truth < 0.0 {
        return 0u;
    }
    var pairs = 0u;
    for (var k = 0u; k < params.items; k += 1u) {
        let other = item_at(unit.first, k);
        if OVER_PAIRS {
            pairs += select(0u, 1u, other.truth >= 0.0 && other.truth < item.truth);
        } else if k == index {
            return 1u;
        } else if other.truth >= 0.0 {
            return 0u;
        }
    }
    return pairs;
}

@compute @workgroup_size(WORKGROUP)
fn list_units(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * count.x + workgroup.x;
    let range = units_of(place);
    var sum = 0.0;
    for (var index = range.x; index < range.y; index += 1u) {
        let unit = unit_of(index);
        // Without a break: the loop ends at once where the list is left out.
        let end = select(unit.end, unit.begin, is_left_out(unit.list));
        for (var k = unit.begin + lane; k < end; k += WORKGROUP) {
            sum += f32(units_of_item(unit, k));
        }
    }
    write_partial(place, lane, sum, range.x < range.y);
}
