// Direct preference optimization of log-probabilities
// x = (policy_chosen, policy_rejected, reference_chosen, reference_rejected),
// with the gains over the reference a = x.x - x.z and b = x.y - x.w,
// d = (x.x - x.y) - (x.z - x.w), h = BETA d:
//     sigmoid, robust: softplus(-h) + TILT h
//     hinge: [1 - h]+
//     ipo: (d - 1/(2 BETA))^2
//     apo_zero: sigma(-BETA a) + sigma(BETA b)
//     apo_down: sigma(BETA a) + sigma(-h)
//     nca_pair: softplus(-BETA a) + (softplus(BETA a) + softplus(BETA b))/2
//     sppo_hard: (a - 1/(2 BETA))^2 + (b + 1/(2 BETA))^2
override DPO_BETA: f32 = 0.1;
override DPO_LOSS_TYPE: u32 = 0u;
// From the label smoothing s: s for sigmoid, -s/(1 - 2s) for robust.
override DPO_TILT: f32 = 0.0;

// sigma'(x) - sigma'(y) for |x| <= |y|, accurate where |x| is near |y|:
//     e (1 - e^-|x - y|)(1 - e^-|x + y|)/((1 + e)^2 (1 + f)^2),  e = e^-|x|,  f = e^-|y|
// Difference and sum are arguments: computed from rounded x and y they would have lost digits.
fn dpo_difference_of_gradients(x: f32, y: f32, apart: f32, sum: f32) -> f32 {
    let e = exp_any(-min(abs(x), abs(y)));
    let f = exp_any(-max(abs(x), abs(y)));
    let risen = e * exp_m1(-abs(apart)) * exp_m1(-abs(sum));
    let difference = risen / ((1.0 + e) * (1.0 + e) * (1.0 + f) * (1.0 + f));
    return select(-difference, difference, abs(x) <= abs(y));
}

// The difference of two infinite log-probabilities of one sign is not defined: NaN, where the
// functions of it would hide that.
fn dpo_loss(x: vec4<f32>) -> PreferenceTerms {
    let found = dpo_terms(x);
    let a = x.x - x.z;
    let b = x.y - x.w;
    let d = (x.x - x.y) - (x.z - x.w);
    let is_apart = DPO_LOSS_TYPE < 4u || DPO_LOSS_TYPE == 5u;
    let undefined = select(is_nan(a) || is_nan(b), is_nan(d) || (DPO_LOSS_TYPE == 5u && is_nan(a)), is_apart);
    let nan = not_a_number(d);
    return PreferenceTerms(select(found.value, nan, undefined), select(found.gradients, vec2<f32>(nan), undefined));
}

fn dpo_terms(x: vec4<f32>) -> PreferenceTerms {
    let a = x.x - x.z;
    let b = x.y - x.w;
    let d = (x.x - x.y) - (x.z - x.w);
    let h = DPO_BETA * d;
    let half = 0.5 / DPO_BETA;
    switch DPO_LOSS_TYPE {
        case 2u: {
            let gradient = select(0.0, -DPO_BETA, h < 1.0);
            return PreferenceTerms(max(1.0 - h, 0.0), vec2<f32>(gradient, -gradient));
        }
        case 3u: {
            let gradient = 2.0 * (d - half);
            return PreferenceTerms((d - half) * (d - half), vec2<f32>(gradient, -gradient));
        }
        case 4u: {
            let low = vec2<f32>(sigmoid(-DPO_BETA * a), sigmoid(DPO_BETA * b));
            let high = vec2<f32>(sigmoid(DPO_BETA * a), sigmoid(-DPO_BETA * b));
            return PreferenceTerms(low.x + low.y, DPO_BETA * vec2<f32>(-low.x * high.x, low.y * high.y));
        }
        case 5u: {
            let gradients = vec2<f32>(dpo_difference_of_gradients(DPO_BETA * a, h, DPO_BETA * b, DPO_BETA * (a + d)), sigmoid(h) * sigmoid(-h));
            return PreferenceTerms(sigmoid(DPO_BETA * a) + sigmoid(-h), DPO_BETA * gradients);
        }
        case 6u: {
            let chosen = 0.5 * sigmoid(DPO_BETA * a) - sigmoid(-DPO_BETA * a);
            let value = softplus(-DPO_BETA * a) + 0.5 * (softplus(DPO_BETA * a) + softplus(DPO_BETA * b));
            return PreferenceTerms(value, DPO_BETA * vec2<f32>(chosen, 0.5 * sigmoid(DPO_BETA * b)));
        }
        case 7u: {
            let off = vec2<f32>(a - half, b + half);
            return PreferenceTerms(dot(off, off), 2.0 * off);
        }
        default: {
            let gradient = DPO_BETA * (DPO_TILT - sigmoid(-h));
            return PreferenceTerms(softplus(-h) + select(DPO_TILT * h, 0.0, DPO_TILT == 0.0), vec2<f32>(gradient, -gradient));
        }
    }
}
