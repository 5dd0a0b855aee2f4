// RMSprop: v is the running mean of g^2; w <- w - learning_rate g / (sqrt v + EPSILON), through a velocity with MOMENTUM.
override ALPHA: f32 = 0.99;
override ONE_MINUS_ALPHA: f32 = 0.01;
override EPSILON: f32 = 1e-8;
override MOMENTUM: f32 = 0.0;
override WEIGHT_DECAY: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + WEIGHT_DECAY * parameter;
    let v = ALPHA * state.first + ONE_MINUS_ALPHA * g * g;
    let scaled = g / (sqrt(v) + EPSILON);
    // Without MOMENTUM there is no second state; it reads as 0.
    let velocity = MOMENTUM * state.second + scaled;
    return Update(parameter - step.learning_rate * velocity, State(v, velocity));
}
