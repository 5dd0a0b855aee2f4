// Kullback-Leibler divergence of the student's distribution from the teacher's, for
// losses/distillation:
//     loss = sum p (ln p - ln q) = dot/P - ln P + ln Q
//     P = sum e^u, Q = sum e^v, u = y/T - max, v = x/T - max, dot = sum e^u (u - v)
//     d/dx = (q - p) / T
struct Sums {
    teacher_maximum: f32,
    student_maximum: f32,
    teacher: f32,
    student: f32,
    dot: f32,
}

struct Outcome {
    loss: f32,
    factor: f32,
    teacher_maximum: f32,
    student_maximum: f32,
    teacher: f32, // 1/sum
    student: f32,
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, LOWEST, 0.0, 0.0, 0.0);
}

// The sums relative to maxima that are raised by the given amounts.
fn raised(sums: Sums, teacher_rise: f32, student_rise: f32) -> Sums {
    let shrink = exp(-teacher_rise);
    var dot = shrink * (sums.dot - (teacher_rise - student_rise) * sums.teacher);
    // An infinite sum stays infinite, and 0 stays 0, regardless of how far the maximum rises from
    // its initial value.
    if bitcast<u32>(sums.dot) == INFINITY_BITS {
        dot = sums.dot;
    }
    return Sums(
        sums.teacher_maximum + teacher_rise,
        sums.student_maximum + student_rise,
        shrink * sums.teacher,
        exp(-student_rise) * sums.student,
        select(0.0, dot, sums.teacher > 0.0),
    );
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let y = distillation_tempered(cells.truths, cells.kept);
    let x = distillation_tempered(cells.logits, cells.kept);
    let teacher_maximum = max(sums.teacher_maximum, max(max(y.x, y.y), max(y.z, y.w)));
    let student_maximum = max(sums.student_maximum, max(max(x.x, x.y), max(x.z, x.w)));
    var next = raised(sums, teacher_maximum - sums.teacher_maximum, student_maximum - sums.student_maximum);
    next.teacher_maximum = teacher_maximum;
    next.student_maximum = student_maximum;
    let below = select(vec4<f32>(distillation_minus_infinity()), x - student_maximum, x >= vec4<f32>(LOWEST));
    let e = select(vec4<f32>(), exp(y - teacher_maximum), y >= vec4<f32>(LOWEST));
    next.teacher += sum4(e);
    next.student += sum4(exp(max(x - student_maximum, vec4<f32>(DISTILLATION_CLOSED))));
    // A class with teacher probability 0 contributes nothing.
    next.dot += sum4(select(e * ((y - teacher_maximum) - below), vec4<f32>(), e == vec4<f32>()));
    return next;
}

fn join(sums: Sums) -> Sums {
    let teacher_maximum = row_group_max(sums.teacher_maximum);
    let student_maximum = row_group_max(sums.student_maximum);
    let all = raised(sums, teacher_maximum - sums.teacher_maximum, student_maximum - sums.student_maximum);
    return Sums(teacher_maximum, student_maximum, row_group_sum(all.teacher), row_group_sum(all.student), row_group_sum(all.dot));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let factor = distillation_size();
    var teacher = select(1.0 / sums.teacher, 0.0, sums.teacher == 0.0);
    var student = select(1.0 / sums.student, 0.0, sums.student == 0.0);
    if distillation_has_infinity(sums.teacher_maximum, sums.student_maximum) {
        teacher = nan_of(row);
        student = teacher;
    }
    if sums.teacher == 0.0 {
        return Outcome(0.0, 0.0, sums.teacher_maximum, sums.student_maximum, teacher, student);
    }
    // If every class of the student is masked, the divergence is already infinite.
    let log_student = select(log_accurate(sums.student), 0.0, sums.student == 0.0);
    let loss = sums.dot * teacher + (log_student - log_accurate(sums.teacher));
    return Outcome(factor * loss, factor / DISTILLATION_TEMPERATURE, sums.teacher_maximum, sums.student_maximum, teacher, student);
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let x = distillation_tempered(cells.logits, cells.kept);
    let q = outcome.student * exp(x - outcome.student_maximum);
    let p = outcome.teacher * exp(distillation_tempered(cells.truths, cells.kept) - outcome.teacher_maximum);
    return select(vec4<f32>(), outcome.factor * (q - p), x >= vec4<f32>(LOWEST));
}
