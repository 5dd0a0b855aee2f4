//! The threads that gradus computes with: rayon's own, or a pool of a given size. The threads of a
//! process do not live on in its forked children, which take a pool of their own.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool; null for rayon's own. It is never freed: another thread may be in it.
static POOL: AtomicPtr<ThreadPool> = AtomicPtr::new(std::ptr::null_mut());

/// The size that was asked for; 0 for as many as there are cores.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn start(threads: usize) -> PyResult<()> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("threads: {error}")))?;
    POOL.store(Box::into_raw(Box::new(pool)), Ordering::Release);
    Ok(())
}

/// An exception that ends a training, kept until it returns.
#[derive(Default)]
pub struct Failure(Mutex<Option<PyErr>>);

impl Failure {
    /// Keeps the first exception.
    pub fn keep(&self, error: PyErr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// True if there is one.
    pub fn is_there(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// As [`detached`], for a training that ends when there is a failure. Python runs its handlers of
/// signals on the main thread alone, so that one waits here while the pool trains, and hears Ctrl-C.
pub fn training<T: Send>(
    py: Python<'_>,
    failure: &Failure,
    run: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    // SAFETY: a pool is never freed.
    let pool = unsafe { POOL.load(Ordering::Acquire).as_ref() };
    let Some(pool) = pool else { return Ok(py.detach(run)) };
    let found = py.detach(|| {
        let (sender, receiver) = channel();
        pool.in_place_scope(|scope| {
            scope.spawn(move |_| drop(sender.send(run())));
            loop {
                match receiver.recv_timeout(Duration::from_millis(50)) {
                    Ok(found) => return Some(found),
                    // It panicked, and the scope panics in turn.
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(error) = Python::attach(|py| py.check_signals()) {
                            failure.keep(error);
                        }
                    }
                }
            }
        })
    });
    found.ok_or_else(|| PyRuntimeError::new_err("threads: the training ended without an answer"))
}

/// Runs without the GIL, on the pool if there is one.
pub fn detached<T: Send>(py: Python<'_>, run: impl FnOnce() -> T + Send) -> T {
    // SAFETY: a pool is never freed.
    let pool = unsafe { POOL.load(Ordering::Acquire).as_ref() };
    py.detach(|| match pool {
        Some(pool) => pool.install(run),
        None => run(),
    })
}

/// Sets the number of threads that the device "cpu" computes with in this process, 0 for as many as
/// there are cores. Results do not depend on it.
///
/// Raises:
///     ValueError: for more than 1024.
#[pyfunction]
pub fn set_num_threads(threads: usize) -> PyResult<()> {
    if threads > 1024 {
        return Err(PyValueError::new_err(format!("threads: {threads}; it must be 0 to 1024")));
    }
    ASKED.store(threads, Ordering::Relaxed);
    start(threads)
}

/// The number of threads that the device "cpu" computes with.
#[pyfunction]
pub fn get_num_threads(py: Python<'_>) -> usize {
    detached(py, rayon::current_num_threads)
}

/// In a forked child: threads of its own in place of those that stayed behind.
#[pyfunction]
pub fn _after_fork() -> PyResult<()> {
    start(ASKED.load(Ordering::Relaxed))
}
