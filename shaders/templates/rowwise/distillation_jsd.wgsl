// Generalised Jensen-Shannon divergence of the student's distribution q and the teacher's p, for
// losses/distillation:
//   loss = BETA KL(p|m) + (1 - BETA) KL(q|m),   m = BETA p + (1 - BETA) q
//   d/dx = (1 - BETA) q (ln(q/m) - KL(q|m)) / T
// BETA 0 is KL(p|q) with derivative (q - p)/T. BETA 1 is KL(q|p) with derivative q (ln(q/p) -
// KL(q|p))/T. A divergence is computed as the sum of x ln(x/m) - x + m. All these terms are
// nonnegative, so that nothing cancels when student and teacher are close. The first pass computes
// both log-sum-exps.

// Values of one class: ln(q/m); 1 if p is below q; e^-|ln(p/q)|; the same minus 1; the ratio of m
// to the larger of p and q.
struct ClassValues {
    ratio: f32,
    is_below: f32,
    e: f32,
    w: f32,
    part: f32,
}

struct Sums {
    pass_number: u32,
    teacher_maximum: f32,
    student_maximum: f32,
    teacher: f32,
    student: f32,
    log_teacher: f32, // of the sums of the first pass
    log_student: f32,
    teacher_excess: f32, // KL(p|m)
    student_excess: f32,
    top: f32,            // column of the student's largest logit, followed by its values
    truth_at_top: f32,
    logit_at_top: f32,
    at_top: ClassValues,
    mean: f32,           // mean of ln(q/m) under q, minus ln(q/m) at the top
}

struct Outcome {
    loss: f32,
    factor: f32,
    teacher_maximum: f32,
    student_maximum: f32,
    log_teacher: f32,
    log_student: f32,
    top: f32,
    at_top: ClassValues,
    mean: f32,
}

// For four classes: contributions to the two divergences, ln(q/m), q - p, and q.
struct Parting {
    teacher_excess: vec4<f32>,
    student_excess: vec4<f32>,
    ratios: vec4<f32>,
    apart: vec4<f32>,
    q: vec4<f32>,
    is_below: vec4<bool>,
    e: vec4<f32>,
    w: vec4<f32>,
    part: vec4<f32>,
}

// x ln(x/m) - x + m with l = ln(x/m) and s = x/m - 1. Near m it uses 2 artanh(r) = 2r + 2r^3/3 +
// ..., r = s/(2 + s). The first term contributes m r s. The first omitted term is below 1e-8 of
// that.
fn excess(x: vec4<f32>, m: vec4<f32>, l: vec4<f32>, s: vec4<f32>) -> vec4<f32> {
    let r = s / (2.0 + s);
    let q = r * r;
    let tail = 2.0 * r * q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * 0.11111111)));
    let far = select(x * l, vec4<f32>(), x == vec4<f32>()) - (x - m);
    return select(far, m * (r * s + (1.0 + s) * tail), abs(r) < vec4<f32>(0.125));
}

// Normalizers of a row's two distributions: the largest logits and ln of the sums relative to them.
struct Ends {
    teacher_maximum: f32,
    student_maximum: f32,
    log_teacher: f32,
    log_student: f32,
}

