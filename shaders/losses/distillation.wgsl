// Distillation: a divergence of the student's softmax q of x/T from the teacher's p of y/T, with
// T = TEMPERATURE; times T^2 with SCALED. Linked with templates/rowwise/distillation_kl or
// templates/rowwise/distillation_jsd, which reduce the rows.
override DISTILLATION_TEMPERATURE: f32 = 2.0;
override DISTILLATION_SCALED: bool = true;
// Weight of the teacher in the mixture of the Jensen-Shannon divergence.
override DISTILLATION_BETA: f32 = 0.5;

// Stands for a masked logit: below all logits.
const DISTILLATION_CLOSED: f32 = -3.0e38;

fn distillation_tempered(logits: vec4<f32>, kept: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(DISTILLATION_CLOSED), logits / DISTILLATION_TEMPERATURE, kept);
}

// A -inf that no compiler folds away: its bits depend on a value known only at run time.
fn distillation_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

// Factor of the divergence: T^2 or 1.
fn distillation_size() -> f32 {
    if DISTILLATION_SCALED {
        return DISTILLATION_TEMPERATURE * DISTILLATION_TEMPERATURE;
    }
    return 1.0;
}

// A logit of +inf gives inf - inf, so the whole row is NaN.
fn distillation_has_infinity(teacher_maximum: f32, student_maximum: f32) -> bool {
    let max_bits = max(bitcast<u32>(max(teacher_maximum, 0.0)), bitcast<u32>(max(student_maximum, 0.0)));
    return max_bits == INFINITY_BITS;
}

fn distillation_auxiliary(place: u32, row: Row, outcome: Outcome) {}
