//! Calls that write the gradient into a caller's array, which can be reused between calls.
//!
//! A fresh gradient costs more than most losses, because the system maps its pages one by one,
//! zeroed. On two cores of an AMD EPYC the squared error of 2²⁴ numbers takes 6 ms into an existing
//! array, and four times as long with a new one.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, ArrayViewMutD, DataMut, Dimension, Zip};

use crate::Result;
use crate::criterion::arrange::Arrangement;
use crate::criterion::call::Call;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::{Auxiliaries, Evaluation};
use crate::criterion::inputs::{Inputs, Targets, input_error, shape_error};
use crate::runtime::device::Device;
use crate::templates::definition::Template;

/// The results of a loss other than its gradient, which was written to a caller's array.
#[derive(Clone, Debug)]
pub struct Values {
    /// Shape [] if reduced; one value per element or row with [`crate::Reduction::None`].
    pub values: ArrayD<f64>,
    /// Number of included elements or rows: 0 if all were masked or ignored.
    pub count: usize,
    /// The auxiliary outputs, if requested with [`Inputs::auxiliary`].
    pub auxiliaries: Option<Auxiliaries>,
}

impl Values {
    /// The reduced value, or the sum of unreduced values.
    pub fn value(&self) -> f64 {
        self.values.sum()
    }
}

impl Criterion {
    /// As [`Criterion::value_and_gradient`], with the gradient written to an existing array of the
    /// predictions' shape.
    ///
    /// `gradient` is overwritten completely with the same bits as the allocating call returns. If
    /// the inputs are rejected it is left unchanged. On the CPU a row-major array needs no
    /// allocation of its size; any other axis order, and the other devices, cost a copy.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Mse}};
    /// use ndarray::{Array1, array};
    ///
    /// let criterion = Mse::new().on(&Device::cpu())?;
    /// let mut gradient = Array1::zeros(2);
    /// for _ in 0..3 {
    ///     let step = criterion.value_and_gradient_into(&array![1.0, 2.0], &array![0.0, 4.0], &mut gradient)?;
    ///     assert_eq!(step.value(), 2.5);
    ///     assert_eq!(gradient, array![1.0, -2.0]);
    /// }
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the shape of `gradient` differs from the predictions'; otherwise
    /// as [`Criterion::value_and_gradient`].
    pub fn value_and_gradient_into<'a, T, E>(
        &self,
        predictions: impl Into<Targets<'a>>,
        targets: impl Into<Targets<'a>>,
        gradient: &mut ArrayBase<T, E>,
    ) -> Result<Values>
    where
        T: DataMut<Elem = f32>,
        E: Dimension,
    {
        self.evaluate_into(&Inputs::new(predictions, targets), gradient)
    }

    /// As [`Criterion::evaluate`], with the gradient written to an existing array of the
    /// predictions' shape, as in [`Criterion::value_and_gradient_into`].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the shape of `gradient` differs from the predictions'; otherwise
    /// as [`Criterion::value_and_gradient`].
    pub fn evaluate_into<T, E>(
        &self,
        inputs: &Inputs,
        gradient: &mut ArrayBase<T, E>,
    ) -> Result<Values>
    where
        T: DataMut<Elem = f32>,
        E: Dimension,
    {
        inputs.narrowed(self.loss(), |inputs| self.write(inputs, gradient.view_mut().into_dyn()))
    }

    fn write(&self, inputs: &Inputs, mut gradient: ArrayViewMutD<'_, f32>) -> Result<Values> {
        if let Template::Several(..) = self.loss().template() {
            let allowed = "it has several gradients: `evaluate` gives them all";
            return Err(input_error(self.loss(), "gradient", "is one array", allowed));
        }
        if inputs.hessian {
            let allowed = "`evaluate` gives it, in an array of its own";
            return Err(input_error(
                self.loss(),
                "the diagonal of the Hessian",
                "was asked for",
                allowed,
            ));
        }
        if inputs.target_gradient {
            let allowed = "`evaluate` gives it, in an array of its own";
            let name = "the gradient of targets";
            return Err(input_error(self.loss(), name, "was asked for", allowed));
        }
        let shape = inputs.numbers(self.loss(), "predictions")?.shape();
        if gradient.shape() != shape {
            let found = format!("gradient is {:?} but predictions are {shape:?}", gradient.shape());
            return Err(shape_error(
                self.loss().entry().name,
                found,
                &format!("gradient must be {shape:?} too"),
            ));
        }
        let is_direct = !shape.contains(&0) && Arrangement::of(self, inputs)?.is_none();
        if let (Device::Cpu, true, Some(flat)) = (self.device(), is_direct, gradient.as_slice_mut())
        {
            return Call::check(self, inputs)?.on_host_into(flat);
        }
        let Evaluation { values, gradient: found, count, auxiliaries, .. } =
            self.evaluate(inputs)?;
        copy(found.view(), gradient);
        Ok(Values { values, count, auxiliaries })
    }
}

