// Schedule-free AdamW: z steps along the normalized gradient, x is the weighted mean of all z, and
// the parameters interpolate between them. step.own.x is the weight of the newest z.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override SCHEDULE_FREE_ADAMW_BETA1: f32 = 0.9;
override SCHEDULE_FREE_ADAMW_BETA2: f32 = 0.999;
override SCHEDULE_FREE_ADAMW_ONE_MINUS_BETA1: f32 = 0.1;
override SCHEDULE_FREE_ADAMW_ONE_MINUS_BETA2: f32 = 0.001;
override SCHEDULE_FREE_ADAMW_EPSILON: f32 = 1e-8;
override SCHEDULE_FREE_ADAMW_WEIGHT_DECAY: f32 = 0.0;

fn schedule_free_adamw_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let is_first = step.is_first > 0.5;
    let v = SCHEDULE_FREE_ADAMW_BETA2 * state.third + SCHEDULE_FREE_ADAMW_ONE_MINUS_BETA2 * gradient * gradient;
    let scaled = gradient / (sqrt(v / step.correction_second) + SCHEDULE_FREE_ADAMW_EPSILON);
    let direction = scaled + SCHEDULE_FREE_ADAMW_WEIGHT_DECAY * parameter;
    let z = select(state.first, parameter, is_first) - step.learning_rate * direction;
    let before = select(state.second, parameter, is_first);
    let x = before + step.own.x * (z - before);
    return Update(SCHEDULE_FREE_ADAMW_ONE_MINUS_BETA1 * z + SCHEDULE_FREE_ADAMW_BETA1 * x, State(z, x, v, 0.0));
}
