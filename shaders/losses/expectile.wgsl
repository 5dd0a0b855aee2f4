// Expectile: |tau - [y < x]| e^2, derivative 2 |tau - [y < x]| e.
override EXPECTILE_EXPECTILE: f32 = 0.5;

fn expectile_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let weight = select(EXPECTILE_EXPECTILE, 1.0 - EXPECTILE_EXPECTILE, error > 0.0);
    return Loss(weight * error * error, 2.0 * weight * error);
}
