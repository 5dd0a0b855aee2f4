// RNN transducer: -ln of the probability of all paths through an item's lattice, by the forward and
// backward recursions over the nodes (t, u), with p the blank's probability at a node, to (t + 1, u),
// and q that of the label u + 1, to (t, u + 1):
//
//     forward[0, 0] = 1, forward[t, u] = forward[t-1, u] p[t-1, u] + forward[t, u-1] q[t, u-1]
//     backward[T-1, U] = p, backward[t, u] = p backward[t+1, u] + q backward[t, u+1]
//
// One workgroup per item, one thread per u; the diagonals t + u run in sequence, with a barrier
// between them. The probabilities are scaled numbers. Linked with
// templates/transducer/transducer_lattice.

var<workgroup> rnnt_invalid: atomic<u32>;

fn rnnt_blank(node: u32) -> vec2<f32> {
    return probability_of(rows[node], rows[node].z);
}

fn rnnt_label(node: u32) -> vec2<f32> {
    return probability_of(rows[node], rows[node].w);
}

fn rnnt_logarithm(x: vec2<f32>) -> f32 {
    // Near 1 the two terms of the other form would cancel.
    let near = log_accurate(x.x * power_of_two(i32(clamp(x.y, -100.0, 100.0))));
    return select(log_accurate(x.x) + x.y * 0.69314718, near, abs(x.y) <= 100.0);
}

@compute @workgroup_size(WORKGROUP)
fn rnnt(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let item = workgroup.y * count.x + workgroup.x;
    // Uniform in the workgroup.
    if item >= params.batch {
        return;
    }
    if local_index == 0u {
        atomicStore(&rnnt_invalid, 0u);
    }
    workgroupBarrier();
    var time = 0u;
    var labels = 0u;
    if has_lengths(item) {
        time = items[item];
        labels = items[params.batch + item];
    }
    // Without rows there is no diagonal.
    let diagonals = select(0u, time + labels, time > 0u);
    for (var d = 0u; d < diagonals; d += 1u) {
        for (var u = local_index; u <= min(labels, d); u += WORKGROUP) {
            let t = d - u;
            if t < time {
                let node = node_of(item, t, u);
                var sum = select(NOTHING, vec2<f32>(1.0, 0.0), d == 0u);
                if t > 0u {
                    let before = node_of(item, t - 1u, u);
                    sum = scaled_sum(sum, scaled_product(forward[before], rnnt_blank(before)));
                }
                if u > 0u {
                    sum = scaled_sum(sum, scaled_product(forward[node - 1u], rnnt_label(node - 1u)));
                }
                forward[node] = sum;
                if is_nan(rows[node].y) {
                    atomicOr(&rnnt_invalid, 1u);
                }
            }
        }
        // A diagonal must be written before the next one reads it.
        storageBarrier();
    }
    for (var left = diagonals; left > 0u; left -= 1u) {
        let d = left - 1u;
        for (var u = local_index; u <= min(labels, d); u += WORKGROUP) {
            let t = d - u;
            if t < time {
                let node = node_of(item, t, u);
                var sum = NOTHING;
                if t + 1u < time {
                    sum = scaled_product(rnnt_blank(node), backward[node_of(item, t + 1u, u)]);
                } else if u == labels {
                    sum = rnnt_blank(node);
                }
                if u < labels {
                    sum = scaled_sum(sum, scaled_product(rnnt_label(node), backward[node + 1u]));
                }
                backward[node] = sum;
            }
        }
        storageBarrier();
    }
    workgroupBarrier();
    if local_index == 0u {
        let whole = backward[node_of(item, 0u, 0u)];
        let is_infeasible = whole.x == 0.0;
        let bits = items[2u * params.batch + item];
        let weight = params.factor * bitcast<f32>(bits);
        var upstream = params.upstream;
        if REDUCTION_NONE {
            upstream *= bitcast<f32>(items[3u * params.batch + item]);
        }
        var value = -weight * rnnt_logarithm(whole);
        var scale = weight * upstream;
        if atomicLoad(&rnnt_invalid) != 0u || time == 0u {
            value = not_a_number(weight);
            scale = value;
        } else if is_infeasible {
            value = weight * bitcast<f32>(0x7f800000u | (item & 0u));
            scale = not_a_number(weight);
        }
        if bits == MASKED {
            value = 0.0;
            scale = 0.0;
        }
        results[item] = value;
        results[params.batch + item] = scale;
    }
}
