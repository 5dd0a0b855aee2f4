// Adagrad: s is the sum of all g^2 so far; w <- w - learning_rate g / (sqrt s + EPSILON). The host
// decays the rate. DELAYED excludes this step's own g^2 from the root.
override ADAGRAD_EPSILON: f32 = 1e-10;
override ADAGRAD_WEIGHT_DECAY: f32 = 0.0;
override ADAGRAD_DELAYED: bool = false;

fn adagrad_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + ADAGRAD_WEIGHT_DECAY * parameter;
    let s = state.first + g * g;
    return Update(parameter - step.learning_rate * g / (sqrt(select(s, state.first, ADAGRAD_DELAYED)) + ADAGRAD_EPSILON), State(s, 0.0, 0.0, 0.0));
}
