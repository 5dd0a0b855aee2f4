// Leaky ReLU: y = x above 0, NEGATIVE_SLOPE x below and at 0. y has the sign of x.
override LEAKY_RELU_NEGATIVE_SLOPE: f32 = 0.01;

fn leaky_relu_activate(x: f32) -> f32 {
    return select(LEAKY_RELU_NEGATIVE_SLOPE * x, x, x > 0.0);
}

fn leaky_relu_derivative(x: f32, y: f32) -> f32 {
    return select(select(LEAKY_RELU_NEGATIVE_SLOPE, 1.0, y > 0.0), y, is_nan(y));
}
