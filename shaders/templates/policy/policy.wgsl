// Policy-gradient kernel template: losses of the log-probabilities of tokens, one value for each
// completion, a row of tokens.
//
//     l            = token(log_prob, log_prob - old, advantage), value and derivative
//                    + beta (e^u - 1 - u),  u = reference - log_prob, derivative -beta (e^u - 1)
//     values[i]    = factor * weight[i] * share * sum of l over the tokens that the mask keeps
//     gradients[t] = factor * weight[i] * upstream * share * l';  0 where the mask is 0
//
// `share` is 1/length, or 1/count of the row's tokens with BY_COUNT. One workgroup per row, which
// loops over it twice. Of two infinite log-probabilities of one sign neither the ratio nor u is
// defined: the token is NaN. Requires from shaders/losses/*.wgsl, or a helper, through an adaptor: `token`.
// Linked with lib/lanes and lib/numbers.

struct Params {
    rows: u32,
    columns: u32,
    length: u32,          // divisor of a row's sum
    advantage_width: u32, // number of tokens that share an advantage
    factor: f32,          // of the reduction
    upstream: f32,        // dL/d(value)
    beta: f32,
}

override WORKGROUP: u32 = 64u;
// Without the old log-probabilities the ratio is 1, and its derivative that of the log-probability.
override HAS_OLD: bool = true;
override HAS_REFERENCE: bool = true;
override HAS_MASK: bool = true;
override BY_COUNT: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;
@group(0) @binding(2) var<storage, read> advantages: array<f32>;
@group(0) @binding(3) var<storage, read> olds: array<f32>;
@group(0) @binding(4) var<storage, read> references: array<f32>;
@group(0) @binding(5) var<storage, read> masks: array<f32>;
// The weight of each row, then the upstream gradients.
@group(0) @binding(6) var<storage, read> packed: array<u32>;
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(8) var<storage, read_write> values: array<f32>;

// A NaN in the mask counts as a token, which it makes NaN: only +0 and -0 leave one out.
fn is_kept(place: u32) -> bool {
    if HAS_MASK {
        return (bitcast<u32>(masks[place]) & 0x7fffffffu) != 0u;
    }
    return true;
}

fn terms_of(place: u32) -> vec2<f32> {
    let log_prob = log_probs[place];
    let advantage = advantages[place / params.advantage_width];
    var log_ratio = 0.0;
    var sum = log_prob + advantage;
    var has_nan = is_nan(log_prob) || is_nan(advantage);
    if HAS_OLD {
        let old = olds[place];
        log_ratio = log_prob - old;
        sum += old;
        has_nan = has_nan || is_nan(old) || is_nan(log_ratio);
    }
    if HAS_MASK {
        sum += masks[place];
        has_nan = has_nan || is_nan(masks[place]);
    }
    var found = token(log_prob, log_ratio, advantage);
    if HAS_REFERENCE {
        let reference = references[place];
        let apart = reference - log_prob;
        let risen = exp_m1(apart);
        // inf - inf where a token has become impossible.
        let divergence = select(risen - apart, risen, risen > 3.4028234e38);
        found += params.beta * vec2<f32>(divergence, -risen);
        sum += reference;
        has_nan = has_nan || is_nan(reference) || is_nan(apart);
    }
    // NaN in, NaN out, independently of the driver's min and clamp.
    return select(found, vec2<f32>(not_a_number(sum)), has_nan);
}

@compute @workgroup_size(WORKGROUP)
fn policy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let bits = packed[row];
    let counts = bits != MASKED;
    var length = f32(params.length);
    if BY_COUNT && HAS_MASK {
        var own = 0.0;
        for (var t = local_index; t < params.columns; t += WORKGROUP) {
            own += select(0.0, 1.0, is_kept(first + t));
        }
        length = max(sum_of(own, local_index), 1.0);
    }
    let weight = params.factor * bitcast<f32>(bits) / length;
    let scale = weight * params.upstream * bitcast<f32>(packed[params.rows + row]);
    var sum = RunningSum();
    for (var t = local_index; t < params.columns; t += WORKGROUP) {
        let place = first + t;
        var gradient = 0.0;
        if counts && is_kept(place) {
            let found = terms_of(place);
            gradient = scale * found.y;
            add_to(&sum, found.x);
        }
        gradients[place] = gradient;
    }
    let total = sum_of(total_of(sum), local_index);
    if local_index == 0u {
        values[row] = select(0.0, weight * total, counts);
    }
}