fn parting(truths: vec4<f32>, logits: vec4<f32>, kept: vec4<bool>, ends: Ends) -> Parting {
    let y = distillation_tempered(truths, kept);
    let x = distillation_tempered(logits, kept);
    let has_p = y >= vec4<f32>(LOWEST);
    let has_q = x >= vec4<f32>(LOWEST);
    let p = select(vec4<f32>(), exp((y - ends.teacher_maximum) - ends.log_teacher), has_p);
    let q = select(vec4<f32>(), exp((x - ends.student_maximum) - ends.log_student), has_q);
    // ln(p/q) from the difference of the logits, which is accurate if they are close. An error of
    // the normalizers is the same for all classes, and affects a divergence only in second order.
    let apart = (ends.teacher_maximum - ends.student_maximum) + (ends.log_teacher - ends.log_student);
    let none = distillation_minus_infinity();
    var d = select(vec4<f32>(none), (truths - logits) / DISTILLATION_TEMPERATURE - apart, has_p);
    d = select(vec4<f32>(-none), d, has_q);
    d = select(d, vec4<f32>(), (p == vec4<f32>()) & (q == vec4<f32>()));
    let is_below = d <= vec4<f32>();
    let size = abs(d);
    let grown = exp_and_less4(-size);
    // Weights in m of the smaller and of the larger of p and q; m is `part` times the larger.
    let a = select(vec4<f32>(1.0 - DISTILLATION_BETA), vec4<f32>(DISTILLATION_BETA), is_below);
    let b = select(vec4<f32>(DISTILLATION_BETA), vec4<f32>(1.0 - DISTILLATION_BETA), is_below);
    let part = b + a * grown[0];
    var log_part = select(log_accurate4(part), ln_1p_above_minus_one4(a * grown[1]), grown[0] > vec4<f32>(0.5));
    log_part = select(log_part, -size, b == vec4<f32>());
    let log_small = select(-size - log_part, vec4<f32>(), b == vec4<f32>());
    let t = grown[1] / part;
    let m = DISTILLATION_BETA * p + (1.0 - DISTILLATION_BETA) * q;
    let small = excess(select(q, p, is_below), m, log_small, b * t);
    let large = excess(select(p, q, is_below), m, -log_part, -a * t);
    let ratios = select(log_small, -log_part, is_below);
    let less = select(p * grown[1], -q * grown[1], is_below);
    let teacher = select(large, small, is_below);
    let student = select(small, large, is_below);
    return Parting(teacher, student, ratios, less, q, is_below, grown[0], grown[1], part);
}

// Terms of the derivatives: q (ln(q/m) - that at the top). The mean of the difference under q is
// subtracted. If the student's probability is near 1, the other classes are too small relative to
// the top to be resolved. If q is the larger of the two, m/q is 1 - BETA + BETA p/q: the difference
// of the small weights has digits that the logarithms have lost. At BETA 0 the term is q - p, whose
// mean is 0, so that an error of ln(p/q) common to all classes cancels.
fn terms(found: Parting, columns: vec4<u32>, top: f32, at_top: ClassValues) -> vec4<f32> {
    if DISTILLATION_BETA == 0.0 {
        return found.apart;
    }
    var ratios = found.ratios - at_top.ratio;
    if DISTILLATION_BETA < 1.0 {
        let is_near = (found.e > vec4<f32>(0.5)) & vec4<bool>(at_top.e > 0.5);
        let risen = select(found.e - at_top.e, found.w - at_top.w, is_near);
        let both = found.is_below & vec4<bool>(at_top.is_below != 0.0);
        ratios = select(ratios, -ln_1p_above_minus_one4(DISTILLATION_BETA * risen / at_top.part), both);
    }
    let is_top = vec4<f32>(columns) == vec4<f32>(top);
    return select(vec4<f32>(), found.q * ratios, (found.q != vec4<f32>()) & !is_top);
}

