// SGD: v <- MOMENTUM v + (1 - DAMPENING) g, in the first step v = g; w <- w - learning_rate v, with
// Nesterov g + MOMENTUM v.
override SGD_MOMENTUM: f32 = 0.0;
override SGD_NESTEROV: bool = false;
override SGD_ONE_MINUS_DAMPENING: f32 = 1.0;
override SGD_WEIGHT_DECAY: f32 = 0.0;
// Rounding errors of the three constants above: a velocity accumulates them, always in the same
// direction.
override SGD_MOMENTUM_REST: f32 = 0.0;
override SGD_ONE_MINUS_DAMPENING_REST: f32 = 0.0;
override SGD_WEIGHT_DECAY_REST: f32 = 0.0;

fn sgd_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + (SGD_WEIGHT_DECAY * parameter + SGD_WEIGHT_DECAY_REST * parameter);
    if SGD_MOMENTUM == 0.0 {
        return Update(parameter - step.learning_rate * g, state);
    }
    let rests = SGD_MOMENTUM_REST * state.first + SGD_ONE_MINUS_DAMPENING_REST * g;
    let moved = SGD_MOMENTUM * state.first + (SGD_ONE_MINUS_DAMPENING * g + rests);
    let velocity = select(moved, g, step.is_first > 0.5);
    let direction = select(velocity, g + SGD_MOMENTUM * velocity, SGD_NESTEROV);
    return Update(parameter - step.learning_rate * direction, State(velocity, 0.0, 0.0, 0.0));
}
