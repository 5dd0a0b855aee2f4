// Gains and discounts of the discounted cumulative gain, for the loss functions that rank.

// 2^y - 1, exact for whole y: 2^n (2^f - 1) + (2^n - 1), n the nearest whole number. NaN above 100, which the host refuses.
fn gain(truth: f32) -> f32 {
    let n = round(truth);
    let whole = power_of_two(i32(n));
    let found = whole * exp_m1((truth - n) * 0.69314718) + (whole - 1.0);
    return select(found, not_a_number(truth), truth > 100.0);
}

// 1/log2(1 + r) of the rank r, the first of which is 1.
fn discount(rank: f32) -> f32 {
    return 0.69314718 / log_accurate(1.0 + rank);
}

// Whether `other` stands before `item`: by what is larger, among equals by its place.
fn stands_before(other: f32, other_index: u32, item: f32, index: u32) -> bool {
    return other > item || (other == item && other_index < index);
}
