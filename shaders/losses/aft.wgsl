// Accelerated failure time: the negative log-likelihood of a time known to lie between two bounds,
// with x the predicted logarithm, z = (ln bound - x)/SIGMA, and F the DISTRIBUTION of z: 0 normal,
// 1 logistic, 2 extreme (the smallest of many), F = 1 - exp(-e^z).
//     exact, where upper is lower, or missing, which is 0: -ln F'(z) + ln SIGMA + ln lower
//     otherwise:                   -ln(F(z_u) - F(z_l)), F(-inf) = 0, F(inf) = 1
// Without overflow or cancellation, with w = z_u - z_l, which does not depend on x:
//     logistic: softplus(z_l) + softplus(-z_u) - ln(1 - e^-w)
//     extreme:  e^z_l - ln(1 - e^-D), D = e^z_u (1 - e^-w)
//     normal:   in a tail z_l^2/2 + ln(2 pi)/2 - ln(M(z_l) - M(z_u) e^-(z_u^2 - z_l^2)/2), M Mills'
//               ratio (1 - F)/F'; -ln(1 - both tails) where 0 lies between.
// A missing bound is 0 and infinity; AFT_FAR stands for its z, so that nothing is inf - inf.
override AFT_DISTRIBUTION: u32 = 0u;
override AFT_SIGMA: f32 = 1.0;
override AFT_LOG_SIGMA: f32 = 0.0;

const AFT_FAR: f32 = 1e30;

// ln(1 - e^-d) for d > 0, given ln d for the smallest.
fn aft_log_of_rest(d: f32, log_d: f32) -> f32 {
    let middle = select(ln_positive(-exp_m1(-d)), ln_1p_unit_interval(-exp_any(-max(d, 0.7))), d > 0.7);
    return select(middle, log_d - 0.5 * d, d < 0.001);
}

// Mills' ratio for a >= 0, relative error below 2e-7: a polynomial in 1/(1 + a/2), by interpolation
// at Chebyshev's points.
fn aft_mills(a: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * a);
    let tail = -4.6754798 + t * (2.9899117 + t * (-1.0432623 + t * 0.15619708));
    let middle = 0.13214058 + t * (-0.22829836 + t * (0.14844435 + t * (-1.6878976 + t * (4.0869202 + t * tail))));
    return t * (0.49999997 + t * (0.50000759 + t * (0.37463069 + t * middle)));
}

fn aft_normal_density(z: f32) -> f32 {
    return 0.39894228 * exp_any(-0.5 * z * z);
}

// Value and derivative by z of -ln(F(high) - F(low)) of the normal distribution.
fn aft_normal_between(low: f32, high: f32, width: f32) -> vec2<f32> {
    let middle = 0.5 * low + 0.5 * high;
    if width * (1.0 + abs(middle)) < 0.5 {
        // Density in the middle times width (1 + series), where the difference would cancel. The
        // terms are Hermite's polynomials of the middle; the first left out is below 1e-10.
        let s = width * width;
        let m = middle * middle;
        let series = s * ((m - 1.0) / 24.0 + s * ((m * m - 6.0 * m + 3.0) / 1920.0 + s * (m * m * m - 15.0 * m * m + 45.0 * m - 15.0) / 322560.0));
        let by_middle = middle * s * (1.0 / 12.0 + s * ((m - 3.0) / 480.0 + s * (m * m - 10.0 * m + 15.0) / 53760.0));
        return vec2<f32>(0.5 * m + 0.9189385 - log_accurate(width) - ln_1p(series), middle - by_middle / (1.0 + series));
    }
    if low < 0.0 && high > 0.0 {
        let densities = vec2<f32>(aft_normal_density(low), aft_normal_density(high));
        let tails = densities.x * aft_mills(-low) + densities.y * aft_mills(high);
        return vec2<f32>(-ln_1p(-tails), (densities.x - densities.y) / (1.0 - tails));
    }
    let near = min(abs(low), abs(high));
    let exponent = 0.5 * width * (abs(low) + abs(high));
    let share = aft_mills(near) - aft_mills(max(abs(low), abs(high))) * exp_any(-exponent);
    let derivative = -exp_m1(-exponent) / share;
    return vec2<f32>(0.5 * near * near + 0.9189385 - log_accurate(share), select(derivative, -derivative, low < 0.0));
}

fn aft_exact(z: f32, log_time: f32) -> vec2<f32> {
    let e = exp_any(-abs(z));
    var found = vec2<f32>(0.5 * z * z + 0.9189385, z);
    if AFT_DISTRIBUTION == 1u {
        found = vec2<f32>(abs(z) + 2.0 * ln_1p_unit_interval(e), sign(z) * -exp_m1(-abs(z)) / (1.0 + e));
    } else if AFT_DISTRIBUTION == 2u {
        let both = exp_and_less(z);
        found = vec2<f32>(both.x - z, both.y);
    }
    return found + vec2<f32>(AFT_LOG_SIGMA + log_time, 0.0);
}

fn aft_between(low: f32, high: f32, width: f32) -> vec2<f32> {
    if AFT_DISTRIBUTION == 0u {
        return aft_normal_between(low, high, width);
    }
    let inside = -exp_m1(-width);
    let log_inside = aft_log_of_rest(width, ln_positive(width));
    if AFT_DISTRIBUTION == 1u {
        return vec2<f32>(softplus(low) + softplus(-high) - log_inside, sigmoid(low) - sigmoid(-high));
    }
    let before = exp_any(low);
    let d = exp_any(high) * inside;
    let share = select(d * exp_any(-d) / -exp_m1(-d), 1.0 - 0.5 * d, d < 0.001);
    return vec2<f32>(before - aft_log_of_rest(d, high + log_inside), before - select(share, 0.0, d > 100.0));
}

fn aft_loss(x: vec4<f32>) -> PreferenceTerms {
    let lower = x.y;
    let upper = x.z;
    let has_lower = lower > 0.0;
    let has_upper = upper < 3.4028235e38;
    let low = select(-AFT_FAR, (ln_positive(lower) - x.x) / AFT_SIGMA, has_lower);
    if upper <= lower {
        // A time of exactly 0 has no logarithm, and an interval no end before its start.
        let found = aft_exact(low, ln_positive(lower));
        let nan = not_a_number(x.x);
        let is_exact = has_lower && (upper == lower || upper == 0.0);
        return PreferenceTerms(select(nan, found.x, is_exact), vec2<f32>(select(nan, -found.y / AFT_SIGMA, is_exact), 0.0));
    }
    let high = select(AFT_FAR, (ln_positive(upper) - x.x) / AFT_SIGMA, has_upper);
    let width = select(AFT_FAR, ln_positive(upper / lower) / AFT_SIGMA, has_lower && has_upper);
    let found = aft_between(low, high, width);
    return PreferenceTerms(found.x, vec2<f32>(-found.y / AFT_SIGMA, 0.0));
}
