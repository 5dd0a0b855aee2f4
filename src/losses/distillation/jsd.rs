//! Jensen–Shannon divergence of student and teacher: CPU implementation of
//! `shaders/templates/rowwise/distillation_jsd.wgsl`.

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::losses::distillation::both::Both;

/// Value of a row; writes `scale` times its derivative.
#[inline(always)]
pub(super) fn row<R: Real>(
    beta: f64,
    factor: R,
    both: &Both<'_, R, impl Fn(usize) -> bool>,
    scale: R,
    gradient: &mut [R],
) -> R {
    let Some(mixture) = Mixture::of(both, beta, gradient) else {
        gradient.fill(R::ZERO);
        return R::ZERO;
    };
    let [of_teacher, of_student] = mixture.divergences(gradient);
    // The derivative is the deviation of ln(q/m) from its mean under q, both relative to the class
    // with the largest q: where the student is certain, the other terms are negligible next to it.
    // For β = 0 the terms q − p sum to 0; subtracting q times their computed sum removes the error
    // of the difference of the log-sum-exps.
    let top = mixture.top();
    let at_top = mixture.parting(both.teacher[top], both.student[top], top);
    let term_of = |part: &Parting<R>, column: usize| {
        if beta == 0.0 {
            return part.apart;
        }
        R::select(
            (part.q == R::ZERO) | (column == top),
            R::ZERO,
            part.q * part.ratio_beyond(&at_top, beta),
        )
    };
    let mean = R::new(simd::sum_blocks(
        both.student.len(),
        #[inline(always)]
        |range, values: &mut [R]| {
            let inputs = both.teacher[range.clone()].iter().zip(&both.student[range.clone()]);
            for ((column, value), (&y, &x)) in range.zip(values).zip(inputs) {
                *value = term_of(&mixture.parting(y, x, column), column);
            }
        },
    ));
    // At β = 1 the factor 1 − β, which would be 0, is replaced by 1; at β = 0 the derivative is
    // q − p.
    let share = R::new(if beta == 1.0 { 1.0 } else { 1.0 - beta });
    let chain_factor = scale * factor * share / both.temperature;
    both.write(
        gradient,
        #[inline(always)]
        |column, _, x, y| {
            let part = mixture.parting(y, x, column);
            chain_factor * (term_of(&part, column) - part.q * mean)
        },
    );
    // At the ends of β the mixture equals one of the two distributions, and the divergence is that
    // of the other.
    let weight = if beta == 0.0 || beta == 1.0 { 1.0 - beta } else { beta };
    factor * (R::new(weight) * of_teacher + R::new(1.0 - weight) * of_student)
}

/// Both distributions of a row, each as its largest logit and ln Σ e^(x − largest), and their
/// mixture.
struct Mixture<'a, R, K> {
    both: &'a Both<'a, R, K>,
    teacher: [R; 2],
    student: [R; 2],
    /// Log-sum-exp of the teacher minus that of the student.
    apart: R,
    /// Weight of the teacher in the mixture.
    beta: f64,
}

impl<'a, R: Real, K: Fn(usize) -> bool> Mixture<'a, R, K> {
    /// `None` for a teacher without unmasked classes. Intermediate values are left in `scratch`.
    #[inline(always)]
    fn of(both: &'a Both<'a, R, K>, beta: f64, scratch: &mut [R]) -> Option<Self> {
        let teacher = log_sum_exp(both, both.teacher, scratch)?;
        // A student without unmasked classes has no log-sum-exp to subtract.
        let student = log_sum_exp(both, both.student, scratch).unwrap_or([R::ZERO; 2]);
        let apart = (teacher[0] - student[0]) + (teacher[1] - student[1]);
        Some(Mixture { both, teacher, student, apart, beta })
    }

    #[inline(always)]
    fn parting(&self, y: R, x: R, column: usize) -> Parting<R> {
        // Subtracted in two steps: the sum of the two would lose digits for large logits.
        let log_share = |x: R, [top, log]: [R; 2]| (self.both.soften(x, column) - top) - log;
        let (log_p, log_q) = (log_share(y, self.teacher), log_share(x, self.student));
        // ln(p/q) from the difference of the logits, which is accurate where they are close: the
        // error of `apart` is common to all classes and affects the divergence in second order
        // only.
        let is_open = (log_p != R::NEG_INFINITY) & (log_q != R::NEG_INFINITY);
        let d = R::select(is_open, (y - x) / self.both.temperature - self.apart, log_p - log_q);
        parting(log_p.exp(), log_q.exp(), d, self.beta)
    }

    /// KL(p‖m) and KL(q‖m). The terms of the second are left in `scratch`.
    #[inline(always)]
    fn divergences(&self, scratch: &mut [R]) -> [R; 2] {
        let Both { student, teacher, .. } = self.both;
        let of_teacher = simd::sum_blocks(
            student.len(),
            #[inline(always)]
            |range, values: &mut [R]| {
                let inputs = teacher[range.clone()].iter().zip(&student[range.clone()]);
                let outputs = values.iter_mut().zip(&mut scratch[range.clone()]);
                for ((column, (value, cell)), (&y, &x)) in range.zip(outputs).zip(inputs) {
                    let Parting { teacher, student, .. } = self.parting(y, x, column);
                    (*value, *cell) = (teacher, student);
                }
            },
        );
        let of_student = simd::sum_blocks(
            student.len(),
            #[inline(always)]
            |range, values: &mut [R]| values.copy_from_slice(&scratch[range]),
        );
        [of_teacher, of_student].map(R::new)
    }

