// Adadelta: v and u are running means of g^2 and of the steps' squares d^2; d = g sqrt(u + EPSILON) / sqrt(v + EPSILON).
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override RHO: f32 = 0.9;
override ONE_MINUS_RHO: f32 = 0.1;
override EPSILON: f32 = 1e-6;
override WEIGHT_DECAY: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + WEIGHT_DECAY * parameter;
    let v = RHO * state.first + ONE_MINUS_RHO * g * g;
    let d = sqrt(state.second + EPSILON) / sqrt(v + EPSILON) * g;
    let u = RHO * state.second + ONE_MINUS_RHO * d * d;
    return Update(parameter - step.learning_rate * d, State(v, u, 0.0, 0.0));
}
