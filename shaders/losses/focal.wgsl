// Focal loss of the softmax: sum over the classes of q ALPHA (1 - p)^GAMMA (-ln p).
//
// With a label and without smoothing q is one-hot: a function of cross = -ln p and rest = 1 - p of the
// label, whose total derivative by cross is ALPHA rest^GAMMA (1 + GAMMA p cross/rest). Otherwise q =
// w ((1 - s) t + s / K), s = LABEL_SMOOTHING, K unmasked classes, w the class weights, and a second
// pass over the row sums the values and these derivatives g; d/dz = p sum of g - g.
// Sums of the label exclude its own e^z, and those of all classes one cell of the maximum: 1 - p then
// keeps its digits where p is near 1.
override FOCAL_GAMMA: f32 = 2.0;
override FOCAL_ALPHA: f32 = 1.0;
override FOCAL_LABEL_SMOOTHING: f32 = 0.0;

struct FocalSums {
    maximum: f32,
    others: f32,  // sum of e^(z - maximum) without the label; with dense targets of all classes
    rest: f32,    // the same without one cell of the maximum
    classes: f32, // number of unmasked classes
    value: f32,   // of the second pass: sum of q f
    slope: f32,   // sum of g
    stage: f32,   // 0 in the first pass
}

struct FocalOutcome {
    loss: f32,
    maximum: f32,
    log_total: f32,
    inverse: f32, // 1 / sum of e^(z - maximum)
    rest: f32,    // 1 - p of the label, or at the maximum
    factor: f32,  // derivative by cross of a label, or sum of g
    share: f32,   // s / K
}

// Placeholder for a masked logit, below all logits.
const FOCAL_CLOSED: f32 = -3.0e38;

fn focal_is_one_hot() -> bool {
    return HAS_LABELS && FOCAL_LABEL_SMOOTHING == 0.0;
}

// A -inf that no compiler folds away: its bits depend on a value known only at run time.
fn focal_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn focal_empty_sums() -> FocalSums {
    return FocalSums(LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
}

fn focal_restart(sums: FocalSums) -> FocalSums {
    return FocalSums(sums.maximum, sums.others, sums.rest, sums.classes, 0.0, 0.0, 1.0);
}

fn focal_logits(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(FOCAL_CLOSED), cells.logits, cells.kept);
}

fn focal_log_total(total: f32, rest: f32) -> f32 {
    if total == 0.0 {
        return 0.0;
    }
    // e^0 of the maximum, and the others.
    if rest <= 1.0 {
        return ln_1p_unit_interval(rest);
    }
    return log_accurate(total);
}

// The value and the derivative by cross of a cell with p and 1 - p: (f, g) without q.
fn focal_terms(p: f32, rest: f32, cross: f32) -> vec2<f32> {
    let ease = FOCAL_ALPHA * power(rest, FOCAL_GAMMA);
    // Limits: cross/rest goes to 1 as rest goes to 0, and p ln p to 0 as p goes to 0.
    let ratio = select(cross / rest, 1.0, rest == 0.0);
    let share = select(p * ratio, 0.0, p == 0.0);
    return vec2<f32>(select(ease * cross, 0.0, ease == 0.0), ease * (1.0 + FOCAL_GAMMA * share));
}

// q of four cells.
fn focal_targets(cells: Cells, is_open: vec4<bool>, share: f32) -> vec4<f32> {
    let truths = select(cells.truths, select(vec4<f32>(), vec4<f32>(1.0), cells.is_label), vec4<bool>(HAS_LABELS));
    let spread = select(vec4<f32>(), vec4<f32>(share), is_open);
    return cells.class_weights * ((1.0 - FOCAL_LABEL_SMOOTHING) * truths + spread);
}

fn focal_share(classes: f32) -> f32 {
    return select(FOCAL_LABEL_SMOOTHING / classes, 0.0, classes == 0.0);
}

// (f, g) of each cell, times q.
fn focal_cells(cells: Cells, maximum: f32, log_total: f32, inverse: f32, rest: f32, share: f32) -> array<vec4<f32>, 2> {
    let z = focal_logits(cells);
    let is_open = z >= vec4<f32>(LOWEST);
    let q = focal_targets(cells, is_open, share);
    var values = vec4<f32>();
    var derivatives = vec4<f32>();
    for (var k = 0u; k < 4u; k += 1u) {
        if q[k] != 0.0 {
            let below = select(focal_minus_infinity(), z[k] - maximum, is_open[k]);
            let p = select(0.0, inverse * exp(below), is_open[k]);
            let apart = select(1.0 - p, rest, z[k] == maximum);
            let found = focal_terms(p, apart, log_total - below);
            values[k] = q[k] * found.x;
            derivatives[k] = select(0.0, q[k] * found.y, is_open[k]);
        }
    }
    return array<vec4<f32>, 2>(values, derivatives);
}

