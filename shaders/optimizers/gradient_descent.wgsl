// Gradient descent over the full batch: w <- w - alpha dL/dw.
fn gradient_descent_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    return Update(parameter - step.learning_rate * gradient, state);
}
