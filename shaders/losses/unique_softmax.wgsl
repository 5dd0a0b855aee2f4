// Unique softmax: each item against only those of lower truth, with gains G = 2^y - 1.
//
//     loss = sum over i of G_i (lse_i - s_i)
//     lse_i = ln sum over i itself and the items k with y_k < y_i of e^s_k
//     d/ds_i = sum over k = i and the items k with y_k > y_i of G_k e^(s_i - lse_k) - G_i
//
// A record is (score, gain, the largest score m of i and those below it, ln sum of e^(s - m)).

fn unique_softmax_uses_statistics() -> bool {
    return true;
}

fn unique_softmax_initial_statistics() -> vec3<f32> {
    return vec3<f32>(LOWEST, 0.0, 0.0);
}

fn unique_softmax_update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let e = exp(-abs(difference(other.score, statistics.x)));
    // The largest item's own term, 1, is excluded from the sum of the others: ln(1 + others) keeps
    // all its digits.
    let others = select(statistics.y + e, (statistics.y + 1.0) * e, other.score > statistics.x);
    return select(statistics, vec3<f32>(max(statistics.x, other.score), others, 0.0), other.index == item.index || other.truth < item.truth);
}

fn unique_softmax_record(item: Item, statistics: vec3<f32>) -> Item {
    // Only -inf is left: a choice among no items has value 0.
    let is_closed = statistics.x == LOWEST;
    // inf - inf makes the whole list NaN.
    let score = select(item.score, not_a_number(item.score), item.score > 3.4028234e38);
    return Item(score, gain(item.truth), select(statistics.x, item.score, is_closed), select(ln_1p(statistics.y), 0.0, is_closed), item.index);
}

fn unique_softmax_normalizer_term(item: Item) -> f32 {
    return 0.0;
}

fn unique_softmax_scale(total: f32) -> f32 {
    return 1.0;
}

// The item's own e^(s - lse) - 1 as -(1 - e^…), by expm1, which is accurate where its score is far
// above the others.
fn unique_softmax_item_terms(item: Item) -> vec2<f32> {
    let below = difference(item.x, item.score) + item.y;
    let gradient = select(exp_m1(-below), 0.0, item.score < LOWEST);
    return select(item.truth * vec2<f32>(below, gradient), vec2<f32>(), item.truth == 0.0);
}

fn unique_softmax_pair_terms(item: Item, other: Item) -> vec2<f32> {
    let is_open = item.score >= LOWEST && other.truth > item.truth;
    return vec2<f32>(0.0, select(0.0, other.truth * exp(difference(item.score, other.x) - other.y), is_open));
}
