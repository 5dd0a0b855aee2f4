//! The latest submissions to a device, and the kernels in each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::runtime::kernel::Kernel;

/// Default time limit of a submission: the largest take some seconds on a software adapter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Number of recorded submissions: more than are ever in flight.
pub(super) const REMEMBERED: usize = 64;

/// Number of kernels named per submission.
pub(super) const NAMED: usize = 4;

/// The latest submissions, to name one that hangs.
#[derive(Debug, Default)]
pub(crate) struct Submissions(pub(super) Mutex<VecDeque<(wgpu::SubmissionIndex, Work)>>);

/// Contents of a submission.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(super) kernels: Vec<Arc<Kernel>>,
    pub(super) dispatches: usize,
}

impl Work {
    /// Records a dispatch.
    pub fn add(&mut self, kernel: &Arc<Kernel>) {
        self.dispatches += 1;
        if self.kernels.len() < NAMED
            && !self.kernels.iter().any(|known| Arc::ptr_eq(known, kernel))
        {
            self.kernels.push(kernel.clone());
        }
    }

    /// `huber (pointwise)`, `12 dispatches of huber (pointwise), matmul`.
    pub(super) fn describe(&self) -> String {
        let names: Vec<&str> = self.kernels.iter().map(|kernel| kernel.label()).collect();
        match (self.dispatches, names.len()) {
            (0, _) => "a copy".into(),
            (1, _) => names.join(", "),
            (count, NAMED) => format!("{count} dispatches of {} and others", names.join(", ")),
            (count, _) => format!("{count} dispatches of {}", names.join(", ")),
        }
    }
}
