// Triplet margin: [d(a,p) - d(a,n) + MARGIN]+, d(x,y) the P-norm of x - y + EPSILON; with SWAP the smaller of d(a,n) and d(p,n).
// The gradient passes at 0 and halves between equal distances, as in PyTorch. SCALED: neither 1 nor 2 is the P, and the powers
// are taken of numbers up to 1.
override MARGIN: f32 = 1.0;
override P: f32 = 2.0;
override EPSILON: f32 = 1e-6;
override SWAP: bool = false;

// x - y + EPSILON of anchor and positive, anchor and negative, positive and negative.
fn gaps(cells: Cells) -> Cells {
    return Cells(
        (cells.first - cells.second) + EPSILON,
        (cells.first - cells.third) + EPSILON,
        (cells.second - cells.third) + EPSILON,
    );
}

fn most(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
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
        return x * x;
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
        return sqrt(sum);
    }
    if P == 1.0 {
        return sum;
    }
    return scale * power(sum, 1.0 / P);
}

// What multiplies each |x|^(P-1): over d^(P-1), of x over the scale. 0 where the distance is 0.
fn factor_of(sum: f32, distance: f32) -> f32 {
    if P == 1.0 {
        return 1.0;
    }
    if distance == 0.0 {
        return 0.0;
    }
    if P == 2.0 {
        return 1.0 / distance;
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
    let factors = vec3<f32>(
        factor_of(sums.x, near),
        -shares.x * factor_of(sums.y, far),
        select(0.0, -shares.y * factor_of(sums.z, distance_of(sums.z, peaks.z)), SWAP),
    );
    return Outcome(max(short, 0.0), passes * factors);
}

// factor · sign(x) |x|^(P-1).
fn slope_of(x: vec4<f32>, scale: f32, factor: f32) -> vec4<f32> {
    if P == 2.0 {
        return factor * x;
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
