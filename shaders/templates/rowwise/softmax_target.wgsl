// Softmax of a row against its target, for losses that are functions of the cross-entropy and of
// the probability of the other classes. Linked with a loss function that defines `loss`. This file
// implements all folding and differentiation.
//
// t is the target, one-hot for a label, p = e^(z - lse), w the class weights:
//     statistics.cross = sum t (lse - z),  statistics.rest = sum p (1 - t),
//     statistics.probability = sum t p
//     loss = W loss(statistics).loss,     W = sum w t / sum t
//     d/dz = W (d_cross (p sum t - t) + d_rest p (1 - rest - t))
// for a label: p factor, minus factor at the label itself,     factor = W (d_cross + d_rest (1 - rest))
// The label's own e^z is excluded from the sums: rest = others / (others + e^z_y) stays accurate as
// p_y approaches 1.

struct Sums {
    maximum: f32,
    others: f32,  // sum of e^(z - maximum) without the label
    inside: f32,  // sum of t e^(z - maximum), with dense targets
    outside: f32, // sum of (1 - t) e^(z - maximum)
    mass: f32,    // sum of t
    dot: f32,     // sum of t (z - maximum)
    weight: f32,  // sum of w t
}

// Arguments of a loss function.
struct SoftmaxStatistics {
    cross: f32,
    probability: f32,
    rest: f32,
    mass: f32, // sum of t
}

struct ValueWithPartials {
    loss: f32,
    d_cross: f32,
    d_rest: f32,
}

struct Outcome {
    loss: f32,
    maximum: f32,
    inverse: f32, // 1 / sum of e^(z - maximum)
    probability: f32,
    rest: f32,
    mass: f32,
    d_cross: f32, // times W, as is d_rest
    d_rest: f32,
    factor: f32,
}

// Placeholder for a masked logit, below all logits.
const CLOSED: f32 = -3.0e38;

// A -inf that no compiler folds away: its bits depend on a value known only at run time.
fn minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
}

fn open_logits(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(CLOSED), cells.logits, cells.kept);
}

// The sums relative to a maximum that is raised by `rise`.
fn raised(sums: Sums, rise: f32) -> Sums {
    let shrink = exp(-rise);
    var moved = sums;
    moved.others *= shrink;
    moved.inside *= shrink;
    moved.outside *= shrink;
    moved.dot -= rise * sums.mass;
    return moved;
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let z = open_logits(cells);
    let is_open = z >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(z.x, z.y), max(z.z, z.w)));
    var next = raised(sums, maximum - sums.maximum);
    next.maximum = maximum;
    let below = select(vec4<f32>(), z - maximum, is_open);
    let e = select(vec4<f32>(), exp(below), is_open & !cells.is_label);
    next.others += sum4(e);
    if !HAS_LABELS {
        let t = cells.truths;
        next.inside += dot(e, t);
        next.outside += dot(e, 1.0 - t);
        next.mass += sum4(t);
        // A logit of -inf is infinitely far below the maximum. It makes the loss infinite only if
        // its target is not 0.
        next.dot += sum4(select(t * select(vec4<f32>(minus_infinity()), below, is_open), vec4<f32>(), t == vec4<f32>()));
        next.weight += dot(cells.class_weights, t);
    }
    return next;
}

fn join(sums: Sums) -> Sums {
    let maximum = row_group_max(sums.maximum);
    var all = raised(sums, maximum - sums.maximum);
    all.maximum = maximum;
    all.others = row_group_sum(all.others);
    if !HAS_LABELS {
        all.inside = row_group_sum(all.inside);
        all.outside = row_group_sum(all.outside);
        all.mass = row_group_sum(all.mass);
        all.dot = row_group_sum(all.dot);
        all.weight = row_group_sum(all.weight);
    }
    return all;
}

fn finish(row: Row, sums: Sums) -> Outcome {
    var label_exp = 0.0;
    var label_below = 0.0;
    var weight = 1.0;
    if row.label != NO_LABEL {
        let is_open = keeps(row, row.label) && row.label_logit >= LOWEST;
        label_below = select(minus_infinity(), row.label_logit - sums.maximum, is_open);
        label_exp = select(0.0, exp(label_below), is_open);
        weight = class_weight(row.label);
    } else if HAS_CLASS_WEIGHT && sums.mass != 0.0 {
        weight = sums.weight / sums.mass;
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
    // For a logit of +inf the difference is inf - inf, so the whole row is NaN. Drivers return 0,
    // NaN or inf here.
    let is_infinite = bitcast<u32>(sums.maximum) == INFINITY_BITS;
    if is_infinite {
        log_total = nan_of(row);
        inverse = log_total;
    }
    var statistics = SoftmaxStatistics(log_total - label_below, label_exp * inverse, sums.others * inverse, 1.0);
    var mass = 1.0;
    if !HAS_LABELS {
        statistics = SoftmaxStatistics(sums.mass * log_total - sums.dot, sums.inside * inverse, sums.outside * inverse, sums.mass);
        mass = sums.mass;
    }
    statistics.rest = select(statistics.rest, 1.0, total == 0.0);
    let found = loss(statistics);
    // Written so that no digits are lost for a probability near 0 or 1.
    let near = (found.d_cross + found.d_rest) - found.d_rest * statistics.rest;
    let far = found.d_cross + found.d_rest * statistics.probability;
    let factor = weight * select(far, near, statistics.probability > 0.5);
    var loss = select(weight * found.loss, 0.0, weight == 0.0);
    if is_infinite {
        loss = log_total;
    }
    let partials = weight * vec2<f32>(found.d_cross, found.d_rest);
    return Outcome(loss, sums.maximum, inverse, statistics.probability, statistics.rest, mass, partials.x, partials.y, factor);
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let z = open_logits(cells);
    let p = outcome.inverse * exp(z - outcome.maximum);
    var d_logits = outcome.factor * p;
    if HAS_LABELS {
        d_logits = select(d_logits, vec4<f32>(-outcome.factor * outcome.rest), cells.is_label);
    } else {
        // Both differences are of equal numbers if there is only one class. Differences of larger
        // sums would leave rounding errors.
        let t = cells.truths;
        let apart = select(outcome.probability - t, (1.0 - t) - outcome.rest, outcome.probability > 0.5);
        d_logits = outcome.d_cross * (p * outcome.mass - t) + outcome.d_rest * p * apart;
    }
    return select(vec4<f32>(), d_logits, z >= vec4<f32>(LOWEST));
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
