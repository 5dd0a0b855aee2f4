// Exponential: e^-yx for y = -1 or +1, derivative -y e^-yx. With LABELS_ZERO_ONE a target t is a
// probability: t e^-x + (1 - t) e^x; a side of weight 0 counts 0, also where its exponential is
// infinite.
override EXPONENTIAL_LABELS_ZERO_ONE: bool = false;

fn exponential_loss(prediction: f32, truth: f32) -> Loss {
    if EXPONENTIAL_LABELS_ZERO_ONE {
        let rest = 1.0 - truth;
        let own = select(truth * exp_any(-prediction), 0.0, truth == 0.0);
        let other = select(rest * exp_any(prediction), 0.0, rest == 0.0);
        return Loss(own + other, other - own);
    }
    let value = exp_any(-truth * prediction);
    return Loss(value, -truth * value);
}
