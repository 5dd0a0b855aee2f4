// KTO of a log-probability x = (policy, reference, y, kl), y = 1 for a desirable completion, else
// -1: w sigma(-y z) with z = BETA (policy - reference - max(kl, 0)) and w the weight of its class
// (desirable or not); derivative -y w BETA sigma(z) sigma(-z).
override KTO_BETA: f32 = 0.1;
override KTO_DESIRABLE_WEIGHT: f32 = 1.0;
override KTO_UNDESIRABLE_WEIGHT: f32 = 1.0;

fn kto_loss(x: vec4<f32>) -> PreferenceTerms {
    let z = KTO_BETA * (x.x - x.y - max(x.w, 0.0));
    let weight = select(KTO_UNDESIRABLE_WEIGHT, KTO_DESIRABLE_WEIGHT, x.z > 0.0);
    let gradient = -x.z * weight * KTO_BETA * sigmoid(z) * sigmoid(-z);
    // Two log-probabilities of -inf have no difference.
    let nan = not_a_number(z);
    return PreferenceTerms(select(weight * sigmoid(-x.z * z), nan, is_nan(z)), vec2<f32>(select(gradient, nan, is_nan(z)), 0.0));
}
