// Pairwise losses over the pairs of a list with different targets, using the listwise kernel
// template with
//
//     pair(d) = (f(d), f'(d)),  d = (s_i - s_j) / TEMPERATURE,  y_i > y_j
//
// Each pair has a weight, treated as a constant in the derivative. It is selected by LAMBDA: 0
// none, 1 |y_i - y_j|, 2 |change of NDCG if the two are swapped| = |G_i - G_j| |D_i - D_j| / ideal.
// GAIN and DISCOUNT select G and D (templates/listwise/gains); RELATIVE is the share of the discounts
// of rank differences; without NORMALIZED the ideal is 1. An item weight multiplies the pairs in
// which the item is the higher one.
// TOP_N: number of top places with a nonzero discount D; 0 for all. With LAMBDA 2 a record is
// (score, gain, places before it, gain times the discount at its ideal rank).

fn uses_statistics() -> bool {
    return LAMBDA == 2u;
}

fn initial_statistics() -> vec3<f32> {
    return vec3<f32>();
}

fn place_discount(place: f32) -> f32 {
    if TOP_N != 0u && u32(place) >= TOP_N {
        return 0.0;
    }
    return discount_by(DISCOUNT, place + 1.0);
}

// Number of items before it by score, and by target.
fn update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let before = vec3<bool>(
        stands_before(other.score, other.index, item.score, item.index),
        stands_before(other.truth, other.index, item.truth, item.index),
        false,
    );
    return statistics + select(vec3<f32>(), vec3<f32>(1.0), before);
}

fn record(item: Item, statistics: vec3<f32>) -> Item {
    var made = item;
    if LAMBDA == 2u {
        made.truth = gain_by(GAIN, item.truth);
        made.x = statistics.x;
        made.y = made.truth * place_discount(statistics.y);
    }
    return made;
}

fn normalizer_term(item: Item) -> f32 {
    return item.y;
}

fn scale(total: f32) -> f32 {
    if LAMBDA == 2u && NORMALIZED {
        return select(1.0 / total, 0.0, total == 0.0);
    }
    return 1.0;
}

fn item_terms(item: Item) -> vec2<f32> {
    return vec2<f32>();
}

// |D_i - D_j| = log2((1 + r_j)/(1 + r_i)) D_i D_j, or (r_j - r_i) D_i D_j, for places from 0. This
// form is accurate for adjacent ranks far down the list.
fn full_difference(high: f32, low: f32) -> f32 {
    if DISCOUNT == 1u {
        return (low - high) / ((high + 1.0) * (low + 1.0));
    }
    return 1.442695 * ln_1p((low - high) / (high + 2.0)) * discount(high + 1.0) * discount(low + 1.0);
}

fn discount_difference(a: f32, b: f32) -> f32 {
    let high = min(a, b);
    let low = max(a, b);
    var apart = 0.0;
    if TOP_N != 0u && u32(low) >= TOP_N {
        apart = place_discount(high);
    } else {
        apart = full_difference(high, low);
    }
    if RELATIVE > 0.0 {
        // LambdaLoss: the discounts of the distance of the ranks and of the next one.
        let is_open = TOP_N == 0u || u32(high) < TOP_N;
        apart = (1.0 - RELATIVE) * apart + RELATIVE * select(0.0, full_difference(low - high - 1.0, low - high), is_open);
    }
    return apart;
}

fn pair_weight(item: Item, other: Item) -> f32 {
    if LAMBDA == 0u {
        return 1.0;
    }
    let apart = abs(difference(item.truth, other.truth));
    if LAMBDA == 1u {
        return apart;
    }
    return apart * discount_difference(item.x, other.x);
}

fn pair_terms(item: Item, other: Item) -> vec2<f32> {
    if item.truth == other.truth {
        return vec2<f32>();
    }
    let is_above = item.truth > other.truth;
    let side = select(-1.0, 1.0, is_above);
    let found = pair(side * difference(item.score, other.score) / TEMPERATURE);
    let weight = pair_weight(item, other) * item_weight(select(other.index, item.index, is_above));
    // A weight of 0 excludes the pair, even if its loss is infinite.
    let kept = select(weight * vec2<f32>(select(0.0, found.x, is_above), side * found.y / TEMPERATURE), vec2<f32>(), weight == 0.0);
    return kept;
}
