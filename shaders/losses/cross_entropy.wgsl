// Softmax cross-entropy against a label or a row of dense targets t, every option in one pass.
//
// z = TEMPERATURE^-1 SOFTCAP tanh(x / SOFTCAP), lse = ln sum e^z, p = e^(z - lse), K unmasked
// classes, s = LABEL_SMOOTHING:
//     q_c  = w_c ((1 - s) t_c + s / K)          (t one-hot for a label; w the class weights)
//     loss = sum_c q_c (lse - z_c) + Z_LOSS lse^2
//     d/dz = p_c (Q + 2 Z_LOSS lse) - q_c,   Q = sum q
//     d2/dz2 = p_c (1 - p_c) (Q + 2 Z_LOSS lse) + 2 Z_LOSS p_c^2
// Sums are relative to the running maximum (Milakov and Gimelshein, Online normalizer calculation
// for softmax, 2018), and exclude the label's own e^z: Q (p_y - 1) = -Q others / (others + e^z_y)
// has all its digits when p_y goes to 1, and so has ln(1 + others).
override CROSS_ENTROPY_LABEL_SMOOTHING: f32 = 0.0;
override CROSS_ENTROPY_Z_LOSS: f32 = 0.0;
override CROSS_ENTROPY_SOFTCAP: f32 = 0.0; // 0: no cap
override CROSS_ENTROPY_TEMPERATURE: f32 = 1.0;
// Transform of the label's logit, where logits are cosines: 1 ArcFace, cos(a + MARGIN), beyond pi
// cos a - MARGIN sin MARGIN; 2 CosFace, cos a - MARGIN; 3 SphereFace, (-1)^k cos(MARGIN a) - 2k with
// k = floor(MARGIN a / pi).
override CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM: u32 = 0u;
override CROSS_ENTROPY_MARGIN: f32 = 0.0;
override CROSS_ENTROPY_MARGIN_COSINE: f32 = 1.0;
override CROSS_ENTROPY_MARGIN_SINE: f32 = 0.0;
override CROSS_ENTROPY_SCALE: f32 = 1.0;

// With m the maximum, below = z - m. Sums that no option needs are skipped: the switches are
// constants.
struct CrossEntropySums {
    maximum: f32,
    others: f32,     // sum of e^below without the label
    spread: f32,     // sum of w
    spread_dot: f32, // sum of w below
    classes: f32,    // number of unmasked cells
    hard: f32,       // sum of w t
    hard_dot: f32,   // sum of w t below
    others_dot: f32, // sum of e^below below, for the entropy
    best: f32,       // column of the largest logit
    best_logit: f32,
    rest: f32,       // sum of e^below without one cell of the maximum, for the hessian
}

struct CrossEntropyOutcome {
    loss: f32,
    maximum: f32,
    factor: f32,      // (Q + 2 Z_LOSS lse) / sum of all e^below
    smoothing: f32,   // s / K
    label_gradient: f32, // derivative at the label
    lse: f32,
    entropy: f32,
    probability: f32, // softmax probability of the label
    best: f32,
    inverse: f32,     // 1 / sum of all e^below
    rest: f32,        // 1 - p at the maximum
}

// Larger than all columns.
const CROSS_ENTROPY_NO_COLUMN: f32 = 4294967040.0;

// Stands for a masked logit: below all logits.
const CROSS_ENTROPY_CLOSED: f32 = -3.0e38;

fn cross_entropy_scaled(x: vec4<f32>) -> vec4<f32> {
    if CROSS_ENTROPY_SOFTCAP > 0.0 {
        return CROSS_ENTROPY_SOFTCAP / CROSS_ENTROPY_TEMPERATURE * tanh_clamped4(x / CROSS_ENTROPY_SOFTCAP);
    }
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM != 0u {
        return CROSS_ENTROPY_SCALE / CROSS_ENTROPY_TEMPERATURE * x;
    }
    return x / CROSS_ENTROPY_TEMPERATURE;
}

