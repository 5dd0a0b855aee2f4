// Triplet margin: [d(a,p) - d(a,n) + MARGIN]+, d(x,y) the P-norm of x - y + EPSILON; with SWAP the smaller of d(a,n) and d(p,n).
// The gradient passes at 0 and halves between equal distances, as in PyTorch. Powers other than
// the first and the second are taken of shares of the peaks, since they leave f32 soon; of P = 2 the scale is the frame's.
override MARGIN: f32 = 1.0;
override P: f32 = 2.0;
override EPSILON: f32 = 1e-6;
override SWAP: bool = false;

fn is_scaled() -> bool {
    return P != 1.0 && P != 2.0;
}

fn leaves(square: f32) -> bool {
    return is_too_large(square) || is_too_small(square);
}

fn leaves_range(sums: vec3<f32>) -> bool {
    return P == 2.0 && (leaves(sums.x) || leaves(sums.y) || (SWAP && leaves(sums.z)));
}

// x - y + EPSILON of anchor and positive, anchor and negative, positive and negative.
fn gaps(cells: Cells) -> Cells {
    let epsilon = unknown(EPSILON);
    return Cells(
        (cells.first - cells.second) + epsilon,
        (cells.first - cells.third) + epsilon,
        (cells.second - cells.third) + epsilon,
    );
}

fn peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    let g = gaps(cells);
    let none = vec4<f32>();
    return vec3<f32>(
        most(select(none, abs(g.first), kept)),
        most(select(none, abs(g.second), kept)),
        most(select(none, abs(g.third), kept)),
    );
}

fn powers(x: vec4<f32>, p: f32) -> vec4<f32> {
    return vec4<f32>(power(x.x, p), power(x.y, p), power(x.z, p), power(x.w, p));
}

// |x|^P of what is to be summed; the scale is the largest |x|.
fn term(x: vec4<f32>, scale: f32) -> vec4<f32> {
    if P == 2.0 {
        return (scale * x) * (scale * x);
    }
    if P == 1.0 {
        return abs(x);
    }
    if scale == 0.0 {
        return vec4<f32>();
    }
    return powers(abs(x) / scale, P);
}

fn fold(peaks: vec3<f32>, cells: Cells) -> Sums {
    let g = gaps(cells);
    var sums = Sums(term(g.first, peaks.x), term(g.second, peaks.y), vec4<f32>());
    if SWAP {
        sums.third = term(g.third, peaks.z);
    }
    return sums;
}

fn distance_of(sum: f32, scale: f32) -> f32 {
    if P == 2.0 {
        return sqrt(sum) / scale;
    }
    if P == 1.0 {
        return sum;
    }
    return scale * power(sum, 1.0 / P);
}

// What multiplies each |x|^(P-1): over d^(P-1), of x over the scale. 0 where the distance is 0.
fn factor_of(sum: f32) -> f32 {
    if P == 1.0 {
        return 1.0;
    }
    if sum == 0.0 {
        return 0.0;
    }
    if P == 2.0 {
        return 1.0 / sqrt(sum);
    }
    return power(sum, 1.0 / P - 1.0);
}

fn finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let near = distance_of(sums.x, peaks.x);
    let far = distance_of(sums.y, peaks.y);
    var shares = vec2<f32>(1.0, 0.0);
    var apart = far;
    if SWAP {
        let other = distance_of(sums.z, peaks.z);
        let swapped = select(select(0.0, 0.5, other == far), 1.0, other < far);
        shares = vec2<f32>(1.0 - swapped, swapped);
        apart = min(far, other);
    }
    let short = near - apart + MARGIN;
    let passes = select(0.0, 1.0, short >= 0.0);
    let factors = vec4<f32>(
        factor_of(sums.x),
        -shares.x * factor_of(sums.y),
        select(0.0, -shares.y * factor_of(sums.z), SWAP),
        0.0,
    );
    return Outcome(max(short, 0.0), passes * factors);
}

// factor · sign(x) |x|^(P-1).
fn slope_of(x: vec4<f32>, scale: f32, factor: f32) -> vec4<f32> {
    if P == 2.0 {
        return factor * (scale * x);
    }
    if P == 1.0 {
        return factor * sign(x);
    }
    if scale == 0.0 {
        return vec4<f32>();
    }
    return factor * sign(x) * powers(abs(x) / scale, P - 1.0);
}

fn slopes(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells {
    let g = gaps(cells);
    let near = slope_of(g.first, peaks.x, outcome.factors.x);
    let far = slope_of(g.second, peaks.y, outcome.factors.y);
    var other = vec4<f32>();
    if SWAP {
        other = slope_of(g.third, peaks.z, outcome.factors.z);
    }
    return Cells(near + far, other - near, -far - other);
}
