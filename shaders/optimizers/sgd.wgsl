// SGD: v <- MOMENTUM v + (1 - DAMPENING) g, in the first step v = g; w <- w - learning_rate v, with Nesterov g + MOMENTUM v.
override MOMENTUM: f32 = 0.0;
override NESTEROV: bool = false;
override ONE_MINUS_DAMPENING: f32 = 1.0;
override WEIGHT_DECAY: f32 = 0.0;
// What the rounding of the three leaves out: a velocity adds it up, always to the same side.
override MOMENTUM_REST: f32 = 0.0;
override ONE_MINUS_DAMPENING_REST: f32 = 0.0;
override WEIGHT_DECAY_REST: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + (WEIGHT_DECAY * parameter + WEIGHT_DECAY_REST * parameter);
    if MOMENTUM == 0.0 {
        return Update(parameter - step.learning_rate * g, state);
    }
    let rests = MOMENTUM_REST * state.first + ONE_MINUS_DAMPENING_REST * g;
    let moved = MOMENTUM * state.first + (ONE_MINUS_DAMPENING * g + rests);
    let velocity = select(moved, g, step.is_first > 0.5);
    let direction = select(velocity, g + MOMENTUM * velocity, NESTEROV);
    return Update(parameter - step.learning_rate * direction, State(velocity, 0.0, 0.0, 0.0));
}
