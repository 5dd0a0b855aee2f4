// Kernel 2 of 3 over survival data: the value of each event, and the derivative by each item,
//
//     v_i = m_i + ln R_i - s_i
//     g_j = sum over the events i with t_i <= t_j of e^(s_j - m_i - ln R_i), less 1 for an event j;
//           in it an event j counts `left` where t_i = t_j
//     gradients[j] = factor * weight[list] * upstream * g_j;  0 for padding
//     values[i]    = factor * weight[list] * v_i;  0 for all but events
//
// Each thread takes an item and loops over its list. Linked with templates/survival/survival and
// lib/numbers.

@group(0) @binding(4) var<storage, read> records: array<vec4<f32>>;
// The weight of each list, then the upstream gradients.
@group(0) @binding(5) var<storage, read> packed: array<u32>;
@group(0) @binding(6) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;

const INFINITY_BITS: u32 = 0x7f800000u;

fn invalid_bits(place: u32) -> u32 {
    // +inf as a score makes the list NaN, -inf does not.
    let score = bitcast<u32>(scores[place]);
    let bits = max(bitcast<u32>(times[place]) & 0x7fffffffu, bitcast<u32>(events[place]) & 0x7fffffffu);
    return max(max(bits, score & 0x7fffffffu), select(0u, INFINITY_BITS + 1u, score == INFINITY_BITS));
}

@compute @workgroup_size(WORKGROUP)
fn survival_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let own = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if own >= params.lists * params.items {
        return;
    }
    let list = own / params.items;
    let first = list * params.items;
    let bits = packed[list];
    if is_padding(own) || bits == MASKED {
        gradients[own] = 0.0;
        values[own] = 0.0;
        return;
    }
    let score = scores[own];
    let time = times[own];
    let is_own_event = is_event(own);
    let is_open = score >= LOWEST;
    var sum = RunningSum();
    var max_bits = 0u;
    for (var k = 0u; k < params.items; k += 1u) {
        let other = first + k;
        if is_padding(other) {
            continue;
        }
        max_bits = max(max_bits, invalid_bits(other));
        if other != own && is_event(other) && times[other] <= time {
            let record = records[other];
            let counted = select(1.0, record.z, is_own_event && times[other] == time);
            add_to(&sum, select(0.0, counted * exp_any(difference(score, record.x) - record.y), is_open));
        }
    }
    var gradient = total_of(sum);
    var value = 0.0;
    if is_own_event {
        let record = records[own];
        value = difference(record.x, score) + record.y;
        // e^-v - 1 of the event itself keeps its digits where its score is far above the others.
        let own_term = exp_m1(-value) - (1.0 - record.z) * exp_any(-value);
        gradient += select(0.0, own_term, is_open);
    }
    let weight = params.factor * bitcast<f32>(bits);
    let scale = weight * params.upstream * bitcast<f32>(packed[params.lists + list]);
    let nan = not_a_number(score);
    let is_invalid = max_bits > INFINITY_BITS;
    gradients[own] = select(scale * gradient, nan, is_invalid);
    values[own] = select(weight * value, nan, is_invalid);
}
