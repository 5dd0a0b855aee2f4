// Softmax cross-entropy against a label or a row of dense targets t, every option in one pass.
//
// z = TEMPERATURE^-1 SOFTCAP tanh(x / SOFTCAP), lse = ln sum e^z, p = e^(z - lse), K classes kept, s = LABEL_SMOOTHING:
//     q_c  = w_c ((1 - s) t_c + s / K)                     (t one-hot for a label; w the class weights)
//     loss = sum_c q_c (lse - z_c) + Z_LOSS lse^2
//     d/dz = p_c (Q + 2 Z_LOSS lse) - q_c,   Q = sum q
// Sums are held relative to the running maximum (Milakov and Gimelshein, Online normalizer calculation for softmax,
// 2018), and the label's own e^z is kept out of sum_exp: Q (p_y - 1) = -Q sum_exp / (sum_exp + e^z_y) has all its
// digits when p_y goes to 1, and so has ln(1 + sum_exp).
override LABEL_SMOOTHING: f32 = 0.0;
override Z_LOSS: f32 = 0.0;
override SOFTCAP: f32 = 0.0; // 0: no cap
override TEMPERATURE: f32 = 1.0;

struct Sums {
    maximum: f32,
    sum_exp: f32,     // of e^(z - maximum), the label left out
    spread: f32,      // of w_c
    spread_dot: f32,  // of w_c (z_c - maximum)
    hard: f32,        // of w_c t_c
    hard_dot: f32,    // of w_c t_c (z_c - maximum)
    classes: f32,     // cells kept
    sum_exp_dot: f32, // of e^(z - maximum) (z - maximum), for the entropy
    best: u32,        // the column of the largest logit
    best_logit: f32,
}

struct Outcome {
    loss: f32,
    maximum: f32,
    inverse: f32,     // 1 / sum of all e^(z - maximum)
    pull: f32,        // Q + 2 Z_LOSS lse
    mass: f32,        // Q
    z_pull: f32,      // 2 Z_LOSS lse
    others: f32,      // share of all cells but the label's
    smoothing: f32,   // s / K
    lse: f32,
    label_logit: f32,
    entropy: f32,
    best: u32,
}

fn scaled_logit(x: f32) -> f32 {
    if SOFTCAP > 0.0 {
        return SOFTCAP * tanh_clamped(x / SOFTCAP) / TEMPERATURE;
    }
    return x / TEMPERATURE;
}

fn scaled_logit_slope(x: f32) -> f32 {
    if SOFTCAP > 0.0 {
        // 1 - tanh^2 u = 4e/(1 + e)^2, e = e^(-2|u|): the difference has no digits left where tanh is near 1.
        let e = exp(-2.0 * abs(x / SOFTCAP));
        return 4.0 * e / ((1.0 + e) * (1.0 + e)) / TEMPERATURE;
    }
    return 1.0 / TEMPERATURE;
}

// -inf that no compiler folds away: its bits are put together from one known at run time only.
fn minus_infinity(row: Row) -> f32 {
    return bitcast<f32>(0xff800000u | (row.label & 0x80000000u));
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, NO_LABEL, LOWEST);
}

// What no option asks for is not summed: the conditions are constants, folded when the pipeline is made. One
// exponential for each cell: e^-|z - maximum| shrinks the sum where the cell is the new maximum, else it is the cell's.
fn fold(sums: Sums, cell: Cell) -> Sums {
    let z = scaled_logit(cell.logit);
    // A logit of -inf is a masked class: no probability, no share of the smoothing.
    let is_open = cell.kept && z >= LOWEST;
    // A closed cell lies so far below that its exponential is 0.
    let distance = select(-1000.0, z - sums.maximum, is_open);
    let rises = distance > 0.0;
    let rise = max(distance, 0.0);
    let below = min(distance, 0.0);
    let e = exp(-abs(distance));
    let own = select(0.0, select(e, 1.0, rises), is_open && !cell.is_label);
    var next = sums;
    next.maximum = select(sums.maximum, z, rises);
    next.sum_exp = sums.sum_exp * select(1.0, e, rises) + own;
    if AUXILIARY {
        next.sum_exp_dot = select(sums.sum_exp_dot + own * below, e * (sums.sum_exp_dot - rise * sums.sum_exp), rises);
        // Of the logits as they came: a softcap may make two of them equal.
        let wins = is_open && cell.logit > sums.best_logit;
        next.best = select(sums.best, cell.column, wins);
        next.best_logit = select(sums.best_logit, cell.logit, wins);
    }
    if LABEL_SMOOTHING != 0.0 {
        let weight = select(0.0, cell.class_weight, is_open);
        next.spread_dot += select(0.0, weight * below, is_open) - rise * sums.spread;
        next.spread += weight;
        next.classes += select(0.0, 1.0, is_open);
    }
    if !HAS_LABELS {
        let weight = cell.class_weight * cell.truth;
        // -inf for a class that is masked: its bits are put together from one known at run time only.
        let closed = bitcast<f32>(0xff800000u | (cell.column & 0x80000000u));
        next.hard_dot += weight_of(weight, select(closed, below, is_open)) - rise * sums.hard;
        next.hard += weight;
    }
    return next;
}

