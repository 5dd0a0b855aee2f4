// ApproxMRR: the negative mean reciprocal rank with ranks made smooth.
//
//     r_i = 1/2 + sum over j of sigma((s_j - s_i) / TEMPERATURE)
//     loss = -(1/sum of y) sum over i of y_i / r_i
//     d/ds_i = (1/T)(1/sum of y) sum over j of (h_j - h_i) sigma'((s_i - s_j)/T),  h = y / r^2
//
// A record is (score, y, h, value).
override TEMPERATURE: f32 = 0.1;

fn takes_notes() -> bool {
    return true;
}

fn first_notes() -> vec3<f32> {
    return vec3<f32>(0.5, 0.0, 0.0);
}

// The smooth rank by score and what its additions lost (Kahan).
fn note(notes: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    let x = difference(other.score, item.score) / TEMPERATURE;
    let e = exp_full(-abs(x));
    let step = select(e, 1.0, x >= 0.0) / (1.0 + e) - notes.y;
    let rank = notes.x + step;
    return vec3<f32>(rank, (rank - notes.x) - step, 0.0);
}

fn record(item: Item, notes: vec3<f32>) -> Item {
    let value = -item.truth / notes.x;
    return Item(item.score, item.truth, -value / notes.x, value, item.index);
}

fn share(item: Item) -> f32 {
    return item.truth;
}

fn scale(total: f32) -> f32 {
    return select(1.0 / total, 0.0, total == 0.0);
}

fn own(item: Item) -> vec2<f32> {
    return vec2<f32>(item.y, 0.0);
}

fn pull(item: Item, other: Item) -> vec2<f32> {
    // A driver's exp loses 2|x| ulp, and the slopes are differences of what it gives.
    let e = exp_full(-abs(difference(item.score, other.score) / TEMPERATURE));
    return vec2<f32>(0.0, (other.x - item.x) * (e / ((1.0 + e) * (1.0 + e))) / TEMPERATURE);
}
