//! Plans whose kernels are compiled at once, when all of them are known.

use std::sync::Arc;

use crate::runtime::device::Gpu;
use crate::runtime::device::fault::lock;
use crate::runtime::kernel::Kernel;

/// While it lives, kernels that this thread asks for are not compiled.
pub(crate) struct Deferral<'a> {
    gpu: &'a Gpu,
}

impl Deferral<'_> {
    /// The kernels that were asked for and are not compiled, each once.
    pub fn end(self) -> Vec<Arc<Kernel>> {
        // Dropping `self` finds no list then.
        self.gpu.0.deferred.end()
    }
}

impl Drop for Deferral<'_> {
    fn drop(&mut self) {
        self.gpu.0.deferred.end();
    }
}

impl Gpu {
    /// Begins to defer the compilation of the kernels that this thread asks for; `None` if it does
    /// already.
    pub(crate) fn begin_deferral(&self) -> Option<Deferral<'_>> {
        self.0.deferred.begin().then_some(Deferral { gpu: self })
    }

    /// Leaves a kernel to the end of the plan that this thread is making; false if it makes none.
    pub(crate) fn defer(&self, kernel: &Arc<Kernel>) -> bool {
        self.0.deferred.add(kernel)
    }

    /// Removes a kernel that was rejected from those that are known.
    pub(crate) fn forget(&self, kernel: &Arc<Kernel>) {
        lock(&self.0.kernels).retain(|_, known| !Arc::ptr_eq(known, kernel));
    }

    /// The labels of all kernels that were compiled, in alphabetical order. For tests of how many a
    /// training takes.
    #[doc(hidden)]
    pub fn kernel_labels(&self) -> Vec<String> {
        let mut labels: Vec<String> =
            lock(&self.0.kernels).values().map(|kernel| kernel.label().to_string()).collect();
        labels.sort_unstable();
        labels
    }
}
