// Poisson negative log-likelihood of a count y:
//     with LOG_INPUT e^x - yx, derivative e^x - y
//     else x - y ln(x + EPSILON), derivative 1 - y / (x + EPSILON)
// FULL adds y ln y - y + ln(2 pi y)/2 where y > 1, in forms that stay accurate for huge counts:
//     y (e^d - 1 - d) with d = x - ln y
//     y (r - ln(1 + r)) - EPSILON with r = (x + EPSILON - y) / y
override POISSON_NLL_LOG_INPUT: bool = true;
override POISSON_NLL_FULL: bool = false;
override POISSON_NLL_EPSILON: f32 = 1e-8;

fn poisson_nll_loss(prediction: f32, truth: f32) -> Loss {
    let is_whole = POISSON_NLL_FULL && truth > 1.0;
    var stirling = 0.0;
    if POISSON_NLL_FULL {
        stirling = 0.5 * ln_positive(6.2831853 * truth);
    }
    if POISSON_NLL_LOG_INPUT {
        // e^1000 is infinite, and the subtracted term stays finite: no infinity minus infinity. A
        // mean of 0 costs nothing for a count of 0.
        let x = min(prediction, 1000.0);
        let mean = exp_any(x);
        var value = mean - select(truth * x, 0.0, truth == 0.0);
        if is_whole {
            let distance = x - ln_positive(truth);
            value = truth * (exp_m1(distance) - distance) + stirling;
        }
        return Loss(value, mean - truth);
    }
    let mean = prediction + POISSON_NLL_EPSILON;
    var value = prediction - truth * ln_positive(mean);
    if is_whole {
        let excess = (mean - truth) / truth;
        let logarithm = select(ln_positive(mean / truth), ln_1p_unit_interval(excess), abs(excess) <= 0.5);
        value = truth * (excess - logarithm) - POISSON_NLL_EPSILON + stirling;
    }
    return Loss(value, 1.0 - truth / mean);
}

// e^x; or y / (x + EPSILON)^2 by two divisions: the square would overflow or underflow long before
// the quotient.
fn poisson_nll_hessian_diagonal(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    if POISSON_NLL_LOG_INPUT {
        return exp_any(min(prediction, 1000.0));
    }
    let mean = prediction + POISSON_NLL_EPSILON;
    return truth / mean / mean;
}

// d/dy = -x, or -ln(x + EPSILON); with FULL and y > 1 also ln y + 1/(2y).
fn poisson_nll_target_derivative(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    var log_mean = min(prediction, 1000.0);
    if !POISSON_NLL_LOG_INPUT {
        log_mean = ln_positive(prediction + POISSON_NLL_EPSILON);
    }
    if POISSON_NLL_FULL && truth > 1.0 {
        return ln_positive(truth) + 0.5 / truth - log_mean;
    }
    return -log_mean;
}
