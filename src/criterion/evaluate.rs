//! Value and gradient for arrays.

use crate::cpu::real::Real;
use crate::criterion::arrange::{self, Arrangement};
use crate::criterion::call::Call;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::{Inputs, Targets};
use crate::criterion::multi_input::MultiInputCall;
use crate::criterion::positions;
use crate::runtime::device::Device;
use crate::templates::definition::Template;
use crate::templates::precision::CpuReal;
use crate::{Criterion, Error, Reduction, Result};

impl Criterion {
    /// Value and gradient of predictions against targets: `jax.value_and_grad`.
    ///
    /// f64 arrays are accepted; each number is rounded to f32. Labels may be of any integer type
    /// ([`crate::TargetElement`]).
    ///
    /// ```
    /// use gradus::{Device, losses::{CrossEntropy, Loss, Mse}};
    /// use ndarray::array;
    ///
    /// let logits = array![[0.0_f64, 0.0], [0.0, 0.0]];
    /// let step = CrossEntropy::new().on(&Device::cpu())?.value_and_gradient(&logits, &array![0_usize, 1])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-6);
    /// let error = Mse::new().on(&Device::cpu())?.value_and_gradient(&array![0.5], &array![1e300]).unwrap_err();
    /// assert!(error.to_string().starts_with("mse: targets holds 1e300 at element 0; it must be a number within f32"));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Mismatched shapes, invalid labels, targets of the wrong kind, numbers beyond f32, device
    /// errors.
    pub fn value_and_gradient<'a>(
        &self,
        predictions: impl Into<Targets<'a>>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Evaluation> {
        self.evaluate(&Inputs::new(predictions, targets))
    }

    /// Value and gradient with weights, masks and every other input of the loss.
    ///
    /// # Errors
    /// As [`Criterion::value_and_gradient`].
    pub fn evaluate(&self, inputs: &Inputs) -> Result<Evaluation> {
        inputs.narrowed(&*self.loss, |inputs| self.evaluate_narrow(inputs))
    }

    /// As [`Criterion::evaluate`], for inputs without f64.
    pub(super) fn evaluate_narrow(&self, inputs: &Inputs) -> Result<Evaluation> {
        match &self.device {
            Device::Gpu(gpu) => {
                self.arranged(inputs, |criterion, inputs| match criterion.loss.template() {
                    Template::Several(kernel, cpu) => {
                        MultiInputCall::check(criterion, kernel, cpu, inputs)?.on_gpu(gpu)
                    }
                    _ => Call::check(criterion, inputs)?.on_gpu(gpu),
                })
            }
            Device::Cpu => self.on_host::<f32>(inputs),
            Device::Reference => Ok(self.on_host::<f64>(inputs)?.map(|g| g as f32)),
        }
    }

    /// Calls `run` with the inputs in the shapes of the templates.
    fn arranged<R: Real>(
        &self,
        inputs: &Inputs,
        run: impl Fn(&Criterion, &Inputs) -> Result<Evaluation<R>>,
    ) -> Result<Evaluation<R>> {
        if positions::has_positions(&*self.loss, inputs) {
            return positions::evaluate(self, inputs, run);
        }
        let Some(arrangement) = Arrangement::of(self, inputs)? else {
            return self.or_nothing(inputs, inputs, run(self, inputs));
        };
        let arranged = arrangement.inputs(inputs);
        let found = self.or_nothing(inputs, &arranged, run(self, &arranged))?;
        arrangement.restored(found, self.reduction == Reduction::None)
    }

    /// The result of a call; of one that was refused for a batch without rows, the value of nothing.
    fn or_nothing<R: Real>(
        &self,
        given: &Inputs,
        arranged: &Inputs,
        found: Result<Evaluation<R>>,
    ) -> Result<Evaluation<R>> {
        match found {
            Err(Error::Empty { operation, name }) => {
                match arrange::shape_without_values(&*self.loss, arranged) {
                    Some(shape) => arrange::nothing(self, given, &shape),
                    None => Err(Error::Empty { operation, name }),
                }
            }
            found => found,
        }
    }

    /// As [`Criterion::evaluate`], with the gradient in f64: the full precision of the reference
    /// device.
    ///
    /// # Errors
    /// As [`Criterion::evaluate`].
    pub fn evaluate_f64(&self, inputs: &Inputs) -> Result<Evaluation<f64>> {
        if matches!(self.device, Device::Reference) {
            return inputs.narrowed(&*self.loss, |inputs| self.on_host::<f64>(inputs));
        }
        Ok(self.evaluate(inputs)?.map(f64::from))
    }

    pub(super) fn on_host<R: CpuReal>(&self, inputs: &Inputs) -> Result<Evaluation<R>> {
        self.arranged(inputs, |criterion, inputs| match criterion.loss.template() {
            Template::Several(kernel, cpu) => {
                MultiInputCall::check(criterion, kernel, cpu, inputs)?.on_host()
            }
            _ => Call::check(criterion, inputs)?.on_host(),
        })
    }
}