// weight * distance, 0 where the weight is: a masked class is infinitely far, and only its target makes the loss so.
fn weight_of(weight: f32, distance: f32) -> f32 {
    return select(weight * distance, 0.0, weight == 0.0);
}

// Moves the sums from their maximum to one that is `rise` higher.
fn raised(sums: Sums, rise: f32) -> Sums {
    var moved = sums;
    let shrink = exp(-rise);
    moved.sum_exp_dot = shrink * (sums.sum_exp_dot - select(0.0, rise * sums.sum_exp, sums.sum_exp > 0.0));
    moved.sum_exp *= shrink;
    moved.spread_dot -= rise * sums.spread;
    moved.hard_dot -= rise * sums.hard;
    return moved;
}

fn merge(a: Sums, b: Sums) -> Sums {
    let maximum = max(a.maximum, b.maximum);
    let x = raised(a, maximum - a.maximum);
    let y = raised(b, maximum - b.maximum);
    let a_wins = a.best_logit > b.best_logit || (a.best_logit == b.best_logit && a.best < b.best);
    return Sums(
        maximum,
        x.sum_exp + y.sum_exp,
        x.spread + y.spread,
        x.spread_dot + y.spread_dot,
        x.hard + y.hard,
        x.hard_dot + y.hard_dot,
        x.classes + y.classes,
        x.sum_exp_dot + y.sum_exp_dot,
        select(b.best, a.best, a_wins),
        max(a.best_logit, b.best_logit),
    );
}

fn finish(row: Row, folded_sums: Sums) -> Outcome {
    var sums = folded_sums;
    var label_logit = LOWEST;
    var label_exp = 0.0;
    var label_dot = 0.0;
    if row.state == KEPT && row.label != NO_LABEL {
        let cell = read_cell(row, row.label);
        label_logit = scaled_logit(cell.logit);
        let below = label_logit - sums.maximum;
        sums.hard = cell.class_weight;
        sums.hard_dot = weight_of(cell.class_weight, below);
        if cell.kept && label_logit >= LOWEST {
            label_exp = exp(below);
            label_dot = label_exp * below;
        } else {
            sums.hard_dot = weight_of(cell.class_weight, minus_infinity(row));
        }
    }
    let total = sums.sum_exp + label_exp;
    var log_total = log_accurate(total);
    if label_exp == 1.0 && sums.sum_exp <= 1.0 {
        log_total = log1p_unit(sums.sum_exp);
    }
    if total == 0.0 {
        log_total = 0.0;
    }
    var inverse = select(1.0 / total, 0.0, total == 0.0);
    // A logit of +inf: inf - inf has no value, and so has the whole row none. Drivers give 0, NaN or inf here.
    if bitcast<u32>(sums.maximum) == 0x7f800000u {
        log_total = nan_of(row);
        inverse = log_total;
    }
    let lse = sums.maximum + log_total;
    let smoothing = select(LABEL_SMOOTHING / sums.classes, 0.0, sums.classes == 0.0);
    let mass = (1.0 - LABEL_SMOOTHING) * sums.hard + smoothing * sums.spread;
    let dot = (1.0 - LABEL_SMOOTHING) * sums.hard_dot + smoothing * sums.spread_dot;
    var outcome: Outcome;
    outcome.loss = mass * log_total - dot;
    if Z_LOSS != 0.0 {
        outcome.loss += Z_LOSS * lse * lse;
    }
    outcome.maximum = sums.maximum;
    outcome.inverse = inverse;
    outcome.z_pull = 2.0 * Z_LOSS * lse;
    outcome.mass = mass;
    outcome.pull = mass + outcome.z_pull;
    outcome.others = sums.sum_exp * inverse;
    outcome.smoothing = smoothing;
    outcome.lse = lse;
    outcome.label_logit = label_logit;
    outcome.entropy = log_total - (sums.sum_exp_dot + label_dot) * inverse;
    outcome.best = sums.best;
    return outcome;
}

fn derivative(row: Row, outcome: Outcome, cell: Cell) -> f32 {
    let z = scaled_logit(cell.logit);
    if !cell.kept || z < LOWEST {
        return 0.0;
    }
    let p = exp(z - outcome.maximum) * outcome.inverse;
    let q = cell.class_weight * ((1.0 - LABEL_SMOOTHING) * cell.truth + outcome.smoothing);
    var slope = outcome.pull * p - q;
    if cell.is_label {
        slope = (outcome.mass - q) - outcome.mass * outcome.others + outcome.z_pull * p;
    }
    return slope * scaled_logit_slope(cell.logit);
}

// Planes 2 to 6: lse, argmax, whether it is the label, entropy, probability of the label. 0 for a row left out.
fn auxiliary(place: u32, row: Row, outcome: Outcome) {
    let kept = row.state == KEPT;
    let is_hit = HAS_LABELS && outcome.best == row.label;
    let probability = select(0.0, exp(outcome.label_logit - outcome.lse), HAS_LABELS);
    results[2u * params.plane + place] = select(0.0, outcome.lse, kept);
    results[3u * params.plane + place] = select(0.0, f32(outcome.best), kept);
    results[4u * params.plane + place] = select(0.0, 1.0, kept && is_hit);
    results[5u * params.plane + place] = select(0.0, outcome.entropy, kept);
    results[6u * params.plane + place] = select(0.0, probability, kept);
}
