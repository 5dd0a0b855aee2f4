// RMSprop: v is the running mean of g^2; w <- w - learning_rate g / (sqrt v + EPSILON), through a velocity with MOMENTUM.
// With CENTERED, the variance v - m^2 stands in the root, m the running mean of g.
override ALPHA: f32 = 0.99;
override ONE_MINUS_ALPHA: f32 = 0.01;
override EPSILON: f32 = 1e-8;
override MOMENTUM: f32 = 0.0;
override WEIGHT_DECAY: f32 = 0.0;
override CENTERED: bool = false;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + WEIGHT_DECAY * parameter;
    let v = ALPHA * state.first + ONE_MINUS_ALPHA * g * g;
    let m = ALPHA * state.third + ONE_MINUS_ALPHA * g;
    // A variance is never below 0 but by rounding.
    let spread = select(v, max(v - m * m, 0.0), CENTERED);
    let scaled = g / (sqrt(spread) + EPSILON);
    // Without MOMENTUM there is no second state; it reads as 0.
    let velocity = MOMENTUM * state.second + scaled;
    return Update(parameter - step.learning_rate * velocity, State(v, velocity, m, 0.0));
}
