// AdaBelief: s is the running mean of (g - m)^2, the "surprise";
// w <- w - learning_rate m / (sqrt s + EPSILON), both divided by 1 - beta^t.
// With NESTEROV m looks one step ahead; step.own.x is 1 - beta1^(t+1).
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADABELIEF_BETA1: f32 = 0.9;
override ADABELIEF_BETA2: f32 = 0.999;
override ADABELIEF_ONE_MINUS_BETA1: f32 = 0.1;
override ADABELIEF_ONE_MINUS_BETA2: f32 = 0.001;
override ADABELIEF_EPSILON: f32 = 1e-16;
override ADABELIEF_EPSILON_ROOT: f32 = 1e-16;
override ADABELIEF_NESTEROV: bool = false;

fn adabelief_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let m = ADABELIEF_BETA1 * state.first + ADABELIEF_ONE_MINUS_BETA1 * gradient;
    let surprise = gradient - m;
    let s = ADABELIEF_BETA2 * state.second + ADABELIEF_ONE_MINUS_BETA2 * surprise * surprise + ADABELIEF_EPSILON_ROOT;
    let ahead = ADABELIEF_BETA1 * m / step.own.x + ADABELIEF_ONE_MINUS_BETA1 * gradient / step.correction_first;
    let mean = select(m / step.correction_first, ahead, ADABELIEF_NESTEROV);
    let scale = sqrt(s / step.correction_second) + ADABELIEF_EPSILON;
    return Update(parameter - step.learning_rate * mean / scale, State(m, s, 0.0, 0.0));
}
