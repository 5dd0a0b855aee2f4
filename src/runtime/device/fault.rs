//! The first error of a device.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The first fault since the last check.
#[derive(Debug)]
pub(super) enum Fault {
    Lost(String),
    OutOfMemory,
    Refused(String),
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins wgpu's multi-line messages into one line.
pub(super) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
