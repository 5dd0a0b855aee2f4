// Gradient descent over the whole batch: w <- w - alpha dL/dw.
fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    return Update(parameter - step.learning_rate * gradient, state);
}