// SphereFace's function of a cosine and its derivative, (-1)^k MARGIN sin(MARGIN a)/sin a: by the
// Chebyshev polynomials T and U, without an angle. The sign changes of U_0, U_1, ..., U_(MARGIN-1)
// are as many as the last has zeros above the cosine (a Sturm sequence), and so is k. Outside
// [-1, 1] it goes on with derivative 1.
fn cross_entropy_multiplied(cosine: vec4<f32>) -> array<vec4<f32>, 2> {
    let one = vec4<f32>(1.0);
    let c = clamp(cosine, -one, one);
    var t = c;
    var last_t = one;
    var u = one;
    var last_u = vec4<f32>();
    var k = vec4<f32>();
    for (var n = 1.0; n < CROSS_ENTROPY_MARGIN; n += 1.0) {
        let next_t = 2.0 * c * t - last_t;
        last_t = t;
        t = next_t;
        let next_u = 2.0 * c * u - last_u;
        last_u = u;
        u = next_u;
        k += select(vec4<f32>(), one, (u < vec4<f32>()) != (last_u < vec4<f32>()));
    }
    let side = one - 2.0 * (k - 2.0 * floor(0.5 * k));
    let derivative = select(side * CROSS_ENTROPY_MARGIN * u, one, abs(cosine) > one);
    return array<vec4<f32>, 2>((side * t - 2.0 * k) + (cosine - c), derivative);
}

fn cross_entropy_with_margin(cosine: vec4<f32>) -> vec4<f32> {
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM == 3u {
        return cross_entropy_multiplied(cosine)[0];
    }
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM == 2u {
        return cosine - CROSS_ENTROPY_MARGIN;
    }
    let sine = sqrt(max((1.0 - cosine) * (1.0 + cosine), vec4<f32>()));
    let turned = CROSS_ENTROPY_MARGIN_COSINE * cosine - CROSS_ENTROPY_MARGIN_SINE * sine;
    return select(turned, cosine - CROSS_ENTROPY_MARGIN * CROSS_ENTROPY_MARGIN_SINE, cosine <= vec4<f32>(-CROSS_ENTROPY_MARGIN_COSINE));
}

// sin(a + MARGIN) / sin a. Where sin a is 0, the sine of the next f32 cosine is used, sqrt(2^-23).
// Outside [-1, 1] the input is not a cosine and the sine stays 0.
fn cross_entropy_margin_gradient(cosine: vec4<f32>) -> vec4<f32> {
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM == 2u {
        return vec4<f32>(1.0);
    }
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM == 3u {
        return cross_entropy_multiplied(cosine)[1];
    }
    let sine = max(sqrt(max((1.0 - cosine) * (1.0 + cosine), vec4<f32>())), vec4<f32>(3.4526698e-4));
    let sine_term = select(CROSS_ENTROPY_MARGIN_SINE * cosine / sine, vec4<f32>(), abs(cosine) > vec4<f32>(1.0));
    return select(CROSS_ENTROPY_MARGIN_COSINE + sine_term, vec4<f32>(1.0), cosine <= vec4<f32>(-CROSS_ENTROPY_MARGIN_COSINE));
}

fn cross_entropy_scaled_gradient(x: vec4<f32>) -> vec4<f32> {
    if CROSS_ENTROPY_SOFTCAP > 0.0 {
        // 1 - tanh^2 u = 4e/(1 + e)^2, e = e^(-2|u|): the difference itself has no digits left
        // where tanh is near 1.
        let e = exp(-2.0 * abs(x / CROSS_ENTROPY_SOFTCAP));
        return 4.0 * e / ((1.0 + e) * (1.0 + e)) / CROSS_ENTROPY_TEMPERATURE;
    }
    return vec4<f32>(CROSS_ENTROPY_SCALE / CROSS_ENTROPY_TEMPERATURE);
}

// Scaled logits; a masked class and a logit of -inf are CLOSED.
fn cross_entropy_scaled_logits(cells: Cells) -> vec4<f32> {
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM != 0u {
        let logits = select(cells.logits, cross_entropy_with_margin(cells.logits), cells.is_label);
        return select(vec4<f32>(CROSS_ENTROPY_CLOSED), cross_entropy_scaled(logits), cells.kept);
    }
    return select(vec4<f32>(CROSS_ENTROPY_CLOSED), cross_entropy_scaled(cells.logits), cells.kept);
}

