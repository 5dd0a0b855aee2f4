//! Kullback–Leibler divergence of the student from the teacher: CPU implementation of
//! `shaders/templates/rowwise/distillation_kl.wgsl`.

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::losses::distillation::both::Both;

/// Value of a row; writes `scale` times its derivative.
#[inline(always)]
pub(super) fn row<R: Real>(
    factor: R,
    both: &Both<'_, R, impl Fn(usize) -> bool>,
    scale: R,
    gradient: &mut [R],
) -> R {
    // If all classes are masked, any finite number avoids (−∞) − (−∞).
    let finite = |top: R| R::select(top == R::NEG_INFINITY, R::ZERO, top);
    let teacher_top = finite(both.top(both.teacher, gradient));
    let student_top = finite(both.top(both.student, gradient));
    let (teacher, dot) = sums(both, gradient, teacher_top, student_top);
    let student = simd::exp_in_place(gradient, student_top);
    if teacher == R::ZERO {
        gradient.fill(R::ZERO);
        return R::ZERO;
    }
    // For a student without unmasked classes the divergence is infinite already.
    let log_student = R::select(student == R::ZERO, R::ZERO, student.ln());
    let inverse = R::select(student == R::ZERO, R::ZERO, R::ONE / student);
    let chain_factor = scale * factor / both.temperature;
    both.write(
        gradient,
        #[inline(always)]
        |column, power, _, y| {
            chain_factor
                * (power * inverse - (both.soften(y, column) - teacher_top).exp() / teacher)
        },
    );
    factor * (dot / teacher + (log_student - teacher.ln()))
}

/// With t the maxima of the softened logits of the teacher y and the student x, e = e^(y − t): Σ e
/// and Σ e ((y − t) − (x − t)). `softened` holds the student's logits.
#[inline(always)]
fn sums<R: Real>(
    both: &Both<'_, R, impl Fn(usize) -> bool>,
    softened: &[R],
    teacher_top: R,
    student_top: R,
) -> (R, R) {
    let teacher = simd::sum_blocks(
        softened.len(),
        #[inline(always)]
        |range, powers: &mut [R]| {
            for ((slot, &y), column) in
                powers.iter_mut().zip(&both.teacher[range.clone()]).zip(range)
            {
                *slot = (both.soften(y, column) - teacher_top).exp();
            }
        },
    );
    let dot = simd::sum_blocks(
        softened.len(),
        #[inline(always)]
        |range, products: &mut [R]| {
            let inputs = both.teacher[range.clone()].iter().zip(&softened[range.clone()]);
            for ((slot, (&y, &x)), column) in products.iter_mut().zip(inputs).zip(range) {
                let u = both.soften(y, column) - teacher_top;
                // A class of teacher probability 0 contributes 0.
                *slot = R::select(u == R::NEG_INFINITY, R::ZERO, u.exp() * (u - (x - student_top)));
            }
        },
    );
    (R::new(teacher), R::new(dot))
}
