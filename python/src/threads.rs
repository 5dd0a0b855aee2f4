//! The threads that gradus computes with: rayon's own, or a pool of a given size. The threads of a
//! process do not live on in its forked children, which take pools of their own.

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

/// The most threads of a pool.
const MOST: usize = 1024;

/// The pools of devices with a number of threads of their own, by that number; null until one is
/// used. Never freed.
static OWN: [AtomicPtr<ThreadPool>; MOST + 1] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST + 1];

fn build(threads: usize) -> PyResult<*mut ThreadPool> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("threads: {error}")))?;
    Ok(Box::into_raw(Box::new(pool)))
}

fn start(threads: usize) -> PyResult<()> {
    POOL.store(build(threads)?, Ordering::Release);
    Ok(())
}

fn check(threads: usize, least: usize) -> PyResult<()> {
    if !(least..=MOST).contains(&threads) {
        let message = format!("threads: {threads}; it must be {least} to {MOST}");
        return Err(PyValueError::new_err(message));
    }
    Ok(())
}

/// The threads of a device: a number of its own, or those of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Threads(usize);

impl Threads {
    /// A number of its own, 1 to 1024.
    pub fn own(threads: usize) -> PyResult<Self> {
        check(threads, 1)?;
        Threads(threads).make()?;
        Ok(Threads(threads))
    }

    /// The number, if it is its own.
    pub fn number(self) -> Option<usize> {
        (self.0 > 0).then_some(self.0)
    }

    /// The pool of a number of its own, made if it is not there.
    fn make(self) -> PyResult<*mut ThreadPool> {
        let (place, order) = (&OWN[self.0], Ordering::AcqRel);
        let found = place.load(Ordering::Acquire);
        if !found.is_null() {
            return Ok(found);
        }
        let made = build(self.0)?;
        match place.compare_exchange(std::ptr::null_mut(), made, order, Ordering::Acquire) {
            Ok(_) => Ok(made),
            Err(first) => {
                // SAFETY: nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                Ok(first)
            }
        }
    }

    /// Its pool; none for rayon's own.
    fn pool(self) -> Option<&'static ThreadPool> {
        let found = match self.0 {
            0 => POOL.load(Ordering::Acquire),
            _ => self.make().unwrap_or_else(|_| POOL.load(Ordering::Acquire)),
        };
        // SAFETY: a pool is never freed once others may have seen it.
        unsafe { found.as_ref() }
    }

    /// Runs without the GIL, on the pool if there is one.
    pub fn detached<T: Send>(self, py: Python<'_>, run: impl FnOnce() -> T + Send) -> T {
        let pool = self.pool();
        py.detach(|| match pool {
            Some(pool) => pool.install(run),
            None => run(),
        })
    }

    /// As [`Threads::detached`], for a training that ends when there is a failure. Python runs its
    /// handlers of signals on the main thread alone, so that one waits here while the pool trains, and
    /// hears Ctrl-C.
    pub fn training<T: Send>(
        self,
        py: Python<'_>,
        failure: &Failure,
        run: impl FnOnce() -> T + Send,
    ) -> PyResult<T> {
        let Some(pool) = self.pool() else { return Ok(py.detach(run)) };
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
        found
            .ok_or_else(|| PyRuntimeError::new_err("threads: the training ended without an answer"))
    }
}

/// Runs without the GIL, on the threads of the process.
pub fn detached<T: Send>(py: Python<'_>, run: impl FnOnce() -> T + Send) -> T {
    Threads::default().detached(py, run)
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

/// Sets the number of threads that the device "cpu" computes with in this process, 0 for as many as
/// there are cores; `Device("cpu", threads=2)` has its own. Results do not depend on it.
///
/// Raises:
///     ValueError: for more than 1024.
#[pyfunction]
pub fn set_num_threads(threads: usize) -> PyResult<()> {
    check(threads, 0)?;
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
    for pool in &OWN {
        pool.store(std::ptr::null_mut(), Ordering::Release);
    }
    start(ASKED.load(Ordering::Relaxed))
}
