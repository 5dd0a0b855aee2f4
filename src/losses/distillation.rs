//! Distillation of a teacher's logits.

use serde::{Deserialize, Serialize};

use super::prelude::*;
use crate::host::rowwise::{Auxiliary, Row, Target};
use crate::host::simd;
use crate::wgsl::File;

/// Which divergence [`Distillation`] takes of the student's distribution q and the teacher's p.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// KL(p‖q), Kullback and Leibler's.
    #[default]
    Kl,
    /// β KL(p‖m) + (1 − β) KL(q‖m) with m = βp + (1 − β)q, Jensen and Shannon's, generalised.
    Jsd,
}

options! {
    /// Distillation: the student's logits x are to give the distribution that the teacher's logits y give, both softened.
    ///
    /// T² KL(p‖q) = T² Σ p_c (ln p_c − ln q_c) with p = softmax(y/T), q = softmax(x/T), T the `temperature`; derivative T (q_c − p_c). T² keeps the
    /// size of the gradient when T changes; `scaled` false leaves it out. Predictions and targets are logits [rows, classes]. `mean`
    /// divides by the number of rows. A class masked for both (input `class_mask`, or a teacher's logit of −∞) costs nothing; a student's −∞
    /// where the teacher's is finite makes the loss ∞.
    ///
    /// With `divergence` "jsd" it is T² (β KL(p‖m) + (1 − β) KL(q‖m)), m = βp + (1 − β)q, derivative T (1 − β) q_c (ln(q_c/m_c) − KL(q‖m)):
    /// β is the teacher's share in m. β = 0 is KL(p‖q), β = 1 KL(q‖p) with derivative T q_c (ln(q_c/p_c) − KL(q‖p)), as
    /// [`crate::losses::Jsd`] and Liger have them. Classes that one of the two rules out cost at most T² ln 2 between the ends; at
    /// β = 1 a class that the teacher alone rules out makes the loss ∞, and its row's gradient has no value.
    ///
    /// Liger `LigerFusedLinearJSD` (with `scaled` false).
    /// Sources: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network, 2015; R. Agarwal et al.,
    /// On-policy distillation of language models, 2023 (JSD).
    ///
    /// ```
    /// use gradus::{Device, losses::{Distillation, Divergence, Loss}};
    /// use ndarray::array;
    ///
    /// let (student, teacher) = (array![[0.0, 0.0]], array![[0.0, f32::NEG_INFINITY]]);
    /// let criterion = Distillation::new().temperature(1.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&student, &teacher)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5]);
    ///
    /// let criterion = Distillation::new().temperature(1.0).divergence(Divergence::Jsd).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&student, &teacher)?;
    /// // m is ¾ and ¼: ½ ln 4/3 + ½ (½ ln 2/3 + ½ ln 2)
    /// assert!((step.value() - (0.75 * (4.0_f64 / 3.0).ln())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Distillation of "distillation" {
        /// What both logits are divided by: the softer, the more is seen of the classes that are not the best.
        temperature: f64 = 2.0, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
        /// Whether the loss is multiplied by the temperature's square.
        scaled: bool = true, "true or false" if |_| true;
        /// The divergence of the two distributions.
        divergence: Divergence = Divergence::Kl, "kl or jsd" if |_| true;
        /// The teacher's share in the mixture of jsd; kl has none.
        beta: f64 = 0.5, "in [0, 1]" if |beta| (0.0..=1.0).contains(&beta);
    }
}

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
    name: "distillation",
    summary: "a student learns a teacher's whole distribution from its logits",
    formula: "T² KL(softmax(y/T)‖softmax(x/T))",
    options: Distillation::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "G. Hinton et al., Distilling the knowledge in a neural network, 2015",
    variants: &[
        r#"{"temperature": 1.0}"#,
        r#"{"temperature": 4.0, "scaled": false}"#,
        r#"{"divergence": "jsd"}"#,
        r#"{"divergence": "jsd", "beta": 0.1, "temperature": 1.0}"#,
        r#"{"divergence": "jsd", "beta": 0.0, "scaled": false}"#,
        r#"{"divergence": "jsd", "beta": 1.0, "temperature": 3.0}"#,
    ],
    shader: crate::wgsl::shader!("losses/distillation.wgsl"),
    make: make::<Distillation>,
};

impl Filling for Distillation {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const TARGETS: Domain = Domain::Logits;
    const INPUTS: &'static [Input] = &[CLASS_MASK];

    fn helpers(&self) -> &'static [File] {
        const KL: &[File] = &[crate::wgsl::shader!("helpers/distillation_kl.wgsl")];
        const JSD: &[File] = &[crate::wgsl::shader!("helpers/distillation_jsd.wgsl")];
        if self.divergence == Divergence::Jsd { JSD } else { KL }
    }

    fn passes(&self) -> u32 {
        if self.divergence == Divergence::Jsd { 2 } else { 1 }
    }

    fn family(&self) -> Family<'_> {
        Family::Rowwise(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature), ("SCALED", f64::from(u8::from(self.scaled))), ("BETA", self.beta)]
    }
}

