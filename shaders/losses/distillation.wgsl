// Distillation: a divergence of the student's softmax q of x/T from the teacher's p of y/T, T = TEMPERATURE; times T^2 with
// SCALED. Linked with templates/rowwise/distillation_kl or templates/rowwise/distillation_jsd, which fold the rows.
override DISTILLATION_TEMPERATURE: f32 = 2.0;
override DISTILLATION_SCALED: bool = true;
// The teacher's share in the mixture of Jensen's and Shannon's divergence.
override DISTILLATION_BETA: f32 = 0.5;

// No logit, and below all of them.
const DISTILLATION_CLOSED: f32 = -3.0e38;

fn distillation_tempered(logits: vec4<f32>, kept: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(DISTILLATION_CLOSED), logits / DISTILLATION_TEMPERATURE, kept);
}

// -inf that no compiler folds away: its bits are put together from one known at run time only.
fn distillation_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

// What the divergence is multiplied by.
fn distillation_size() -> f32 {
    if DISTILLATION_SCALED {
        return DISTILLATION_TEMPERATURE * DISTILLATION_TEMPERATURE;
    }
    return 1.0;
}

// A logit of +inf: inf - inf has no value, and so has the whole row none.
fn distillation_has_infinity(teacher_maximum: f32, student_maximum: f32) -> bool {
    let max_bits = max(bitcast<u32>(max(teacher_maximum, 0.0)), bitcast<u32>(max(student_maximum, 0.0)));
    return max_bits == INFINITY_BITS;
}

fn distillation_auxiliary(place: u32, row: Row, outcome: Outcome) {}
