// Triplet margin: [d(a,p) - d(a,n) + MARGIN]+, d(x,y) the P-norm of x - y + EPSILON; with SWAP the
// smaller of d(a,n) and d(p,n). At 0 the gradient is not zeroed, and equal distances divide it
// equally, as in PyTorch. Powers other than 1 and 2 soon overflow f32 and are computed relative to
// the largest |x|; for P = 2 the kernel template provides the scale.
override TRIPLET_MARGIN_MARGIN: f32 = 1.0;
override TRIPLET_MARGIN_P: f32 = 2.0;
override TRIPLET_MARGIN_EPSILON: f32 = 1e-6;
override TRIPLET_MARGIN_SWAP: bool = false;

fn triplet_margin_is_scaled() -> bool {
    return TRIPLET_MARGIN_P != 1.0 && TRIPLET_MARGIN_P != 2.0;
}

fn triplet_margin_leaves(square: f32) -> bool {
    return is_too_large(square) || is_too_small(square);
}

fn triplet_margin_leaves_range(sums: vec3<f32>) -> bool {
    let leaves = triplet_margin_leaves(sums.x) || triplet_margin_leaves(sums.y);
    return TRIPLET_MARGIN_P == 2.0 && (leaves || (TRIPLET_MARGIN_SWAP && triplet_margin_leaves(sums.z)));
}

// x - y + EPSILON for anchor and positive, anchor and negative, positive and negative.
fn triplet_margin_gaps(cells: Cells) -> Cells {
    let epsilon = unknown(TRIPLET_MARGIN_EPSILON);
    return Cells(
        (cells.first - cells.second) + epsilon,
        (cells.first - cells.third) + epsilon,
        (cells.second - cells.third) + epsilon,
    );
}

fn triplet_margin_peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    let g = triplet_margin_gaps(cells);
    let none = vec4<f32>();
    return vec3<f32>(
        most(select(none, abs(g.first), kept)),
        most(select(none, abs(g.second), kept)),
        most(select(none, abs(g.third), kept)),
    );
}

fn triplet_margin_powers(x: vec4<f32>, p: f32) -> vec4<f32> {
    return vec4<f32>(power(x.x, p), power(x.y, p), power(x.z, p), power(x.w, p));
}

// |x|^P, the term to sum; the scale is the largest |x|.
fn triplet_margin_term(x: vec4<f32>, scale: f32) -> vec4<f32> {
    if TRIPLET_MARGIN_P == 2.0 {
        return (scale * x) * (scale * x);
    }
    if TRIPLET_MARGIN_P == 1.0 {
        return abs(x);
    }
    if scale == 0.0 {
        return vec4<f32>();
    }
    return triplet_margin_powers(abs(x) / scale, TRIPLET_MARGIN_P);
}

fn triplet_margin_fold(peaks: vec3<f32>, cells: Cells) -> Sums {
    let g = triplet_margin_gaps(cells);
    var sums = Sums(triplet_margin_term(g.first, peaks.x), triplet_margin_term(g.second, peaks.y), vec4<f32>());
    if TRIPLET_MARGIN_SWAP {
        sums.third = triplet_margin_term(g.third, peaks.z);
    }
    return sums;
}

fn triplet_margin_distance_of(sum: f32, scale: f32) -> f32 {
    if TRIPLET_MARGIN_P == 2.0 {
        return sqrt(sum) / scale;
    }
    if TRIPLET_MARGIN_P == 1.0 {
        return sum;
    }
    return scale * power(sum, 1.0 / TRIPLET_MARGIN_P);
}

// Factor of each |x|^(P-1): 1 over d^(P-1), for x over the scale. 0 where the distance is 0.
fn triplet_margin_factor_of(sum: f32) -> f32 {
    if TRIPLET_MARGIN_P == 1.0 {
        return 1.0;
    }
    if sum == 0.0 {
        return 0.0;
    }
    if TRIPLET_MARGIN_P == 2.0 {
        return 1.0 / sqrt(sum);
    }
    return power(sum, 1.0 / TRIPLET_MARGIN_P - 1.0);
}

fn triplet_margin_finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let near = triplet_margin_distance_of(sums.x, peaks.x);
    let far = triplet_margin_distance_of(sums.y, peaks.y);
    var sides = vec2<f32>(1.0, 0.0);
    var apart = far;
    if TRIPLET_MARGIN_SWAP {
        let other = triplet_margin_distance_of(sums.z, peaks.z);
        let swapped = select(select(0.0, 0.5, other == far), 1.0, other < far);
        sides = vec2<f32>(1.0 - swapped, swapped);
        apart = min(far, other);
    }
    let short = near - apart + TRIPLET_MARGIN_MARGIN;
    let passes = select(0.0, 1.0, short >= 0.0);
    let factors = vec4<f32>(
        triplet_margin_factor_of(sums.x),
        -sides.x * triplet_margin_factor_of(sums.y),
        select(0.0, -sides.y * triplet_margin_factor_of(sums.z), TRIPLET_MARGIN_SWAP),
        0.0,
    );
    return Outcome(max(short, 0.0), passes * factors);
}

// factor · sign(x) |x|^(P-1).
fn triplet_margin_gradient_of(x: vec4<f32>, scale: f32, factor: f32) -> vec4<f32> {
    if TRIPLET_MARGIN_P == 2.0 {
        return factor * (scale * x);
    }
    if TRIPLET_MARGIN_P == 1.0 {
        return factor * sign(x);
    }
    if scale == 0.0 {
        return vec4<f32>();
    }
    return factor * sign(x) * triplet_margin_powers(abs(x) / scale, TRIPLET_MARGIN_P - 1.0);
}

fn triplet_margin_gradients(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells {
    let g = triplet_margin_gaps(cells);
    let near = triplet_margin_gradient_of(g.first, peaks.x, outcome.factors.x);
    let far = triplet_margin_gradient_of(g.second, peaks.y, outcome.factors.y);
    var other = vec4<f32>();
    if TRIPLET_MARGIN_SWAP {
        other = triplet_margin_gradient_of(g.third, peaks.z, outcome.factors.z);
    }
    return Cells(near + far, other - near, -far - other);
}
