// Unique softmax: each item against those below it alone, with gains G = 2^y - 1.
//
//     loss = sum over i of G_i (lse_i - s_i),  lse_i = ln sum over i itself and the items k with y_k < y_i of e^s_k
//     d/ds_i = sum over k = i and the items k with y_k > y_i of G_k e^(s_i - lse_k) - G_i
//
// A record is (score, gain, the largest score m of i and those below it, ln sum of e^(s - m)).

fn takes_notes() -> bool {
    return true;
}

fn first_notes() -> vec3<f32> {
    return vec3<f32>(LOWEST, 0.0, 0.0);
}

fn note(notes: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let e = exp(-abs(difference(other.score, notes.x)));
    // The largest one's own 1 is kept out of the sum of the others: ln(1 + others) has all its digits.
    let others = select(notes.y + e, (notes.y + 1.0) * e, other.score > notes.x);
    return select(notes, vec3<f32>(max(notes.x, other.score), others, 0.0), other.index == item.index || other.truth < item.truth);
}

fn record(item: Item, notes: vec3<f32>) -> Item {
    // Only -inf is left: the choice among nothing is worth nothing.
    let is_closed = notes.x == LOWEST;
    // inf - inf has no value, and so has the whole list none.
    let score = select(item.score, not_a_number(item.score), item.score > 3.4028234e38);
    return Item(score, gain(item.truth), select(notes.x, item.score, is_closed), select(log1p_full(notes.y), 0.0, is_closed), item.index);
}

fn share(item: Item) -> f32 {
    return 0.0;
}

fn scale(total: f32) -> f32 {
    return 1.0;
}

// The item's own e^(s - lse) - 1 as -(1 - e^…): by expm1, since the two meet where it stands far above the others.
fn own(item: Item) -> vec2<f32> {
    let below = difference(item.x, item.score) + item.y;
    let slope = select(expm1_full(-below), 0.0, item.score < LOWEST);
    return select(item.truth * vec2<f32>(below, slope), vec2<f32>(), item.truth == 0.0);
}

fn pull(item: Item, other: Item) -> vec2<f32> {
    let is_open = item.score >= LOWEST && other.truth > item.truth;
    return vec2<f32>(0.0, select(0.0, other.truth * exp(difference(item.score, other.x) - other.y), is_open));
}
