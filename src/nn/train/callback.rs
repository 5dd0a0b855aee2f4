//! User callbacks of a training, which may end it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// A function of a number and a report that decides to continue or to end.
pub(crate) struct Callback<T>(Arc<Mutex<Call<T>>>);

type Call<T> = dyn FnMut(usize, &T) -> ControlFlow<()> + Send;

impl<T> Callback<T> {
    pub fn new(call: impl FnMut(usize, &T) -> ControlFlow<()> + Send + 'static) -> Self {
        Callback(Arc::new(Mutex::new(call)))
    }

    /// True if the callback requests the end.
    pub fn ends(&self, number: usize, report: &T) -> bool {
        // A panic in an earlier call is the caller's to handle.
        let mut call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call(number, report).is_break()
    }
}

impl<T> Clone for Callback<T> {
    fn clone(&self) -> Self {
        Callback(self.0.clone())
    }
}

impl<T> fmt::Debug for Callback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}
