// ListMLE: the negative log-likelihood of the order by truth under Plackett and Luce; equal truths
// keep their input order.
//
//     loss = sum over i of (lse_i - s_i)
//     lse_i = ln sum over the items k at i or behind it of e^s_k
//     d/ds_i = e^(s_i - lse_i) - 1 + sum over the items k before i of e^(s_i - lse_k)
//
// A record is (score, truth, the largest score m at the item or behind it, ln sum of e^(s - m));
// the last two are stored separately, since their sum loses digits for large scores.

fn list_mle_uses_statistics() -> bool {
    return true;
}

fn list_mle_initial_statistics() -> vec3<f32> {
    return vec3<f32>(LOWEST, 0.0, 0.0);
}

fn list_mle_is_at_or_behind(item: Item, other: Item) -> bool {
    return !stands_before(other.truth, other.index, item.truth, item.index);
}

fn list_mle_update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let e = exp(-abs(difference(other.score, statistics.x)));
    // The largest item's own term, 1, is excluded from the sum of the others: ln(1 + others) keeps
    // all its digits.
    let others = select(statistics.y + e, (statistics.y + 1.0) * e, other.score > statistics.x);
    return select(statistics, vec3<f32>(max(statistics.x, other.score), others, 0.0), list_mle_is_at_or_behind(item, other));
}

fn list_mle_record(item: Item, statistics: vec3<f32>) -> Item {
    // Only -inf is left: a choice among no items has value 0.
    let is_closed = statistics.x == LOWEST;
    // inf - inf makes the whole list NaN.
    let score = select(item.score, not_a_number(item.score), item.score > 3.4028234e38);
    return Item(score, item.truth, select(statistics.x, item.score, is_closed), select(ln_1p(statistics.y), 0.0, is_closed), item.index);
}

fn list_mle_normalizer_term(item: Item) -> f32 {
    return 0.0;
}

fn list_mle_scale(total: f32) -> f32 {
    return 1.0;
}

// The item's own e^(s - lse) - 1 by expm1, which is accurate where its score is far above those
// behind it.
fn list_mle_item_terms(item: Item) -> vec2<f32> {
    let below = difference(item.x, item.score) + item.y;
    return vec2<f32>(below, select(exp_m1(-below), 0.0, item.score < LOWEST));
}

fn list_mle_pair_terms(item: Item, other: Item) -> vec2<f32> {
    let is_open = item.score >= LOWEST && other.index != item.index && list_mle_is_at_or_behind(other, item);
    return vec2<f32>(0.0, select(0.0, exp(difference(item.score, other.x) - other.y), is_open));
}
