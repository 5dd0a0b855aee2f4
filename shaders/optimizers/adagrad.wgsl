// Adagrad: s is the sum of all g^2 so far; w <- w - learning_rate g / (sqrt s + EPSILON). The host shrinks the rate.
// DELAYED leaves this step's own g^2 out of its root.
override EPSILON: f32 = 1e-10;
override WEIGHT_DECAY: f32 = 0.0;
override DELAYED: bool = false;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + WEIGHT_DECAY * parameter;
    let s = state.first + g * g;
    return Update(parameter - step.learning_rate * g / (sqrt(select(s, state.first, DELAYED)) + EPSILON), State(s, 0.0, 0.0, 0.0));
}
