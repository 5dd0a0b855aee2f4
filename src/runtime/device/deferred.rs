//! Kernels whose compilation waits for the end of a plan.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use crate::runtime::device::fault::lock;
use crate::runtime::kernel::Kernel;

/// By the thread that plans: the kernels that it asked for, in that order, each once.
#[derive(Debug, Default)]
pub(super) struct Deferred(Mutex<HashMap<ThreadId, Vec<Arc<Kernel>>>>);

impl Deferred {
    /// Begins a list of this thread; false if it has one.
    pub fn begin(&self) -> bool {
        let mut all = lock(&self.0);
        let thread = thread::current().id();
        let is_new = !all.contains_key(&thread);
        all.entry(thread).or_default();
        is_new
    }

    /// Adds a kernel to the list of this thread; false if it has none.
    pub fn add(&self, kernel: &Arc<Kernel>) -> bool {
        let mut all = lock(&self.0);
        let Some(waiting) = all.get_mut(&thread::current().id()) else { return false };
        if !waiting.iter().any(|known| Arc::ptr_eq(known, kernel)) {
            waiting.push(kernel.clone());
        }
        true
    }

    /// Ends the list of this thread, and returns it.
    pub fn end(&self) -> Vec<Arc<Kernel>> {
        lock(&self.0).remove(&thread::current().id()).unwrap_or_default()
    }
}
