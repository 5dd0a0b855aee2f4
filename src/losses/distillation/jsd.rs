//! Jensen and Shannon's divergence of student and teacher from their mixture: the twin of `shaders/templates/rowwise/distillation_jsd.wgsl`.

use super::{Both, Distillation};
use crate::cpu::real::Real;
use crate::cpu::simd;

/// Value of a row; writes `scale` times its derivative.
#[inline(always)]
pub(super) fn row<R: Real>(
    loss: &Distillation,
    both: &Both<'_, R, impl Fn(usize) -> bool>,
    scale: R,
    gradient: &mut [R],
) -> R {
    let beta = loss.beta;
    let Some(mixture) = Mixture::of(both, beta, gradient) else {
        gradient.fill(R::ZERO);
        return R::ZERO;
    };
    let [of_teacher, of_student] = mixture.divergences(gradient);
    // Derivatives are differences of ln(q/m) from their mean under q, both taken from where q is the largest: where the student is certain
    // the others are too small to be seen beside it. Those of q − p have the mean 0, which takes out what the distance of the two is off by.
    let top = mixture.top();
    let at_top = mixture.parting(both.teacher[top], both.student[top], top);
    let pull_of = |part: &Parting<R>, column: usize| {
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
                *value = pull_of(&mixture.parting(y, x, column), column);
            }
        },
    ));
    let factor = loss.factor();
    // Of 1 − β nothing is left at its end; at the other the slope is q − p as it stands.
    let share = R::new(if beta == 1.0 { 1.0 } else { 1.0 - beta });
    let pull = scale * factor * share / both.temperature;
    both.write(
        gradient,
        #[inline(always)]
        |column, _, x, y| {
            let part = mixture.parting(y, x, column);
            pull * (pull_of(&part, column) - part.q * mean)
        },
    );
    // At the ends of β the mixture is one of the two, and the divergence that of the other.
    let weight = if beta == 0.0 || beta == 1.0 { 1.0 - beta } else { beta };
    factor * (R::new(weight) * of_teacher + R::new(1.0 - weight) * of_student)
}

/// Both distributions of a row, each by its largest logit and ln Σ e^(x − largest), and their mixture.
struct Mixture<'a, R, K> {
    both: &'a Both<'a, R, K>,
    teacher: [R; 2],
    student: [R; 2],
    /// How far the log-sum-exp of the teacher is beyond that of the student.
    apart: R,
    /// The teacher's share.
    beta: f64,
}

impl<'a, R: Real, K: Fn(usize) -> bool> Mixture<'a, R, K> {
    /// `None` for a teacher without any class. What it works with is left in `scratch`.
    #[inline(always)]
    fn of(both: &'a Both<'a, R, K>, beta: f64, scratch: &mut [R]) -> Option<Self> {
        let teacher = log_sum_exp(both, both.teacher, scratch)?;
        // A student without any class has no log-sum-exp to take away.
        let student = log_sum_exp(both, both.student, scratch).unwrap_or([R::ZERO; 2]);
        let apart = (teacher[0] - student[0]) + (teacher[1] - student[1]);
        Some(Mixture { both, teacher, student, apart, beta })
    }

    #[inline(always)]
    fn parting(&self, y: R, x: R, column: usize) -> Parting<R> {
        // One after the other: the sum of the two would have lost digits that a large logit still has.
        let log_share = |x: R, [top, log]: [R; 2]| (self.both.soften(x, column) - top) - log;
        let (log_p, log_q) = (log_share(y, self.teacher), log_share(x, self.student));
        // ln(p/q) by the difference of the logits, which keeps its digits where they are near each other: what `apart` is off by
        // is the same for all classes, and to a divergence of the second order.
        let is_open = (log_p != R::NEG_INFINITY) & (log_q != R::NEG_INFINITY);
        let d = R::select(is_open, (y - x) / self.both.temperature - self.apart, log_p - log_q);
        parting(log_p.exp(), log_q.exp(), d, self.beta)
    }

    /// KL(p‖m) and KL(q‖m). What the classes add to the second is left in `scratch`.
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

    /// The class that is the likeliest to the student.
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

/// The largest of the logits, softened, and ln Σ e^(x − largest); `None` where all are −∞.
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

/// What one class adds to the divergences of teacher and student from their mixture m; its probability q for the student, ln(q/m), and
/// q less the teacher's.
struct Parting<R> {
    teacher: R,
    student: R,
    q: R,
    ratio: R,
    apart: R,
    /// Whether p is the smaller one; e^−|d|, the same less 1, and what m is of the larger one.
    is_below: bool,
    e: R,
    w: R,
    part: R,
}

impl<R: Real> Parting<R> {
    /// ln(q/m) less that of another class. Where q is the larger one of both, m/q is 1 − β + β p/q: the difference of the small shares
    /// has digits that the logarithms have lost.
    #[inline(always)]
    fn ratio_beyond(&self, other: &Self, beta: f64) -> R {
        let half = R::new(0.5);
        let risen =
            R::select((self.e > half) & (other.e > half), self.w - other.w, self.e - other.e);
        let near = -(R::new(beta) * risen / other.part).ln_1p();
        R::select(self.is_below & other.is_below & (beta < 1.0), near, self.ratio - other.ratio)
    }
}

/// From both probabilities and d = ln(p/q). Which of the two is the larger is settled first: with e = e^−|d|, and a and b the shares in
/// m of the smaller and of the larger one, m is b + a e of the larger, and nothing in it overflows or cancels.
#[inline(always)]
fn parting<R: Real>(p: R, q: R, d: R, beta: f64) -> Parting<R> {
    let (of_teacher, of_student) = (R::new(beta), R::new(1.0 - beta));
    // Neither has the class.
    let d = R::select((p == R::ZERO) & (q == R::ZERO), R::ZERO, d);
    let is_below = d <= R::ZERO;
    let (e, w) = ((-d.abs()).exp(), (-d.abs()).exp_m1());
    let (a, b) =
        (R::select(is_below, of_teacher, of_student), R::select(is_below, of_student, of_teacher));
    let part = b + a * e;
    let log_part = R::select(e > R::new(0.5), (a * w).ln_1p(), part.ln());
    // At the ends of β the mixture is one of the two.
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

/// x ln(x/m) − x + m from ln(x/m) and s = x/m − 1: what a class adds to KL(x‖m), never below 0. Near m as m (r s + (1 + s)(2 artanh r − 2r)),
/// r = s/(2 + s), where the difference of its terms would leave no digit.
#[inline(always)]
fn excess<R: Real>(x: R, m: R, log_ratio: R, s: R) -> R {
    let r = s / (R::new(2.0) + s);
    let square = r * r;
    // artanh r = r + r³/3 + r⁵/5 + …: up to r = 1/8 the first one left out is below 1e-18 of the first.
    let mut tail = R::ZERO;
    for power in (3..=19).rev().step_by(2) {
        tail = tail * square + R::new(1.0 / f64::from(power));
    }
    let near = m * (r * s + (R::ONE + s) * R::new(2.0) * r * square * tail);
    let far = R::select(x == R::ZERO, R::ZERO, x * log_ratio) - (x - m);
    R::select(r.abs() < R::new(0.125), near, far)
}
