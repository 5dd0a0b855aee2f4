// Loss of a row in templates/small_model/small_model for pointwise loss functions. As
// templates/pointwise/pointwise, without weights.

struct Loss {
    value: f32,
    derivative: f32,
}

fn score(row: u32, factor: f32) -> f32 {
    let y = plane_at(LAST_OUTPUTS) + row * OUTPUTS;
    let g = plane_at(LAST_GRADIENTS) + row * OUTPUTS;
    let t = place_of(row) * OUTPUTS;
    var sum = 0.0;
    for (var column = 0u; column < OUTPUTS; column += 1u) {
        let prediction = work[y + column];
        let truth = bitcast<f32>(targets[t + column]);
        let point = element_loss(prediction, truth, 1.0);
        // NaN in, NaN out, independently of the driver's min and clamp.
        let has_nan = is_nan(prediction) || is_nan(truth);
        let nan_value = prediction + truth;
        work[g + column] = factor * select(point.derivative, nan_value, has_nan);
        sum += factor * select(point.value, nan_value, has_nan);
    }
    return sum;
}