fn empty_sums() -> Sums {
    return Sums(0u, LOWEST, LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, DISTILLATION_CLOSED, DISTILLATION_CLOSED, ClassValues(0.0, 0.0, 1.0, 0.0, 1.0), 0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    var next = sums;
    if sums.pass_number == 0u {
        let y = distillation_tempered(cells.truths, cells.kept);
        let x = distillation_tempered(cells.logits, cells.kept);
        next.teacher_maximum = max(sums.teacher_maximum, max(max(y.x, y.y), max(y.z, y.w)));
        for (var k = 0u; k < 4u; k += 1u) {
            if x[k] > next.student_maximum {
                next.student_maximum = x[k];
                next.top = f32(cells.columns[k]);
                next.truth_at_top = cells.truths[k];
                next.logit_at_top = cells.logits[k];
            }
        }
        let p = select(vec4<f32>(), exp(y - next.teacher_maximum), y >= vec4<f32>(LOWEST));
        let q = select(vec4<f32>(), exp(x - next.student_maximum), x >= vec4<f32>(LOWEST));
        next.teacher = sums.teacher * exp(sums.teacher_maximum - next.teacher_maximum) + sum4(p);
        next.student = sums.student * exp(sums.student_maximum - next.student_maximum) + sum4(q);
        return next;
    }
    let ends = Ends(sums.teacher_maximum, sums.student_maximum, sums.log_teacher, sums.log_student);
    let found = parting(cells.truths, cells.logits, cells.kept, ends);
    next.teacher_excess += sum4(found.teacher_excess);
    next.student_excess += sum4(found.student_excess);
    next.mean += sum4(terms(found, cells.columns, sums.top, sums.at_top));
    return next;
}

// No branch on the pass: no compiler can prove that it is uniform, and WebGPU rejects a barrier
// after the branch.
fn join(sums: Sums) -> Sums {
    var all = sums;
    all.teacher_maximum = row_group_max(sums.teacher_maximum);
    all.student_maximum = row_group_max(sums.student_maximum);
    all.teacher = row_group_sum(sums.teacher * exp(sums.teacher_maximum - all.teacher_maximum));
    all.student = row_group_sum(sums.student * exp(sums.student_maximum - all.student_maximum));
    all.teacher_excess = row_group_sum(sums.teacher_excess);
    all.student_excess = row_group_sum(sums.student_excess);
    all.mean = row_group_sum(sums.mean);
    all.top = row_group_max(select(-1.0, sums.top, sums.student_maximum == all.student_maximum));
    let is_here = sums.top == all.top;
    all.truth_at_top = row_group_max(select(DISTILLATION_CLOSED, sums.truth_at_top, is_here));
    all.logit_at_top = row_group_max(select(DISTILLATION_CLOSED, sums.logit_at_top, is_here));
    return all;
}

fn restart(sums: Sums) -> Sums {
    var next = empty_sums();
    next.pass_number = 1u;
    next.teacher_maximum = sums.teacher_maximum;
    next.student_maximum = sums.student_maximum;
    next.top = sums.top;
    next.truth_at_top = sums.truth_at_top;
    next.logit_at_top = sums.logit_at_top;
    if sums.teacher > 0.0 {
        next.log_teacher = log_accurate(sums.teacher);
    }
    if sums.student > 0.0 {
        next.log_student = log_accurate(sums.student);
    }
    let ends = Ends(sums.teacher_maximum, sums.student_maximum, next.log_teacher, next.log_student);
    let truths = vec4<f32>(sums.truth_at_top);
    let found = parting(truths, vec4<f32>(sums.logit_at_top), vec4<bool>(sums.top >= 0.0), ends);
    let is_below = select(0.0, 1.0, found.is_below.x);
    next.at_top = ClassValues(found.ratios.x, is_below, found.e.x, found.w.x, found.part.x);
    return next;
}

fn finish(row: Row, sums: Sums) -> Outcome {
    var weights = vec2<f32>(DISTILLATION_BETA, 1.0 - DISTILLATION_BETA);
    // At BETA 0 and 1, m is the other distribution.
    if DISTILLATION_BETA == 0.0 || DISTILLATION_BETA == 1.0 {
        weights = weights.yx;
    }
    var loss = distillation_size() * dot(weights, vec2<f32>(sums.teacher_excess, sums.student_excess));
    // At BETA 1 the factor 1 - BETA would be 0.
    var factor = distillation_size() / DISTILLATION_TEMPERATURE * select(1.0, 1.0 - DISTILLATION_BETA, DISTILLATION_BETA != 1.0);
    if sums.teacher_maximum <= LOWEST {
        loss = 0.0;
        factor = 0.0;
    }
    if distillation_has_infinity(sums.teacher_maximum, sums.student_maximum) {
        loss = nan_of(row);
        factor = loss;
    }
    return Outcome(
        loss,
        factor,
        sums.teacher_maximum,
        sums.student_maximum,
        sums.log_teacher,
        sums.log_student,
        sums.top,
        sums.at_top,
        sums.mean,
    );
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let ends = Ends(outcome.teacher_maximum, outcome.student_maximum, outcome.log_teacher, outcome.log_student);
    let found = parting(cells.truths, cells.logits, cells.kept, ends);
    let d_logits = terms(found, cells.columns, outcome.top, outcome.at_top) - found.q * outcome.mean;
    let has_q = distillation_tempered(cells.logits, cells.kept) >= vec4<f32>(LOWEST);
    return select(vec4<f32>(), outcome.factor * d_logits, has_q & vec4<bool>(outcome.factor != 0.0));
}