fn focal_fold(sums: FocalSums, cells: Cells) -> FocalSums {
    var next = sums;
    if sums.stage != 0.0 {
        let log_total = focal_log_total(sums.others, sums.rest);
        let found = focal_cells(cells, sums.maximum, log_total, 1.0 / sums.others, sums.rest / sums.others, focal_share(sums.classes));
        next.value += sum4(found[0]);
        next.slope += sum4(found[1]);
        return next;
    }
    let z = focal_logits(cells);
    let is_open = z >= vec4<f32>(LOWEST);
    next.maximum = max(sums.maximum, max(max(z.x, z.y), max(z.z, z.w)));
    let shrink = exp(sums.maximum - next.maximum);
    let is_new = next.maximum > sums.maximum;
    let below = select(vec4<f32>(), z - next.maximum, is_open);
    let e = select(vec4<f32>(), exp(below), is_open);
    if focal_is_one_hot() {
        next.others = sums.others * shrink + sum4(select(e, vec4<f32>(), cells.is_label));
        return next;
    }
    let tops = sum4(select(vec4<f32>(), vec4<f32>(1.0), is_open & (below == vec4<f32>())));
    // Of a new maximum one cell does not belong to the rest, and the last one does.
    let before = select(sums.rest, sums.others * shrink, is_new);
    next.rest = before + sum4(select(e, vec4<f32>(), below == vec4<f32>())) + (tops - select(0.0, 1.0, is_new));
    next.others = sums.others * shrink + sum4(e);
    next.classes += sum4(select(vec4<f32>(), vec4<f32>(1.0), is_open));
    return next;
}

fn focal_join(sums: FocalSums) -> FocalSums {
    var all = sums;
    if sums.stage != 0.0 {
        all.value = row_group_sum(sums.value);
        all.slope = row_group_sum(sums.slope);
        return all;
    }
    all.maximum = row_group_max(sums.maximum);
    let shrink = exp(sums.maximum - all.maximum);
    let has_top = sums.maximum == all.maximum && sums.classes > 0.0;
    all.others = row_group_sum(sums.others * shrink);
    if !focal_is_one_hot() {
        // Each thread that found the maximum left one cell out, and the row leaves out one in all.
        let tops = row_group_sum(select(0.0, 1.0, has_top));
        all.rest = row_group_sum(select(sums.others * shrink, sums.rest, has_top)) + (tops - 1.0);
        all.classes = row_group_sum(sums.classes);
    }
    return all;
}

fn focal_finish(row: Row, sums: FocalSums) -> FocalOutcome {
    let nan_value = nan_of(row);
    let is_infinite = bitcast<u32>(sums.maximum) == INFINITY_BITS;
    if !focal_is_one_hot() {
        let is_empty = sums.classes == 0.0;
        let inverse = select(1.0 / sums.others, 0.0, is_empty);
        let log_total = select(focal_log_total(sums.others, sums.rest), 0.0, is_empty);
        let share = focal_share(sums.classes);
        return FocalOutcome(
            select(sums.value, nan_value, is_infinite),
            sums.maximum,
            log_total,
            select(inverse, nan_value, is_infinite),
            select(sums.rest * inverse, 1.0, is_empty),
            sums.slope,
            share,
        );
    }
    if row.label == NO_LABEL {
        return FocalOutcome(0.0, sums.maximum, 0.0, 0.0, 0.0, 0.0, 0.0);
    }
    let is_open = keeps(row, row.label) && row.label_logit >= LOWEST;
    let below = select(focal_minus_infinity(), row.label_logit - sums.maximum, is_open);
    let label_exp = select(0.0, exp(below), is_open);
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
    if is_infinite {
        log_total = nan_value;
        inverse = nan_value;
    }
    let rest = select(sums.others * inverse, 1.0, total == 0.0);
    let found = focal_terms(label_exp * inverse, rest, log_total - below);
    let weight = class_weight(row.label);
    let loss = select(weight * found.x, 0.0, weight == 0.0);
    return FocalOutcome(select(loss, log_total, is_infinite), sums.maximum, log_total, inverse, rest, weight * found.y, 0.0);
}

fn focal_gradient(row: Row, outcome: FocalOutcome, cells: Cells) -> vec4<f32> {
    let z = focal_logits(cells);
    let p = outcome.inverse * exp(z - outcome.maximum);
    var d_logits = outcome.factor * p;
    if focal_is_one_hot() {
        d_logits = select(d_logits, vec4<f32>(-outcome.factor * outcome.rest), cells.is_label);
    } else {
        d_logits -= focal_cells(cells, outcome.maximum, outcome.log_total, outcome.inverse, outcome.rest, outcome.share)[1];
    }
    return select(vec4<f32>(), d_logits, z >= vec4<f32>(LOWEST));
}

fn focal_auxiliary(place: u32, row: Row, outcome: FocalOutcome) {}
