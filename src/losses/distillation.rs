//! Distillation of a teacher's logits.

use super::prelude::*;
use crate::host::rowwise::{Auxiliary, Row, Target};
use crate::host::simd;

options! {
    /// Distillation: the student's logits x are to give the distribution that the teacher's logits y give, both softened.
    ///
    /// T² KL(p‖q) = T² Σ p_c (ln p_c − ln q_c) with p = softmax(y/T), q = softmax(x/T), T the `temperature`; derivative T (q_c − p_c). T² keeps the
    /// size of the gradient when T changes; `scaled` false leaves it out. Predictions and targets are logits [rows, classes]. `mean`
    /// divides by the number of rows. A class masked for both (input `class_mask`, or a teacher's logit of −∞) costs nothing; a student's −∞
    /// where the teacher's is finite makes the loss ∞.
    ///
    /// Source: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network, 2015.
    ///
    /// ```
    /// use gradus::{Device, losses::{Distillation, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Distillation::new().temperature(1.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![[0.0, f32::NEG_INFINITY]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Distillation of "distillation" {
        /// What both logits are divided by: the softer, the more is seen of the classes that are not the best.
        temperature: f64 = 2.0, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
        /// Whether the loss is multiplied by the temperature's square.
        scaled: bool = true, "true or false" if |_| true;
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
    variants: &[r#"{"temperature": 1.0}"#, r#"{"temperature": 4.0, "scaled": false}"#],
    shader: crate::wgsl::shader!("losses/distillation.wgsl"),
    make: make::<Distillation>,
};

impl Filling for Distillation {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const TARGETS: Domain = Domain::Logits;
    const INPUTS: &'static [Input] = &[CLASS_MASK];

    fn check_options(&self) -> Result<()> {
        self.check_domains()
    }

    fn family(&self) -> Family<'_> {
        Family::Rowwise(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TEMPERATURE", self.temperature), ("SCALED", f64::from(u8::from(self.scaled)))]
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
}
