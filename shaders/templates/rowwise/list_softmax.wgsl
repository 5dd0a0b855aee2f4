// Softmax over a list with weights q = y, for row-wise ranking losses:
//
//     loss = sum of q (lse - s),  d/ds = p Q - q,  p = e^(s - lse),  Q = sum of q
//
// With VIRTUAL_ITEM each list has one additional item with score 0 and weight VIRTUAL_LABEL. Sums
// are relative to the running maximum, as in losses/cross_entropy.

struct Sums {
    maximum: f32,
    total: f32, // sum of e^below, below = s - maximum
    mass: f32,  // sum of q
    dot: f32,   // sum of q below
}

struct Outcome {
    loss: f32,
    maximum: f32,
    factor: f32, // Q / total
}

// Placeholder for a masked score, below all scores.
const CLOSED: f32 = -3.0e38;

fn scores_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(CLOSED), cells.logits, cells.kept);
}

fn weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.truths, cells.kept);
}

fn minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, 0.0, 0.0, 0.0);
}

// The sums relative to a maximum that is raised by `rise`.
fn raised(sums: Sums, rise: f32) -> Sums {
    return Sums(sums.maximum + rise, exp(-rise) * sums.total, sums.mass, sums.dot - select(rise * sums.mass, 0.0, sums.mass == 0.0));
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let scores = scores_of(cells);
    let weights = weights_of(cells);
    let is_open = scores >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(scores.x, scores.y), max(scores.z, scores.w)));
    var next = raised(sums, maximum - sums.maximum);
    next.maximum = maximum;
    let below = select(vec4<f32>(minus_infinity()), scores - maximum, is_open);
    next.total += sum4(select(vec4<f32>(), exp(below), is_open));
    next.mass += sum4(weights);
    next.dot += sum4(select(weights * below, vec4<f32>(), weights == vec4<f32>()));
    return next;
}

fn join(sums: Sums) -> Sums {
    var maximum = row_group_max(sums.maximum);
    if VIRTUAL_ITEM {
        maximum = max(maximum, 0.0);
    }
    let own = raised(sums, maximum - sums.maximum);
    var all = Sums(maximum, row_group_sum(own.total), row_group_sum(own.mass), row_group_sum(own.dot));
    if VIRTUAL_ITEM {
        all.total += exp(-maximum);
        all.mass += VIRTUAL_LABEL;
        all.dot -= select(VIRTUAL_LABEL * maximum, 0.0, VIRTUAL_LABEL == 0.0);
    }
    return all;
}

fn finish(row: Row, sums: Sums) -> Outcome {
    var log_total = log_accurate(sums.total);
    var inverse = 1.0 / sums.total;
    if sums.total == 0.0 {
        log_total = 0.0;
        inverse = 0.0;
    }
    // For a score of +inf the difference is inf - inf, so the whole list is NaN.
    if bitcast<u32>(sums.maximum) == INFINITY_BITS {
        log_total = nan_of(row);
        inverse = log_total;
    }
    return Outcome(sums.mass * log_total - sums.dot, sums.maximum, sums.mass * inverse);
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let scores = scores_of(cells);
    let d_logits = outcome.factor * exp(scores - outcome.maximum) - weights_of(cells);
    return select(vec4<f32>(), d_logits, scores >= vec4<f32>(LOWEST));
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