impl Rowwise for Distillation {
    #[inline(always)]
    fn row<R: Real>(&self, row: &Row<'_, R>, scale: R, gradient: &mut [R], _: Option<&mut Auxiliary<R>>) -> R {
        let Target::Dense(dense) = row.target else {
            return R::NAN;
        };
        if row.has_class_mask() {
            return self.of_kept(row.logits, dense, scale, gradient, |column| row.keeps(column));
        }
        // With a mask to look up in them the loops are not vectorised.
        self.of_kept(
            row.logits,
            dense,
            scale,
            gradient,
            #[inline(always)]
            |_| true,
        )
    }
}

impl Distillation {
    #[inline(always)]
    fn of_kept<R: Real>(
        &self,
        logits: &[R],
        dense: &[R],
        scale: R,
        gradient: &mut [R],
        keeps: impl Fn(usize) -> bool,
    ) -> R {
        if self.divergence == Divergence::Jsd {
            return self.mixed(logits, dense, scale, gradient, keeps);
        }
        let columns = logits.len();
        let (dense, gradient) = (&dense[..columns], &mut gradient[..columns]);
        let temperature = R::new(self.temperature);
        let tempered = |x: R, column: usize| R::select(keeps(column), x / temperature, R::NEG_INFINITY);
        // Any finite number where nothing is open keeps (−∞) − (−∞) out.
        let top = |values: &[R]| {
            let maximum = simd::maximum(values);
            R::select(maximum == R::NEG_INFINITY, R::ZERO, maximum)
        };
        for (column, (cell, &y)) in gradient.iter_mut().zip(dense).enumerate() {
            *cell = tempered(y, column);
        }
        let teacher_top = top(gradient);
        for (column, (cell, &x)) in gradient.iter_mut().zip(logits).enumerate() {
            *cell = tempered(x, column);
        }
        let student_top = top(gradient);
        let below = |y: R, column: usize| tempered(y, column) - teacher_top;
        let teacher = R::new(simd::sum_blocks(
            columns,
            #[inline(always)]
            |range, powers: &mut [R]| {
                for ((slot, &y), column) in powers.iter_mut().zip(&dense[range.clone()]).zip(range) {
                    *slot = below(y, column).exp();
                }
            },
        ));
        let dot = R::new(simd::sum_blocks(
            columns,
            #[inline(always)]
            |range, products: &mut [R]| {
                let inputs = dense[range.clone()].iter().zip(&gradient[range.clone()]);
                for ((slot, (&y, &x)), column) in products.iter_mut().zip(inputs).zip(range) {
                    let u = below(y, column);
                    // A class that the teacher rules out costs nothing.
                    *slot = R::select(u == R::NEG_INFINITY, R::ZERO, u.exp() * (u - (x - student_top)));
                }
            },
        ));
        let student = simd::exp_in_place(gradient, student_top);
        if teacher == R::ZERO {
            gradient.fill(R::ZERO);
            return R::ZERO;
        }
        // A student without any class is infinitely far already.
        let log_student = R::select(student == R::ZERO, R::ZERO, student.ln());
        let inverse = R::select(student == R::ZERO, R::ZERO, R::ONE / student);
        let factor = if self.scaled { temperature * temperature } else { R::ONE };
        let pull = scale * factor / temperature;
        for ((column, cell), (&x, &y)) in gradient.iter_mut().enumerate().zip(logits.iter().zip(dense)) {
            let slope = pull * (*cell * inverse - below(y, column).exp() / teacher);
            let is_open = keeps(column) & (x != R::NEG_INFINITY);
            *cell = R::select(is_open, slope, R::ZERO);
        }
        factor * (dot / teacher + (log_student - teacher.ln()))
    }
    /// As [`Distillation::of_kept`] for the divergence from the mixture of both.
    #[inline(always)]
    fn mixed<R: Real>(
        &self,
        logits: &[R],
        dense: &[R],
        scale: R,
        gradient: &mut [R],
        keeps: impl Fn(usize) -> bool,
    ) -> R {
        let (dense, gradient) = (&dense[..logits.len()], &mut gradient[..logits.len()]);
        let temperature = R::new(self.temperature);
        let tempered = |x: R, column: usize| R::select(keeps(column), x / temperature, R::NEG_INFINITY);
        let Some(teacher) = log_sum_exp(dense, gradient, &tempered) else {
            gradient.fill(R::ZERO);
            return R::ZERO;
        };
        // A student without any class has no log-sum-exp to take away.
        let student = log_sum_exp(logits, gradient, &tempered).unwrap_or([R::ZERO; 2]);
        // One after the other: the sum of the two would have lost digits that a large logit still has.
        let log_share = |x: R, column: usize, [top, log]: [R; 2]| (tempered(x, column) - top) - log;
        let apart = (teacher[0] - student[0]) + (teacher[1] - student[1]);
        let parting = |y: R, x: R, column: usize| {
            let (log_p, log_q) = (log_share(y, column, teacher), log_share(x, column, student));
            // ln(p/q) by the difference of the logits, which keeps its digits where they are near each other: what `apart` is off by
            // is the same for all classes, and to a divergence of the second order.
            let is_open = (log_p != R::NEG_INFINITY) & (log_q != R::NEG_INFINITY);
            let d = R::select(is_open, (y - x) / temperature - apart, log_p - log_q);
            parting(log_p.exp(), log_q.exp(), d, self.beta)
        };
        let of_teacher = R::new(simd::sum_blocks(
            logits.len(),
            #[inline(always)]
            |range, values: &mut [R]| {
                let inputs = dense[range.clone()].iter().zip(&logits[range.clone()]);
                let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
                for ((column, (value, cell)), (&y, &x)) in range.zip(outputs).zip(inputs) {
                    let Parting { teacher, student, .. } = parting(y, x, column);
                    (*value, *cell) = (teacher, student);
                }
            },
        ));
        let of_student = R::new(simd::sum_blocks(
            logits.len(),
            #[inline(always)]
            |range, values: &mut [R]| values.copy_from_slice(&gradient[range]),
        ));
        let factor = if self.scaled { temperature * temperature } else { R::ONE };
        // Of 1 − β nothing is left at its end; at the other the slope is q − p as it stands.
        let share = R::new(if self.beta == 1.0 { 1.0 } else { 1.0 - self.beta });
        // Derivatives are differences of ln(q/m) from their mean under q, both taken from where q is the largest: where the student is certain
        // the others are too small to be seen beside it. Those of q − p have the mean 0, which takes out what `apart` is off by.
        let top = top_of(logits, &tempered);
        let at_top = parting(dense[top], logits[top], top);
        let pull_of = |part: &Parting<R>, column: usize| {
            if self.beta == 0.0 {
                return part.apart;
            }
            let ratio = part.ratio_beyond(&at_top, self.beta);
            R::select((part.q == R::ZERO) | (column == top), R::ZERO, part.q * ratio)
        };
        let mean = R::new(simd::sum_blocks(
            logits.len(),
            #[inline(always)]
            |range, values: &mut [R]| {
                let inputs = dense[range.clone()].iter().zip(&logits[range.clone()]);
                for ((column, value), (&y, &x)) in range.zip(values).zip(inputs) {
                    *value = pull_of(&parting(y, x, column), column);
                }
            },
        ));
        let pull = scale * factor * share / temperature;
        for ((column, cell), (&x, &y)) in gradient.iter_mut().enumerate().zip(logits.iter().zip(dense)) {
            let part = parting(y, x, column);
            let slope = pull_of(&part, column) - part.q * mean;
            *cell = R::select(keeps(column) & (x != R::NEG_INFINITY), pull * slope, R::ZERO);
        }
        // At the ends of β the mixture is one of the two, and the divergence that of the other.
        let weight = if self.beta == 0.0 || self.beta == 1.0 { 1.0 - self.beta } else { self.beta };
        factor * (R::new(weight) * of_teacher + R::new(1.0 - weight) * of_student)
    }
}

/// The largest of the values as `tempered` has them, and ln Σ e^(x − largest); `None` where all are −∞. What it works with is left in
/// `scratch`.
#[inline(always)]
fn log_sum_exp<R: Real>(values: &[R], scratch: &mut [R], tempered: &impl Fn(R, usize) -> R) -> Option<[R; 2]> {
    for (column, (cell, &x)) in scratch.iter_mut().zip(values).enumerate() {
        *cell = tempered(x, column);
    }
    let top = simd::maximum(scratch);
    if top == R::NEG_INFINITY {
        return None;
    }
    Some([top, simd::exp_in_place(scratch, top).ln()])
}

/// The column of the largest value.
#[inline(always)]
fn top_of<R: Real>(values: &[R], tempered: &impl Fn(R, usize) -> R) -> usize {
    let mut best = (0, R::NEG_INFINITY);
    for (column, &x) in values.iter().enumerate() {
        if tempered(x, column) > best.1 {
            best = (column, tempered(x, column));
        }
    }
    best.0
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
        let risen = R::select((self.e > half) & (other.e > half), self.w - other.w, self.e - other.e);
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
    let (a, b) = (R::select(is_below, of_teacher, of_student), R::select(is_below, of_student, of_teacher));
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