// A -inf that no compiler folds away: its bits depend on a value known only at run time.
fn cross_entropy_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn cross_entropy_empty_sums() -> CrossEntropySums {
    return CrossEntropySums(LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, CROSS_ENTROPY_NO_COLUMN, LOWEST, 0.0);
}

// The sums relative to a maximum that is `rise` higher.
fn cross_entropy_raised(sums: CrossEntropySums, rise: f32) -> CrossEntropySums {
    var moved = sums;
    let shrink = exp(-rise);
    moved.others = shrink * sums.others;
    if AUXILIARY {
        moved.others_dot = shrink * (sums.others_dot - select(0.0, rise * sums.others, sums.others > 0.0));
    }
    if HESSIAN_DIAGONAL && rise > 0.0 {
        // The cell of the old maximum joins the rest; if there was none yet, e^-rise is 0.
        moved.rest = shrink * (sums.rest + 1.0);
    }
    moved.spread_dot -= rise * sums.spread;
    moved.hard_dot -= rise * sums.hard;
    return moved;
}

// weight * below, 0 where the weight is 0: a masked class is infinitely far below, and only its
// target makes the loss infinite.
fn cross_entropy_weight_of(weight: vec4<f32>, below: vec4<f32>) -> vec4<f32> {
    return select(weight * below, vec4<f32>(), weight == vec4<f32>());
}

fn cross_entropy_fold(sums: CrossEntropySums, cells: Cells) -> CrossEntropySums {
    let z = cross_entropy_scaled_logits(cells);
    let is_open = z >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(z.x, z.y), max(z.z, z.w)));
    var next = cross_entropy_raised(sums, maximum - sums.maximum);
    next.maximum = maximum;
    let below = select(vec4<f32>(), z - maximum, is_open);
    let e = select(vec4<f32>(), exp(z - maximum), is_open & !cells.is_label);
    next.others += sum4(e);
    if AUXILIARY {
        next.others_dot += dot(e, below);
        for (var k = 0u; k < 4u; k += 1u) {
            // By the raw logits: a softcap may make two of them equal.
            if is_open[k] && cells.logits[k] > next.best_logit {
                next.best_logit = cells.logits[k];
                next.best = f32(cells.columns[k]);
            }
        }
    }
    if HESSIAN_DIAGONAL {
        let all = select(vec4<f32>(), exp(below), is_open);
        let tops = sum4(select(vec4<f32>(), vec4<f32>(1.0), is_open & (below == vec4<f32>())));
        // Of a new maximum, one cell does not belong to the rest.
        let is_new = maximum > sums.maximum;
        next.rest += sum4(select(all, vec4<f32>(), below == vec4<f32>())) + (tops - select(0.0, 1.0, is_new));
    }
    if CROSS_ENTROPY_LABEL_SMOOTHING != 0.0 {
        let weights = select(vec4<f32>(), cells.class_weights, is_open);
        next.spread += sum4(weights);
        next.spread_dot += dot(weights, below);
        next.classes += sum4(select(vec4<f32>(), vec4<f32>(1.0), is_open));
    }
    if !HAS_LABELS {
        let weights = cells.class_weights * cells.truths;
        next.hard += sum4(weights);
        next.hard_dot += sum4(cross_entropy_weight_of(weights, select(vec4<f32>(cross_entropy_minus_infinity()), below, is_open)));
    }
    return next;
}

// The functions of PEAKS_FIRST, for labels without further options.
fn cross_entropy_fold_peak(sums: CrossEntropySums, cells: Cells) -> CrossEntropySums {
    let z = cross_entropy_scaled_logits(cells);
    var next = sums;
    next.maximum = max(sums.maximum, max(max(z.x, z.y), max(z.z, z.w)));
    return next;
}

fn cross_entropy_join_peaks(sums: CrossEntropySums) -> CrossEntropySums {
    var next = sums;
    next.maximum = row_group_max(sums.maximum);
    return next;
}

struct CrossEntropyBelow {
    sums: CrossEntropySums,
    exponentials: vec4<f32>, // e^(z - maximum), 0 where z is masked or -inf
}

fn cross_entropy_fold_below(sums: CrossEntropySums, cells: Cells) -> CrossEntropyBelow {
    let z = cross_entropy_scaled_logits(cells);
    let e = select(vec4<f32>(), exp(z - sums.maximum), z >= vec4<f32>(LOWEST));
    var next = sums;
    next.others += sum4(select(e, vec4<f32>(), cells.is_label));
    return CrossEntropyBelow(next, e);
}

