// Gains and discounts of discounted cumulative gain, for ranking losses.

// 2^y - 1, exact for integer y: 2^n (2^f - 1) + (2^n - 1), n the nearest integer. NaN above 100,
// which the host rejects.
fn gain(truth: f32) -> f32 {
    let n = round(truth);
    let whole = power_of_two(i32(n));
    let found = whole * exp_m1((truth - n) * 0.69314718) + (whole - 1.0);
    return select(found, not_a_number(truth), truth > 100.0);
}

// 1/log2(1 + r) for rank r, counted from 1.
fn discount(rank: f32) -> f32 {
    return 0.69314718 / log_accurate(1.0 + rank);
}

// Gain of a target: 2^y - 1, or with kind 1 y itself.
fn gain_by(kind: u32, truth: f32) -> f32 {
    if kind == 1u {
        return truth;
    }
    return gain(truth);
}

// Discount of a rank r, counted from 1: 1/log2(1 + r), or with kind 1 1/r.
fn discount_by(kind: u32, rank: f32) -> f32 {
    if kind == 1u {
        return 1.0 / rank;
    }
    return discount(rank);
}

// True if `other` ranks before `item`: larger value first, ties by index.
fn stands_before(other: f32, other_index: u32, item: f32, index: u32) -> bool {
    return other > item || (other == item && other_index < index);
}
