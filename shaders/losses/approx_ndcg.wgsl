// ApproxNDCG: the negative NDCG with smooth ranks.
//
//     r_i = 1/2 + sum over j of sigma((s_j - s_i) / TEMPERATURE),  G = 2^y - 1
//     loss = -(1/ideal) sum over i of G_i / log2(1 + r_i),  ideal the same sum over the best order
//     d/ds_i = (1/T)(1/ideal) sum over j of (h_j - h_i) sigma'((s_i - s_j)/T)
//     h = G ln 2 / ((1 + r) ln^2(1 + r))
//
// With GAIN 1 G = y; with DISCOUNT 1 the terms are G / r, and h = G / r^2.
//
// A record is (score, gain times the discount at its ideal rank, h, value).
override APPROX_NDCG_TEMPERATURE: f32 = 0.1;
override APPROX_NDCG_GAIN: u32 = 0u;
override APPROX_NDCG_DISCOUNT: u32 = 0u;

fn approx_ndcg_uses_statistics() -> bool {
    return true;
}

fn approx_ndcg_initial_statistics() -> vec3<f32> {
    return vec3<f32>(0.5, 0.0, 0.0);
}

// The smooth rank by score, its compensation (Kahan summation), and the number of items before it
// by truth.
fn approx_ndcg_update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let x = difference(other.score, item.score) / APPROX_NDCG_TEMPERATURE;
    let e = exp_any(-abs(x));
    let step = select(e, 1.0, x >= 0.0) / (1.0 + e) - statistics.y;
    let rank = statistics.x + step;
    let is_before = stands_before(other.truth, other.index, item.truth, item.index);
    return vec3<f32>(rank, (rank - statistics.x) - step, statistics.z + select(0.0, 1.0, is_before));
}

fn approx_ndcg_record(item: Item, statistics: vec3<f32>) -> Item {
    let own_gain = gain_by(APPROX_NDCG_GAIN, item.truth);
    let at_best = own_gain * discount_by(APPROX_NDCG_DISCOUNT, statistics.z + 1.0);
    if APPROX_NDCG_DISCOUNT == 1u {
        let share = own_gain / statistics.x;
        return Item(item.score, at_best, share / statistics.x, -share, item.index);
    }
    let log_rank = log_accurate(1.0 + statistics.x);
    let value = -own_gain * 0.69314718 / log_rank;
    return Item(item.score, at_best, -value / ((1.0 + statistics.x) * log_rank), value, item.index);
}

fn approx_ndcg_normalizer_term(item: Item) -> f32 {
    return item.truth;
}

fn approx_ndcg_scale(total: f32) -> f32 {
    return select(1.0 / total, 0.0, total == 0.0);
}

fn approx_ndcg_item_terms(item: Item) -> vec2<f32> {
    return vec2<f32>(item.y, 0.0);
}

fn approx_ndcg_pair_terms(item: Item, other: Item) -> vec2<f32> {
    // A driver's exp is off by up to 2|x| ulp, and the derivatives are differences of its results.
    let e = exp_any(-abs(difference(item.score, other.score) / APPROX_NDCG_TEMPERATURE));
    return vec2<f32>(0.0, (other.x - item.x) * (e / ((1.0 + e) * (1.0 + e))) / APPROX_NDCG_TEMPERATURE);
}