/// Copies elements between two arrays of one shape, each in its own order.
fn copy(from: ArrayViewD<'_, f32>, to: ArrayViewMutD<'_, f32>) {
    Zip::from(to).and(from).for_each(|to, &from| *to = from);
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array2, Array3, ArrayViewMut2, ShapeBuilder, array};

    use super::*;
    use crate::losses::{CrossEntropy, Domain, Huber, Loss, Mse};
    use crate::{Error, Reduction, Targets};

    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        let number = |(i, j): (usize, usize)| {
            ((i * 7919 + j * 104_729 + seed * 31) % 2003) as f32 / 500.0 - 2.0
        };
        Array2::from_shape_fn((rows, columns), number)
    }

    /// Maps a number between -2.01 and 2.01 into the given domain.
    fn within(domain: Domain, x: f32) -> f32 {
        match domain {
            Domain::Real | Domain::Exponent | Domain::Logits | Domain::LogDistribution => x,
            Domain::Sign => x.signum(),
            Domain::ZeroOne => f32::from(u8::from(x > 0.0)),
            // About every fourth item is padding.
            Domain::Relevance | Domain::Grade => (x + 1.0).round(),
            Domain::ClassList => x.trunc().max(-1.0),
            Domain::Positive => x.abs() + 0.5,
            _ => x.abs() / 3.0,
        }
    }

    fn bits(values: ArrayViewD<'_, f32>) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn the_bits_are_those_of_the_allocating_call_for_every_loss_and_device() {
        for device in [Device::Cpu, Device::Reference] {
            for entry in crate::losses::CATALOGUE {
                let loss = crate::losses::from_name(entry.name, &serde_json::Value::Null).unwrap();
                if !loss.arguments().is_empty() {
                    continue; // a loss with several inputs has several gradients
                }
                // More than one thread's piece of work.
                let predictions = numbers(300, 70, 1).mapv(|x| within(loss.predictions(), x));
                let targets = numbers(300, 70, 2).mapv(|x| within(loss.targets(), x));
                let criterion = Criterion::from_boxed(loss, &device).unwrap();
                let labels = Array::from_shape_fn(300, |row| (row as i64 * 31) % 70);
                let takes_dense = criterion.loss().targets().takes_dense();
                let targets =
                    || if takes_dense { Targets::from(&targets) } else { Targets::from(&labels) };
                let fresh = criterion.value_and_gradient(&predictions, targets()).unwrap();
                let mut gradient = Array2::from_elem((300, 70), f32::NAN);
                let reused = criterion
                    .value_and_gradient_into(&predictions, targets(), &mut gradient)
                    .unwrap();
                assert_eq!(reused.value().to_bits(), fresh.value().to_bits(), "{}", entry.name);
                assert_eq!(reused.count, fresh.count);
                assert_eq!(
                    bits(gradient.view().into_dyn()),
                    bits(fresh.gradient.view()),
                    "{}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn an_array_of_any_order_is_filled() {
        let (predictions, targets) = (numbers(5, 7, 1), numbers(5, 7, 2));
        let criterion = Huber::new().on(&Device::Cpu).unwrap();
        let fresh = criterion.value_and_gradient(&predictions, &targets).unwrap().gradient;
        let mut columns_first = Array::zeros((5, 7).f());
        criterion.value_and_gradient_into(&predictions, &targets, &mut columns_first).unwrap();
        assert_eq!(columns_first.into_dyn(), fresh);
        // Every second column of a wider array; the other columns stay unchanged.
        let mut wide = Array3::<f32>::from_elem((5, 7, 2), 9.0);
        let mut part: ArrayViewMut2<f32> = wide.index_axis_mut(ndarray::Axis(2), 0);
        criterion.value_and_gradient_into(&predictions, &targets, &mut part).unwrap();
        assert_eq!(wide.index_axis(ndarray::Axis(2), 0).into_dyn(), fresh);
        assert!(wide.index_axis(ndarray::Axis(2), 1).iter().all(|&x| x == 9.0));
    }

    #[test]
    fn a_gradient_of_another_shape_is_refused_by_name_and_stays() {
        let criterion = Mse::new().on(&Device::Cpu).unwrap();
        let mut gradient = array![7.0_f32, 7.0, 7.0];
        let error = criterion
            .value_and_gradient_into(&array![1.0, 2.0], &array![0.0, 0.0], &mut gradient)
            .unwrap_err();
        let text = "mse: gradient is [3] but predictions are [2]; gradient must be [2] too";
        assert!(matches!(error, Error::Shape { .. }) && error.to_string() == text, "{error}");
        // An equal number of elements is not enough.
        let mut row = array![[7.0_f32, 7.0]];
        assert!(
            criterion
                .value_and_gradient_into(&array![1.0, 2.0], &array![0.0, 0.0], &mut row)
                .is_err()
        );
        let mut gradient = array![[7.0_f32, 7.0]];
        let criterion = CrossEntropy::new().on(&Device::Cpu).unwrap();
        assert!(
            criterion
                .value_and_gradient_into(&array![[1.0, 2.0]], &array![5_i64], &mut gradient)
                .is_err()
        );
        assert_eq!((row, gradient), (array![[7.0, 7.0]], array![[7.0, 7.0]]));
    }

    #[test]
    fn a_reused_gradient_comes_with_the_values_of_rows_and_auxiliaries() {
        let criterion = CrossEntropy::new().on(&Device::Cpu).unwrap().reduction(Reduction::None);
        let (logits, labels) = (numbers(4, 6, 1), array![0_i64, 5, -100, 2]);
        let inputs = Inputs::new(&logits, &labels).auxiliary();
        let fresh = criterion.evaluate(&inputs).unwrap();
        let mut gradient = Array2::zeros((4, 6));
        let reused = criterion.evaluate_into(&inputs, &mut gradient).unwrap();
        assert_eq!((reused.values, reused.count), (fresh.values, 3));
        assert_eq!(gradient.into_dyn(), fresh.gradient);
        assert_eq!(reused.auxiliaries.unwrap().lse, fresh.auxiliaries.unwrap().lse);
    }
}
