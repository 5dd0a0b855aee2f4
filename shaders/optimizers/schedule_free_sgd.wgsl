// Schedule-free SGD: z steps along the gradient, x is the weighted mean of all z, and the
// parameters interpolate between them. step.own.x is the weight of the newest z.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override SCHEDULE_FREE_SGD_BETA1: f32 = 0.9;
override SCHEDULE_FREE_SGD_ONE_MINUS_BETA1: f32 = 0.1;
override SCHEDULE_FREE_SGD_WEIGHT_DECAY: f32 = 0.0;

fn schedule_free_sgd_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let is_first = step.is_first > 0.5;
    let direction = gradient + SCHEDULE_FREE_SGD_WEIGHT_DECAY * parameter;
    let z = select(state.first, parameter, is_first) - step.learning_rate * direction;
    let before = select(state.second, parameter, is_first);
    let x = before + step.own.x * (z - before);
    return Update(SCHEDULE_FREE_SGD_ONE_MINUS_BETA1 * z + SCHEDULE_FREE_SGD_BETA1 * x, State(z, x, 0.0, 0.0));
}
