// KTO of a log-probability x = (policy, reference, y, kl), y = 1 for a desirable answer, else -1: w sigma(-y z) with
// z = BETA (policy - reference - max(kl, 0)) and w the weight of its side; derivative -y w BETA sigma(z) sigma(-z).
override BETA: f32 = 0.1;
override DESIRABLE_WEIGHT: f32 = 1.0;
override UNDESIRABLE_WEIGHT: f32 = 1.0;

fn quad(x: vec4<f32>) -> Quad {
    let z = BETA * (x.x - x.y - max(x.w, 0.0));
    let weight = select(UNDESIRABLE_WEIGHT, DESIRABLE_WEIGHT, x.z > 0.0);
    let slope = -x.z * weight * BETA * sigmoid(z) * sigmoid(-z);
    return Quad(weight * sigmoid(-x.z * z), vec2<f32>(slope, 0.0));
}
