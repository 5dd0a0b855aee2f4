//! A function of the gradient between backward pass and update.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Result;
use crate::cpu::real::Real;

/// What happens to the gradient between backward pass and update: [`Fit::reduce`]. With
/// [`Fit::shard`] it must replace numbers by their sums over all processes.
///
/// A function `FnMut(&mut [f32]) -> Result<()>` is one. Numbers of f64 are rounded for it: the
/// gradients of [`Device::reference`] and, with [`Fit::shard`], the losses of an epoch. Implement
/// the trait for all their digits.
///
/// Every process calls it equally often and with as many numbers. For the same bits on all of them,
/// and in each run, the sum over the processes must be taken in one order: that of the ranks.
///
/// [`Fit::reduce`]: crate::Fit::reduce
/// [`Fit::shard`]: crate::Fit::shard
/// [`Device::reference`]: crate::Device::reference
pub trait Reduce: Send {
    /// Replaces the numbers.
    ///
    /// # Errors
    /// End the training ([`Error::Exchange`](crate::Error::Exchange)).
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()>;

    /// As [`Reduce::reduce`], in f64; unless implemented, the numbers are rounded to f32 for it.
    ///
    /// # Errors
    /// As [`Reduce::reduce`].
    fn reduce_f64(&mut self, numbers: &mut [f64]) -> Result<()> {
        let mut rounded: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
        self.reduce(&mut rounded)?;
        numbers.iter_mut().zip(rounded).for_each(|(to, from)| *to = from.into());
        Ok(())
    }
}

impl<F: FnMut(&mut [f32]) -> Result<()> + Send> Reduce for F {
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        self(numbers)
    }
}

/// Reduces numbers in their own precision.
pub(crate) fn reduce_reals<R: Real>(reduce: &mut dyn Reduce, numbers: &mut [R]) -> Result<()> {
    if let Some(single) = R::as_single_mut(numbers) {
        return reduce.reduce(single);
    }
    R::as_double_mut(numbers).map_or(Ok(()), |double| reduce.reduce_f64(double))
}

/// Notes whether numbers were exchanged: after an error the other processes wait for those that
/// were not.
pub(crate) struct Noted<'r> {
    pub reduce: &'r mut dyn Reduce,
    /// `None` before the first call, then whether the last one went well.
    pub is_done: Option<bool>,
}

impl Reduce for Noted<'_> {
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        let done = self.reduce.reduce(numbers);
        self.is_done = Some(done.is_ok());
        done
    }

    fn reduce_f64(&mut self, numbers: &mut [f64]) -> Result<()> {
        let done = self.reduce.reduce_f64(numbers);
        self.is_done = Some(done.is_ok());
        done
    }
}

/// A shared [`Reduce`].
pub(crate) struct Reducer(Arc<Mutex<dyn Reduce>>);

impl Reducer {
    pub fn new(reduce: impl Reduce + 'static) -> Self {
        Reducer(Arc::new(Mutex::new(reduce)))
    }

    pub fn lock(&self) -> MutexGuard<'_, dyn Reduce + 'static> {
        // A panic in an earlier call is the caller's to handle.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Reducer {
    fn clone(&self) -> Self {
        Reducer(self.0.clone())
    }
}

impl fmt::Debug for Reducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}