// The numbers of the outcome that the derivatives below are made of, times a factor.
fn cross_entropy_scaled_outcome(outcome: CrossEntropyOutcome, scale: f32) -> CrossEntropyOutcome {
    let own = scale * (1.0 / CROSS_ENTROPY_TEMPERATURE);
    var scaled = outcome;
    scaled.factor *= own;
    scaled.label_gradient *= own;
    return scaled;
}

// A class with a probability of 0 has no derivative, masked or not.
fn cross_entropy_gradient_of_exponentials(outcome: CrossEntropyOutcome, cells: Cells) -> vec4<f32> {
    return select(outcome.factor * cells.logits, vec4<f32>(outcome.label_gradient), cells.is_label);
}

fn cross_entropy_join(sums: CrossEntropySums) -> CrossEntropySums {
    let maximum = row_group_max(sums.maximum);
    var all = cross_entropy_raised(sums, maximum - sums.maximum);
    all.maximum = maximum;
    all.others = row_group_sum(all.others);
    if HESSIAN_DIAGONAL {
        // Each thread that found the maximum excluded one cell; the row group excludes only one in
        // total.
        let tops = row_group_sum(select(0.0, 1.0, sums.maximum == maximum));
        all.rest = row_group_sum(all.rest) + (tops - 1.0);
    }
    if AUXILIARY {
        all.others_dot = row_group_sum(all.others_dot);
        all.best_logit = row_group_max(sums.best_logit);
        // Ties: the smallest column among the threads that found the maximum.
        all.best = -row_group_max(select(-CROSS_ENTROPY_NO_COLUMN, -sums.best, sums.best_logit == all.best_logit));
    }
    if CROSS_ENTROPY_LABEL_SMOOTHING != 0.0 {
        all.spread = row_group_sum(all.spread);
        all.spread_dot = row_group_sum(all.spread_dot);
        all.classes = row_group_sum(all.classes);
    }
    if !HAS_LABELS {
        all.hard = row_group_sum(all.hard);
        all.hard_dot = row_group_sum(all.hard_dot);
    }
    return all;
}

fn cross_entropy_finish(row: Row, joined_sums: CrossEntropySums) -> CrossEntropyOutcome {
    var sums = joined_sums;
    var label_exp = 0.0;
    var label_below = 0.0;
    var label_is_open = false;
    if row.label != NO_LABEL {
        var x = vec4<f32>(row.label_logit);
        if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM != 0u {
            x = cross_entropy_with_margin(x);
        }
        let z = cross_entropy_scaled(x).x;
        label_is_open = keeps(row, row.label) && z >= LOWEST;
        label_below = select(cross_entropy_minus_infinity(), z - sums.maximum, label_is_open);
        label_exp = select(0.0, exp(label_below), label_is_open);
        sums.hard = class_weight(row.label);
        sums.hard_dot = cross_entropy_weight_of(vec4<f32>(sums.hard), vec4<f32>(label_below)).x;
    }
    let total = sums.others + label_exp;
    var log_total = log_accurate(total);
    if label_exp == 1.0 && sums.others <= 1.0 {
        log_total = ln_1p_unit_interval(sums.others);
    }
    var inverse = 1.0 / total;
    if total == 0.0 {
        log_total = 0.0;
        inverse = 0.0;
    }
    // A logit of +inf gives inf - inf, so the whole row is NaN. Drivers give 0, NaN or inf here.
    if bitcast<u32>(sums.maximum) == INFINITY_BITS {
        log_total = nan_of(row);
        inverse = log_total;
    }
    let lse = sums.maximum + log_total;
    let smoothing = select(CROSS_ENTROPY_LABEL_SMOOTHING / sums.classes, 0.0, sums.classes == 0.0);
    let mass = (1.0 - CROSS_ENTROPY_LABEL_SMOOTHING) * sums.hard + smoothing * sums.spread;
    let d_lse = 2.0 * CROSS_ENTROPY_Z_LOSS * lse;
    var outcome: CrossEntropyOutcome;
    outcome.loss = mass * log_total - ((1.0 - CROSS_ENTROPY_LABEL_SMOOTHING) * sums.hard_dot + smoothing * sums.spread_dot);
    if CROSS_ENTROPY_Z_LOSS != 0.0 {
        outcome.loss += CROSS_ENTROPY_Z_LOSS * lse * lse;
    }
    outcome.maximum = sums.maximum;
    outcome.factor = (mass + d_lse) * inverse;
    outcome.smoothing = smoothing;
    outcome.probability = label_exp * inverse;
    // The total mass minus that of the label's own class: the mass smoothed over the other classes.
    let apart = mass - sums.hard * (1.0 - CROSS_ENTROPY_LABEL_SMOOTHING + smoothing);
    outcome.label_gradient = apart - mass * sums.others * inverse + d_lse * outcome.probability;
    outcome.lse = lse;
    outcome.entropy = log_total - (sums.others_dot + select(0.0, label_exp * label_below, label_is_open)) * inverse;
    outcome.best = sums.best;
    outcome.inverse = inverse;
    outcome.rest = sums.rest * inverse;
    return outcome;
}

