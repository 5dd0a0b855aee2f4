// ListNet (top one): the cross-entropy of softmax(s) against q = softmax(y), sum of q (lse - s);
// derivative p - q. Both softmaxes are relative to their running maximum, as in
// losses/cross_entropy.

struct ListNetSums {
    maximum: f32,
    total: f32, // sum of e^below, below = s - maximum
    truest: f32, // the largest truth
    mass: f32,  // sum of e^(y - truest)
    dot: f32,   // sum of e^(y - truest) below
}

struct ListNetOutcome {
    loss: f32,
    maximum: f32,
    inverse: f32, // 1 / total
    truest: f32,
    share: f32,   // 1 / mass
}

const LIST_NET_CLOSED: f32 = -3.0e38;

fn list_net_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn list_net_scores_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(LIST_NET_CLOSED), cells.logits, cells.kept);
}

fn list_net_empty_sums() -> ListNetSums {
    return ListNetSums(LOWEST, 0.0, 0.0, 0.0, 0.0);
}

// The sums relative to maxima that are `rise` and `growth` higher.
fn list_net_raised(sums: ListNetSums, rise: f32, growth: f32) -> ListNetSums {
    let shrink = exp(-growth);
    let dot = shrink * (sums.dot - select(rise * sums.mass, 0.0, sums.mass == 0.0));
    return ListNetSums(sums.maximum + rise, exp(-rise) * sums.total, sums.truest + growth, shrink * sums.mass, dot);
}

fn list_net_fold(sums: ListNetSums, cells: Cells) -> ListNetSums {
    let scores = list_net_scores_of(cells);
    let truths = select(vec4<f32>(), cells.truths, cells.kept);
    let is_open = scores >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(scores.x, scores.y), max(scores.z, scores.w)));
    let truest = max(sums.truest, max(max(truths.x, truths.y), max(truths.z, truths.w)));
    var next = list_net_raised(sums, maximum - sums.maximum, truest - sums.truest);
    next.maximum = maximum;
    next.truest = truest;
    let below = select(vec4<f32>(list_net_minus_infinity()), scores - maximum, is_open);
    let weights = select(vec4<f32>(), exp(truths - truest), cells.kept);
    next.total += sum4(select(vec4<f32>(), exp(below), is_open));
    next.mass += sum4(weights);
    next.dot += sum4(select(weights * below, vec4<f32>(), weights == vec4<f32>()));
    return next;
}

fn list_net_join(sums: ListNetSums) -> ListNetSums {
    let maximum = row_group_max(sums.maximum);
    let truest = row_group_max(sums.truest);
    let own = list_net_raised(sums, maximum - sums.maximum, truest - sums.truest);
    return ListNetSums(maximum, row_group_sum(own.total), truest, row_group_sum(own.mass), row_group_sum(own.dot));
}

fn list_net_finish(row: Row, sums: ListNetSums) -> ListNetOutcome {
    var log_total = log_accurate(sums.total);
    var inverse = 1.0 / sums.total;
    if sums.total == 0.0 {
        log_total = 0.0;
        inverse = 0.0;
    }
    // inf - inf makes the whole list NaN.
    if bitcast<u32>(sums.maximum) == INFINITY_BITS || bitcast<u32>(sums.truest) == INFINITY_BITS {
        log_total = nan_of(row);
        inverse = log_total;
    }
    let share = select(1.0 / sums.mass, 0.0, sums.mass == 0.0);
    return ListNetOutcome(select(log_total - sums.dot * share, 0.0, sums.mass == 0.0), sums.maximum, inverse, sums.truest, share);
}

fn list_net_gradient(row: Row, outcome: ListNetOutcome, cells: Cells) -> vec4<f32> {
    let scores = list_net_scores_of(cells);
    let d_logits = exp(scores - outcome.maximum) * outcome.inverse - exp(cells.truths - outcome.truest) * outcome.share;
    return select(vec4<f32>(), d_logits, scores >= vec4<f32>(LOWEST));
}

fn list_net_auxiliary(place: u32, row: Row, outcome: ListNetOutcome) {}
