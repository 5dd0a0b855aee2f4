// Jensen-Shannon divergence of Q = e^x from P = e^y, x and y log-probabilities: BETA KL(P|M) + (1 - BETA) KL(Q|M) with
// M = BETA P + (1 - BETA) Q; derivative (1 - BETA) Q ln(Q/M). BETA 0 is KL(P|Q), derivative -P, and 1 is KL(Q|P), Q (ln(Q/P) + 1).
// With d = y - x: ln(Q/M) = -ln(1 + BETA (e^d - 1)), ln(P/M) = -ln(1 + (1 - BETA)(e^-d - 1)), which keep their digits at d = 0.
override BETA: f32 = 0.5;

struct Sums {
    total: f32,
}

struct Outcome {
    loss: f32,
}

// Beyond this distance e^d is near the end of f32, and the logarithm of the ratio is d but for a constant.
const FAR: f32 = 80.0;

// ln of M over the distribution that d is measured from: ln(1 + share (e^d - 1)).
fn log_ratio(d: vec4<f32>, share: f32) -> vec4<f32> {
    let growth = exp_and_less4(clamp(d, vec4<f32>(-FAR), vec4<f32>(FAR)))[1];
    return log1p_inside4(share * growth) + max(d - FAR, vec4<f32>());
}

// ln(M/Q) and ln(M/P), which are d apart. Where neither share is small one logarithm does, of the distribution that is the
// larger, and the difference leaves the other one all its digits but one.
fn log_ratios(d: vec4<f32>) -> array<vec4<f32>, 2> {
    if BETA < 0.1 || BETA > 0.9 {
        return array<vec4<f32>, 2>(log_ratio(d, BETA), log_ratio(-d, 1.0 - BETA));
    }
    let is_above = d > vec4<f32>();
    let shares = select(vec4<f32>(BETA), vec4<f32>(1.0 - BETA), is_above);
    let falls = log1p_inside4(shares * exp_and_less4(-abs(d))[1]);
    return array<vec4<f32>, 2>(select(falls, falls + d, is_above), select(falls - d, falls, is_above));
}

// Values and derivatives by x of four cells.
struct Divergence {
    values: vec4<f32>,
    slopes: vec4<f32>,
}

fn divergence(cells: Cells) -> Divergence {
    let p = exp(cells.truths);
    let q = exp(cells.logits);
    let d = cells.truths - cells.logits;
    var values: vec4<f32>;
    var slopes: vec4<f32>;
    if BETA == 0.0 {
        values = select(p * d, vec4<f32>(), p == vec4<f32>());
        slopes = -p;
    } else if BETA == 1.0 {
        values = select(-q * d, vec4<f32>(), q == vec4<f32>());
        slopes = select(q * (1.0 - d), vec4<f32>(), q == vec4<f32>());
    } else {
        let ratios = log_ratios(d);
        slopes = select(-(1.0 - BETA) * q * ratios[0], vec4<f32>(), q == vec4<f32>());
        values = slopes + select(-BETA * p * ratios[1], vec4<f32>(), p == vec4<f32>());
    }
    let weights = select(vec4<f32>(), cells.class_weights, cells.kept);
    let counts = weights != vec4<f32>();
    return Divergence(select(vec4<f32>(), weights * values, counts), select(vec4<f32>(), weights * slopes, counts));
}

fn empty_sums() -> Sums {
    return Sums(0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    return Sums(sums.total + sum4(divergence(cells).values));
}

fn join(sums: Sums) -> Sums {
    return Sums(team_sum(sums.total));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    return Outcome(sums.total);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    return divergence(cells).slopes;
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
