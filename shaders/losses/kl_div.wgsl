// Kullback-Leibler divergence of the targets t from predictions x given as log-probabilities: t (ln t
// - x), 0 where t = 0, derivative -t; with LOG_TARGET the targets are logarithms too: e^t (t - x).
override KL_DIV_LOG_TARGET: bool = false;

fn kl_div_loss(prediction: f32, truth: f32) -> Loss {
    var probability = truth;
    var logarithm = truth;
    if KL_DIV_LOG_TARGET {
        probability = exp_any(truth);
    } else {
        logarithm = log_accurate(truth);
    }
    // 0 ln 0 = 0, also where the prediction is -inf.
    let value = select(probability * (logarithm - prediction), 0.0, probability == 0.0);
    return Loss(value, -probability);
}
