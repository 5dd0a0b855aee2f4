//! Value and gradient for arrays.

use crate::cpu::real::Real;
use crate::criterion::arrange::{self, Arrangement, empty, weights};
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
    /// f64 arrays are accepted; each number is rounded to f32, except on the reference device.
    /// Labels may be of any integer type ([`crate::TargetElement`]).
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
        if self.has_tensor_shapes {
            return run(self, inputs);
        }
        if let Some(inputs) = weights::weight_of_rows(self, inputs)? {
            return self.arranged(&inputs, run);
        }
        if positions::has_positions(&*self.loss, inputs) {
            arrange::check_options(self)?;
            return positions::evaluate(self, inputs, run);
        }
        let Some(arrangement) = Arrangement::of(self, inputs)? else {
            return match run(self, inputs) {
                Err(error) => self.without_rows(inputs, inputs, error, |shape| shape),
                found => found,
            };
        };
        let arranged = arrangement.inputs(inputs);
        match run(self, &arranged) {
            Err(error) => {
                let error = arrangement.error(error, inputs, &arranged);
                self.without_rows(inputs, &arranged, error, |shape| arrangement.given_shape(shape))
            }
            Ok(found) => arrangement.restored(found, self.reduction == Reduction::None),
        }
    }

    /// The value of nothing where a call was refused for a batch without rows; else the error.
    fn without_rows<R: Real>(
        &self,
        given: &Inputs,
        arranged: &Inputs,
        error: Error,
        value_shape: impl FnOnce(Vec<usize>) -> Vec<usize>,
    ) -> Result<Evaluation<R>> {
        if !matches!(error, Error::Empty { .. }) {
            return Err(error);
        }
        match empty::shape_without_values(&*self.loss, arranged) {
            Some(shape) => empty::nothing(self, given, &value_shape(shape)),
            None => Err(error),
        }
    }

    /// As [`Criterion::evaluate`], with the gradient in f64: the full precision of the reference
    /// device, for f64 inputs too.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Mse}};
    /// use ndarray::array;
    ///
    /// let criterion = Mse::new().on(&Device::reference())?;
    /// let (x, y) = (array![0.1_f64], array![0.3_f64]);
    /// let step = criterion.evaluate_f64(&Inputs::new(&x, &y))?;
    /// assert_eq!(step.gradient[[0]], 2.0 * (0.1 - 0.3)); // not that of 0.1 and 0.3 in f32
    /// # Ok::<(), gradus::Error>(())
    /// ```
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use crate::losses::{CrossEntropy, Loss, Mse, TripletMargin};
    use crate::{Device, Inputs, Reduction};

    /// 0.1 and other numbers that f32 does not hold.
    #[test]
    fn the_reference_computes_f64_inputs_as_they_are() {
        let (x, y, weight) = (array![0.1, 0.7], array![0.3, 0.2], array![0.1, 0.3]);
        let upstream = ndarray::arr0(0.7);
        let inputs = Inputs::new(&x, &y).weight(&weight).upstream(&upstream);
        let mean = Mse::new().on(&Device::reference()).unwrap().reduction(Reduction::WeightedMean);
        let step = mean.evaluate_f64(&inputs).unwrap();
        let value = (0.1 * 0.2_f64.powi(2) + 0.3 * 0.5_f64.powi(2)) / 0.4;
        // Some ten roundings of f64; those of the inputs to f32 alone would be 1e-8.
        assert!((step.value() - value).abs() < 1e-15);
        assert!((step.gradient[[1]] - 0.7 * 0.3 / 0.4 * 2.0 * 0.5).abs() < 1e-15);
        // Values are those of f64 with gradients in f32 too.
        assert_eq!(mean.evaluate(&inputs).unwrap().value(), step.value());
    }

    #[test]
    fn the_reference_computes_f64_inputs_of_rows_and_of_several_inputs_as_they_are() {
        let labels = array![0_i64, 1];
        let (logits, classes) = (array![[0.1, 0.3], [0.2, 0.7]], array![0.1, 0.3]);
        let inputs = Inputs::new(&logits, &labels).class_weight(&classes);
        let step = CrossEntropy::new().on(&Device::reference()).unwrap().evaluate_f64(&inputs);
        let value = (0.1 * 0.2_f64.exp().ln_1p() + 0.3 * (-0.5_f64).exp().ln_1p()) / 0.4;
        assert!((step.unwrap().value() - value).abs() < 1e-15);

        let (anchor, positive) = (array![[0.1], [0.2]], array![[0.4], [f64::NAN]]);
        let (negative, weight) = (array![[-0.1], [0.1]], array![0.3, 1.0]);
        let mask = array![true, false]; // the second row, whose NaN must not be read
        let inputs = Inputs::named("anchor", &anchor)
            .input("positive", &positive)
            .input("negative", &negative)
            .weight(&weight)
            .mask(&mask);
        let loss = TripletMargin::new().on(&Device::reference()).unwrap();
        let step = loss.reduction(Reduction::Sum).evaluate_f64(&inputs).unwrap();
        // 1 + |a - p| - |a - n| = 1 + 0.3 - 0.2, but for the small number that PyTorch adds.
        assert!((step.value() - 0.3 * 1.1).abs() < 1e-6);
        let moved = array![[0.1 + 1e-10], [0.2]];
        let inputs = inputs.input("anchor", &moved);
        let other = loss_of(&inputs);
        // One distance grows by the step and the other one shrinks.
        assert!((other - step.value() + 0.3 * 2e-10).abs() < 1e-14);
        assert_eq!(step.gradient[[1, 0]], 0.0);
    }

    fn loss_of(inputs: &Inputs) -> f64 {
        let loss = TripletMargin::new().on(&Device::reference()).unwrap();
        loss.reduction(Reduction::Sum).evaluate_f64(inputs).unwrap().value()
    }
}