fn cross_entropy_gradient(row: Row, outcome: CrossEntropyOutcome, cells: Cells) -> vec4<f32> {
    let z = cross_entropy_scaled_logits(cells);
    var d_logits = outcome.factor * exp(z - outcome.maximum);
    if !HAS_LABELS {
        d_logits -= cells.class_weights * ((1.0 - CROSS_ENTROPY_LABEL_SMOOTHING) * cells.truths + outcome.smoothing);
    } else if CROSS_ENTROPY_LABEL_SMOOTHING != 0.0 {
        d_logits -= cells.class_weights * outcome.smoothing;
    }
    d_logits = select(d_logits, vec4<f32>(outcome.label_gradient), cells.is_label) * cross_entropy_scaled_gradient(cells.logits);
    if CROSS_ENTROPY_TARGET_LOGIT_TRANSFORM != 0u {
        d_logits *= select(vec4<f32>(1.0), cross_entropy_margin_gradient(cells.logits), cells.is_label);
    }
    return select(vec4<f32>(), d_logits, z >= vec4<f32>(LOWEST));
}

// 1 - p has no digits left where p is near 1, possible only at the maximum: there it is rest / sum
// of all e^below.
fn cross_entropy_hessian_diagonal(row: Row, outcome: CrossEntropyOutcome, cells: Cells) -> vec4<f32> {
    let z = cross_entropy_scaled_logits(cells);
    let e = exp(z - outcome.maximum);
    let p = e * outcome.inverse;
    let others = select(1.0 - p, vec4<f32>(outcome.rest), z == vec4<f32>(outcome.maximum));
    let second = outcome.factor * e * others + 2.0 * CROSS_ENTROPY_Z_LOSS * p * p;
    return select(vec4<f32>(), second / (CROSS_ENTROPY_TEMPERATURE * CROSS_ENTROPY_TEMPERATURE), z >= vec4<f32>(LOWEST));
}

// Auxiliary outputs 1 to 5: lse, argmax, whether it equals the label, entropy, probability of the
// label. 0 for an ignored row.
fn cross_entropy_auxiliary(place: u32, row: Row, outcome: CrossEntropyOutcome) {
    let taken = select(0.0, 1.0, row.state == KEPT);
    let is_hit = HAS_LABELS && u32(outcome.best) == row.label;
    let found = array<f32, 5>(outcome.lse, outcome.best, select(0.0, 1.0, is_hit), outcome.entropy, outcome.probability);
    for (var k = 0u; k < 5u; k += 1u) {
        values[(k + 1u) * params.plane + place] = select(0.0, found[k], taken != 0.0);
    }
}

// d/dt_c = (1 - s) w_c (lse - z_c), 0 for a masked class.
fn cross_entropy_target_derivative(row: Row, outcome: CrossEntropyOutcome, cells: Cells) -> vec4<f32> {
    let z = cross_entropy_scaled_logits(cells);
    let above = (outcome.lse - outcome.maximum) - (z - outcome.maximum);
    return select(vec4<f32>(), (1.0 - CROSS_ENTROPY_LABEL_SMOOTHING) * cells.class_weights * above, z >= vec4<f32>(LOWEST));
}
