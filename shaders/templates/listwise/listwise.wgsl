// Listwise kernel template: losses of a list of scores, where the derivative of an item depends on
// all other items.
//
//     total        = sum over the items j of normalizer_term(j)
//     (v_i, s_i)   = scale(total) (item_terms(i) + sum over the items j of pair_terms(i, j))
//     gradients[i] = upstream * factor * weight[list] * s_i;  0 for padding
//     values       = sum over the lists of factor * weight[list] * sum over i of v_i
//
// Each thread takes items i and loops over all j, so that no two threads add to the same sum. The
// sums are split into runs of 64, which limits the rounding to 64 + n/64 additions. Requires from
// shaders/losses/*.wgsl, or a helper, through an adaptor `normalizer_term`, `scale`, `item_terms`
// and `pair_terms`. Linked with templates/listwise/lists and one of lib/partials_*.

const RUN: u32 = 64u;

fn kept_item(first: u32, index: u32) -> Item {
    let found = records[first + index];
    return Item(found.x, found.y, found.z, found.w, index);
}

// Returns an item's contribution to the value and writes its gradient.
fn take_item(unit: Unit, item: Item, weight: f32, upstream: f32) -> f32 {
    var found = vec2<f32>();
    var total = 0.0;
    var max_bits = 0u;
    for (var start = 0u; start < params.items; start += RUN) {
        var part = vec2<f32>();
        var part_total = 0.0;
        for (var k = start; k < min(start + RUN, params.items); k += 1u) {
            let other = kept_item(unit.first, k);
            let bits = bitcast<vec2<u32>>(vec2<f32>(other.score, other.truth)) & vec2<u32>(0x7fffffffu);
            max_bits = max(max_bits, max(bits.x, bits.y));
            if other.truth >= 0.0 {
                part += pair_terms(item, other);
                part_total += normalizer_term(other);
            }
        }
        found += part;
        total += part_total;
    }
    let factor = scale(total);
    let scaled = select(factor * (found + item_terms(item)), vec2<f32>(), factor == 0.0);
    let is_invalid = max_bits > INFINITY_BITS;
    let nan = not_a_number(weight);
    // Not `>= 0`: NaN is not padding.
    let is_padding = item.truth == -1.0;
    let gradient = select(weight * upstream * scaled.y, nan, is_invalid);
    gradients[unit.first + item.index] = select(gradient, 0.0, is_padding);
    return select(select(weight * scaled.x, nan, is_invalid), 0.0, is_padding);
}

// Sum of the values of a thread's items in a unit.
fn take_unit(unit: Unit, local_index: u32) -> f32 {
    var weight = params.factor;
    var upstream = params.upstream;
    if HAS_WEIGHT {
        weight *= bitcast<f32>(weights[unit.list]);
    }
    if DIVISOR_ON_DEVICE {
        let divisor = upstreams[2];
        weight = select(weight / divisor, 0.0, divisor == 0.0);
    }
    if REDUCTION_NONE {
        upstream *= upstreams[unit.list];
    }
    let left_out = is_left_out(unit.list);
    var sum = 0.0;
    list_first = unit.first;
    for (var k = unit.begin + local_index; k < unit.end; k += WORKGROUP) {
        if left_out {
            gradients[unit.first + k] = 0.0;
        } else {
            sum += take_item(unit, kept_item(unit.first, k), weight, upstream);
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn listwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = workgroup.y * count.x + workgroup.x;
    let range = units_of(place);
    var sum = RunningSum();
    for (var index = range.x; index < range.y; index += 1u) {
        let found = take_unit(unit_of(index), local_index);
        add_to(&sum, found);
        if REDUCTION_NONE {
            values[index * WORKGROUP + local_index] = found;
        }
    }
    if !REDUCTION_NONE {
        write_partial(place, local_index, total_of(sum), range.x < range.y);
    }
}
