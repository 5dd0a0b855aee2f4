// ApproxMRR: the negative mean reciprocal rank with smooth ranks.
//
//     r_i = 1/2 + sum over j of sigma((s_j - s_i) / TEMPERATURE)
//     loss = -(1/sum of y) sum over i of y_i / r_i
//     d/ds_i = (1/T)(1/sum of y) sum over j of (h_j - h_i) sigma'((s_i - s_j)/T),  h = y / r^2
//
// A record is (score, y, h, value).
override APPROX_MRR_TEMPERATURE: f32 = 0.1;

fn approx_mrr_uses_statistics() -> bool {
    return true;
}

fn approx_mrr_initial_statistics() -> vec3<f32> {
    return vec3<f32>(0.5, 0.0, 0.0);
}

// The smooth rank by score and its compensation (Kahan summation).
fn approx_mrr_update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let x = difference(other.score, item.score) / APPROX_MRR_TEMPERATURE;
    let e = exp_any(-abs(x));
    let step = select(e, 1.0, x >= 0.0) / (1.0 + e) - statistics.y;
    let rank = statistics.x + step;
    return vec3<f32>(rank, (rank - statistics.x) - step, 0.0);
}

fn approx_mrr_record(item: Item, statistics: vec3<f32>) -> Item {
    let value = -item.truth / statistics.x;
    return Item(item.score, item.truth, -value / statistics.x, value, item.index);
}

fn approx_mrr_normalizer_term(item: Item) -> f32 {
    return item.truth;
}

fn approx_mrr_scale(total: f32) -> f32 {
    return select(1.0 / total, 0.0, total == 0.0);
}

fn approx_mrr_item_terms(item: Item) -> vec2<f32> {
    return vec2<f32>(item.y, 0.0);
}

fn approx_mrr_pair_terms(item: Item, other: Item) -> vec2<f32> {
    // A driver's exp is off by up to 2|x| ulp, and the derivatives are differences of its results.
    let e = exp_any(-abs(difference(item.score, other.score) / APPROX_MRR_TEMPERATURE));
    return vec2<f32>(0.0, (other.x - item.x) * (e / ((1.0 + e) * (1.0 + e))) / APPROX_MRR_TEMPERATURE);
}
