// RMSprop: v is the running mean of g^2; w <- w - learning_rate g / (sqrt v + EPSILON), through a
// velocity with MOMENTUM. With CENTERED the root is of the variance v - m^2, m the running mean of
// g.
override RMSPROP_ALPHA: f32 = 0.99;
override RMSPROP_ONE_MINUS_ALPHA: f32 = 0.01;
override RMSPROP_EPSILON: f32 = 1e-8;
override RMSPROP_MOMENTUM: f32 = 0.0;
override RMSPROP_WEIGHT_DECAY: f32 = 0.0;
override RMSPROP_CENTERED: bool = false;

fn rmsprop_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + RMSPROP_WEIGHT_DECAY * parameter;
    let v = RMSPROP_ALPHA * state.first + RMSPROP_ONE_MINUS_ALPHA * g * g;
    let m = RMSPROP_ALPHA * state.third + RMSPROP_ONE_MINUS_ALPHA * g;
    // Rounding may make the variance negative.
    let spread = select(v, max(v - m * m, 0.0), RMSPROP_CENTERED);
    let scaled = g / (sqrt(spread) + RMSPROP_EPSILON);
    // Without MOMENTUM there is no second state; it reads as 0.
    let velocity = RMSPROP_MOMENTUM * state.second + scaled;
    return Update(parameter - step.learning_rate * velocity, State(v, velocity, m, 0.0));
}
