// Connectionist temporal classification: -ln of the probability of all alignments of an item's
// labels to its time steps, by the forward and backward recursions over the 2 L + 1 states (blank,
// label, blank, ..., blank), all in logarithms.
//
//     a[0, 0] = y[blank], a[0, 1] = y[label 1]
//     a[t, s] = y[t, s] + lse(a[t-1, s], a[t-1, s-1],
//               and a[t-1, s-2] if the label differs from that of state s-2)
//     b[t, s] = lse over s' in (s, s+1, s+2 likewise) of b[t+1, s'] + y[t+1, s']
//     lattice[t, s] = exp(a[t, s] + b[t, s] - ln p), the probability of state s at t
//
// y is the log-probability less the row's normalizer (templates/sequence/sequence_rows). One
// workgroup per item, one thread per state; time steps run in sequence, with a barrier between
// them. Linked with templates/sequence/sequence_lattice and lib/numbers.

// Items without a valid alignment count as 0.
override CTC_ZERO_INFINITY: bool = false;

fn ctc_label_of(item: u32, state: u32) -> u32 {
    if state % 2u == 0u {
        return params.blank;
    }
    return u32(targets[item * params.length + state / 2u]);
}

// True if an alignment may skip from state s-2 to s: over a blank, between two different labels.
fn ctc_skips(item: u32, state: u32) -> bool {
    return state % 2u == 1u && state >= 2u && ctc_label_of(item, state) != ctc_label_of(item, state - 2u);
}

fn ctc_emission(item: u32, row: u32, state: u32) -> f32 {
    let place = row * params.batch + item;
    let x = logits[place * params.classes + ctc_label_of(item, state)];
    let normalizer = normalizers[place];
    return max((x - normalizer.x) - normalizer.y, LOWEST);
}

// LOWEST represents ln 0: a sum of a few of them stays finite.
fn ctc_add_logarithms(x: f32, y: f32, z: f32) -> f32 {
    let largest = max(max(x, y), z);
    return largest + log_accurate(exp(x - largest) + exp(y - largest) + exp(z - largest));
}

@compute @workgroup_size(WORKGROUP)
fn ctc(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let item = workgroup.y * count.x + workgroup.x;
    // Uniform in the workgroup.
    if item >= params.batch {
        return;
    }
    let time = items[item];
    let states = 2u * items[params.batch + item] + 1u;
    let first = item * params.time * params.states;
    var normalizer = 0.0;
    var lost = 0.0;
    var is_invalid = false;
    for (var t = 0u; t < time; t += 1u) {
        let before = first + (t - 1u) * params.states;
        for (var s = local_index; s < states; s += WORKGROUP) {
            var sum = select(LOWEST, 0.0, s < 2u);
            if t > 0u {
                var one = LOWEST;
                var two = LOWEST;
                if s >= 1u {
                    one = lattice[before + s - 1u];
                }
                if ctc_skips(item, s) {
                    two = lattice[before + s - 2u];
                }
                sum = ctc_add_logarithms(lattice[before + s], one, two);
            }
            lattice[first + t * params.states + s] = max(sum + ctc_emission(item, t, s), LOWEST);
        }
        let taken = normalizers[t * params.batch + item].y;
        is_invalid = is_invalid || is_nan(taken);
        // Kahan summation: the error of an addition is carried into the next one.
        let next = taken - lost;
        let total = normalizer + next;
        lost = (total - normalizer) - next;
        normalizer = total;
        // The row must be written before the next one reads it.
        storageBarrier();
    }
    // Without time steps the empty alignment is the only one.
    var logarithm = select(LOWEST, 0.0, states == 1u);
    if time > 0u {
        let last = first + (time - 1u) * params.states;
        var one = LOWEST;
        if states > 1u {
            one = lattice[last + states - 2u];
        }
        logarithm = ctc_add_logarithms(lattice[last + states - 1u], one, LOWEST);
    }
    // Every thread must have read the last row before it is overwritten.
    storageBarrier();
    let own = 2u * item * params.states;
    for (var left = time; left > 0u; left -= 1u) {
        let t = left - 1u;
        let here = own + (t % 2u) * params.states;
        let behind = own + (left % 2u) * params.states;
        for (var s = local_index; s < states; s += WORKGROUP) {
            var sum = select(LOWEST, 0.0, s + 2u >= states);
            if left < time {
                var one = LOWEST;
                var two = LOWEST;
                if s + 1u < states {
                    one = backward[behind + s + 1u] + ctc_emission(item, left, s + 1u);
                }
                if s + 2u < states && ctc_skips(item, s + 2u) {
                    two = backward[behind + s + 2u] + ctc_emission(item, left, s + 2u);
                }
                sum = ctc_add_logarithms(backward[behind + s] + ctc_emission(item, left, s), one, two);
            }
            sum = max(sum, LOWEST);
            backward[here + s] = sum;
            let place = first + t * params.states + s;
            lattice[place] = exp((lattice[place] + sum) - logarithm);
        }
        storageBarrier();
    }
    if local_index == 0u {
        let is_infeasible = logarithm < 0.5 * LOWEST;
        let bits = items[2u * params.batch + item];
        let weight = params.factor * bitcast<f32>(bits);
        var upstream = params.upstream;
        if REDUCTION_NONE {
            upstream *= bitcast<f32>(items[3u * params.batch + item]);
        }
        var value = -weight * (normalizer + logarithm);
        var scale = weight * upstream;
        if is_invalid {
            value = not_a_number(value);
            scale = value;
        } else if is_infeasible {
            // As in PyTorch: the value is infinite, and the gradient is meaningless.
            let infinity = bitcast<f32>(0x7f800000u | (item & 0u));
            value = select(weight * infinity, 0.0, CTC_ZERO_INFINITY);
            scale = select(not_a_number(value), 0.0, CTC_ZERO_INFINITY);
        }
        if bits == MASKED {
            value = 0.0;
            scale = 0.0;
        }
        results[item] = value;
        results[params.batch + item] = scale;
    }
}
