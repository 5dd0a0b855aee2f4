// Adadelta: v and u are running means of g^2 and of the steps' squares d^2; d = g sqrt(u + EPSILON)
// / sqrt(v + EPSILON).
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADADELTA_RHO: f32 = 0.9;
override ADADELTA_ONE_MINUS_RHO: f32 = 0.1;
override ADADELTA_EPSILON: f32 = 1e-6;
override ADADELTA_WEIGHT_DECAY: f32 = 0.0;

fn adadelta_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + ADADELTA_WEIGHT_DECAY * parameter;
    let v = ADADELTA_RHO * state.first + ADADELTA_ONE_MINUS_RHO * g * g;
    let d = sqrt(state.second + ADADELTA_EPSILON) / sqrt(v + ADADELTA_EPSILON) * g;
    let u = ADADELTA_RHO * state.second + ADADELTA_ONE_MINUS_RHO * d * d;
    return Update(parameter - step.learning_rate * d, State(v, u, 0.0, 0.0));
}
