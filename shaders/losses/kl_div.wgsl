// Kullback-Leibler divergence of the targets t from predictions x given as log-probabilities: t (ln t
// - x), 0 where t = 0, derivative -t; with LOG_TARGET the targets are logarithms too: e^t (t - x).
override KL_DIV_LOG_TARGET: bool = false;

fn kl_div_loss(prediction: f32, truth: f32) -> Loss {
    var probability = truth;
    var logarithm = truth;
    if KL_DIV_LOG_TARGET {
        probability = exp_any(truth);
    } else {
        logarithm = ln_positive(truth);
    }
    // 0 ln 0 = 0, also where the prediction is -inf.
    let value = select(probability * (logarithm - prediction), 0.0, probability == 0.0);
    return Loss(value, -probability);
}

// d/dt = ln t - x + 1, -inf at t = 0; of logarithms e^t (t - x + 1).
fn kl_div_target_derivative(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    if KL_DIV_LOG_TARGET {
        let t = exp_any(truth);
        return select(t * ((truth - prediction) + 1.0), 0.0, t == 0.0);
    }
    return (ln_positive(truth) - prediction) + 1.0;
}