    /// Class with the largest probability under the student.
    #[inline(always)]
    fn top(&self) -> usize {
        let mut best = (0, R::NEG_INFINITY);
        for (column, &x) in self.both.student.iter().enumerate() {
            let softened = self.both.soften(x, column);
            if softened > best.1 {
                best = (column, softened);
            }
        }
        best.0
    }
}

/// Largest softened logit and ln Σ e^(x − largest); `None` if all are −∞.
#[inline(always)]
fn log_sum_exp<R: Real>(
    both: &Both<'_, R, impl Fn(usize) -> bool>,
    logits: &[R],
    scratch: &mut [R],
) -> Option<[R; 2]> {
    let top = both.top(logits, scratch);
    if top == R::NEG_INFINITY {
        return None;
    }
    Some([top, simd::exp_in_place(scratch, top).ln()])
}

/// Contribution of one class to the divergences of teacher and student from their mixture m; the
/// student's probability q, ln(q/m), and q minus the teacher's.
struct Parting<R> {
    teacher: R,
    student: R,
    q: R,
    ratio: R,
    apart: R,
    /// True if p is the smaller one; e^−|d|, the same minus 1, and m divided by the larger one.
    is_below: bool,
    e: R,
    w: R,
    part: R,
}

impl<R: Real> Parting<R> {
    /// ln(q/m) minus that of another class. If q is the larger of the two, m/q is 1 − β + β p/q:
    /// the difference of the small ratios has digits that the logarithms have lost.
    #[inline(always)]
    fn ratio_beyond(&self, other: &Self, beta: f64) -> R {
        let half = R::new(0.5);
        let risen =
            R::select((self.e > half) & (other.e > half), self.w - other.w, self.e - other.e);
        let near = -(R::new(beta) * risen / other.part).ln_1p();
        R::select(self.is_below & other.is_below & (beta < 1.0), near, self.ratio - other.ratio)
    }
}

/// Built from both probabilities and d = ln(p/q). First selects the larger probability. With e =
/// e^−|d|, and a and b the weights in m of the smaller and the larger one, m is b + a e times the
/// larger, without overflow or cancellation.
#[inline(always)]
fn parting<R: Real>(p: R, q: R, d: R, beta: f64) -> Parting<R> {
    let (of_teacher, of_student) = (R::new(beta), R::new(1.0 - beta));
    // The class has probability 0 in both.
    let d = R::select((p == R::ZERO) & (q == R::ZERO), R::ZERO, d);
    let is_below = d <= R::ZERO;
    let (e, w) = ((-d.abs()).exp(), (-d.abs()).exp_m1());
    let (a, b) =
        (R::select(is_below, of_teacher, of_student), R::select(is_below, of_student, of_teacher));
    let part = b + a * e;
    let log_part = R::select(e > R::new(0.5), (a * w).ln_1p(), part.ln());
    // At the ends of β the mixture equals one of the two.
    let log_part = R::select(b == R::ZERO, -d.abs(), log_part);
    let log_small = R::select(b == R::ZERO, R::ZERO, -d.abs() - log_part);
    let t = w / part;
    let m = of_teacher * p + of_student * q;
    let small = excess(R::select(is_below, p, q), m, log_small, b * t);
    let large = excess(R::select(is_below, q, p), m, -log_part, -a * t);
    let ratio = R::select(is_below, -log_part, log_small);
    let apart = R::select(is_below, -q * w, p * w);
    let (teacher, student) = (R::select(is_below, small, large), R::select(is_below, large, small));
    Parting { teacher, student, q, ratio, apart, is_below, e, w, part }
}

/// x ln(x/m) − x + m from ln(x/m) and s = x/m − 1: contribution of a class to KL(x‖m), never
/// below 0. Near m computed as m (r s + (1 + s)(2 artanh r − 2r)), r = s/(2 + s), because the
/// difference of the terms would cancel.
#[inline(always)]
fn excess<R: Real>(x: R, m: R, log_ratio: R, s: R) -> R {
    let r = s / (R::new(2.0) + s);
    let square = r * r;
    // artanh r = r + r³/3 + r⁵/5 + …: up to r = 1/8 the first omitted term is below 1e-18 of the
    // first.
    let mut tail = R::ZERO;
    for power in (3..=19).rev().step_by(2) {
        tail = tail * square + R::new(1.0 / f64::from(power));
    }
    let near = m * (r * s + (R::ONE + s) * R::new(2.0) * r * square * tail);
    let far = R::select(x == R::ZERO, R::ZERO, x * log_ratio) - (x - m);
    R::select(r.abs() < R::new(0.125), near, far)
}
