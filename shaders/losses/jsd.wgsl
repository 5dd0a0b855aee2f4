// Jensen-Shannon divergence of Q = e^x from P = e^y, x and y log-probabilities:
//     loss = BETA KL(P|M) + (1 - BETA) KL(Q|M),  M = BETA P + (1 - BETA) Q
//     derivative (1 - BETA) Q ln(Q/M)
// BETA 0 is KL(P|Q), derivative -P, and 1 is KL(Q|P), derivative Q (ln(Q/P) + 1). With d = y - x:
//     ln(Q/M) = -ln(1 + BETA (e^d - 1)),  ln(P/M) = -ln(1 + (1 - BETA)(e^-d - 1))
// which are accurate at d = 0.
override JSD_BETA: f32 = 0.5;

struct JsdSums {
    total: f32,
}

struct JsdOutcome {
    loss: f32,
}

// Beyond this distance e^d is near the end of f32, and the logarithm of the ratio is d plus a
// constant.
const JSD_FAR: f32 = 80.0;

// ln of M over the distribution that d is measured from: ln(1 + mixture_weight (e^d - 1)).
fn jsd_log_ratio(d: vec4<f32>, mixture_weight: f32) -> vec4<f32> {
    let growth = exp_and_less4(clamp(d, vec4<f32>(-JSD_FAR), vec4<f32>(JSD_FAR)))[1];
    return ln_1p_above_minus_one4(mixture_weight * growth) + max(d - JSD_FAR, vec4<f32>());
}

// ln(M/Q) and ln(M/P), which differ by d. Where neither mixture weight is small, one logarithm
// suffices, that of the larger distribution; the subtraction costs the other at most one digit.
fn jsd_log_ratios(d: vec4<f32>) -> array<vec4<f32>, 2> {
    if JSD_BETA < 0.1 || JSD_BETA > 0.9 {
        return array<vec4<f32>, 2>(jsd_log_ratio(d, JSD_BETA), jsd_log_ratio(-d, 1.0 - JSD_BETA));
    }
    let is_above = d > vec4<f32>();
    let mixture_weights = select(vec4<f32>(JSD_BETA), vec4<f32>(1.0 - JSD_BETA), is_above);
    let falls = ln_1p_above_minus_one4(mixture_weights * exp_and_less4(-abs(d))[1]);
    return array<vec4<f32>, 2>(select(falls, falls + d, is_above), select(falls - d, falls, is_above));
}

// Values and derivatives by x of four cells.
struct JsdDivergence {
    values: vec4<f32>,
    d_logits: vec4<f32>,
}

fn jsd_divergence(cells: Cells) -> JsdDivergence {
    let p = exp(cells.truths);
    let q = exp(cells.logits);
    let d = cells.truths - cells.logits;
    var values: vec4<f32>;
    var d_logits: vec4<f32>;
    if JSD_BETA == 0.0 {
        values = select(p * d, vec4<f32>(), p == vec4<f32>());
        d_logits = -p;
    } else if JSD_BETA == 1.0 {
        values = select(-q * d, vec4<f32>(), q == vec4<f32>());
        d_logits = select(q * (1.0 - d), vec4<f32>(), q == vec4<f32>());
    } else {
        let ratios = jsd_log_ratios(d);
        d_logits = select(-(1.0 - JSD_BETA) * q * ratios[0], vec4<f32>(), q == vec4<f32>());
        values = d_logits + select(-JSD_BETA * p * ratios[1], vec4<f32>(), p == vec4<f32>());
    }
    let weights = select(vec4<f32>(), cells.class_weights, cells.kept);
    let counts = weights != vec4<f32>();
    return JsdDivergence(select(vec4<f32>(), weights * values, counts), select(vec4<f32>(), weights * d_logits, counts));
}

fn jsd_empty_sums() -> JsdSums {
    return JsdSums(0.0);
}

fn jsd_fold(sums: JsdSums, cells: Cells) -> JsdSums {
    return JsdSums(sums.total + sum4(jsd_divergence(cells).values));
}

fn jsd_join(sums: JsdSums) -> JsdSums {
    return JsdSums(row_group_sum(sums.total));
}

fn jsd_finish(row: Row, sums: JsdSums) -> JsdOutcome {
    return JsdOutcome(sums.total);
}

fn jsd_gradient(row: Row, outcome: JsdOutcome, cells: Cells) -> vec4<f32> {
    return jsd_divergence(cells).d_logits;
}

fn jsd_auxiliary(place: u32, row: Row, outcome: JsdOutcome) {}
