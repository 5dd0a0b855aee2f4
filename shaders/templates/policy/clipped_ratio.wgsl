// Policy gradient with a clipped ratio, shared by the losses that differ in what they divide by:
//
//     -min(min(r, DELTA) A, clamp(r, LOW, HIGH) A),  r = e^log_ratio, A the advantage
//
// DELTA is at least HIGH; 0 for none. The derivative by the log-probability is -r A where r is not
// cut, else 0. An advantage of 0 has value and derivative 0, whatever the ratio.
fn token(log_prob: f32, log_ratio: f32, advantage: f32) -> vec2<f32> {
    let ratio = exp_any(log_ratio);
    let is_over = DELTA > 0.0 && ratio > DELTA;
    let held = select(ratio, DELTA, is_over);
    let is_gain = advantage > 0.0;
    let cut = select(max(held, LOW), min(held, HIGH), is_gain);
    let passes = !is_over && select(ratio >= LOW, ratio <= HIGH, is_gain);
    let found = vec2<f32>(-advantage * cut, select(0.0, -advantage * ratio, passes));
    return select(found, vec2<f32>(), advantage == 0.0);
}
