// Kernel 1 of 3 over survival data: the risk set of each event,
//
//     records[i] = (m, ln R, left),  m the largest score of the risk set
//     R    = sum of e^(s_j - m) over the items j at risk, t_j >= t_i, in which an event of the same
//            time counts `left`
//     left = 1 - tied_share(rank of the event among those of its time, their number)
//
// Each thread takes an item and loops over its list three times. Requires from
// shaders/losses/*.wgsl, through an adaptor: `tied_share`. Linked with templates/survival/survival
// and lib/numbers.

@group(0) @binding(4) var<storage, read_write> records: array<vec4<f32>>;

fn record_of(first: u32, own: u32) -> vec4<f32> {
    let time = times[own];
    var peak = LOWEST;
    var ties = 0.0;
    var rank = 0.0;
    for (var k = 0u; k < params.items; k += 1u) {
        let other = first + k;
        if !is_padding(other) && times[other] >= time {
            peak = max(peak, scores[other]);
            let is_tied = is_event(other) && times[other] == time;
            ties += select(0.0, 1.0, is_tied);
            rank += select(0.0, 1.0, is_tied && other < own);
        }
    }
    let left = 1.0 - tied_share(rank, ties);
    // Only -inf is left: a choice among no items has value 0.
    if peak == LOWEST {
        return vec4<f32>(scores[own], 0.0, left, 0.0);
    }
    var tied = RunningSum();
    var others = RunningSum();
    for (var k = 0u; k < params.items; k += 1u) {
        let other = first + k;
        if !is_padding(other) && times[other] >= time {
            let term = exp_any(scores[other] - peak);
            if is_event(other) && times[other] == time {
                add_to(&tied, term);
            } else {
                add_to(&others, term);
            }
        }
    }
    return vec4<f32>(peak, ln_positive(total_of(others) + left * total_of(tied)), left, 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn survival_records(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if place >= params.lists * params.items {
        return;
    }
    var found = vec4<f32>();
    if !is_padding(place) && is_event(place) {
        found = record_of(place / params.items * params.items, place);
    }
    records[place] = found;
}
