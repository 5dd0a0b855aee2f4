//! Waiting for a GPU: never for ever, and with the name of what it was doing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::device::{Fault, Gpu, lock, one_line};
use crate::runtime::pipeline::Kernel;
use crate::{Error, Result};

/// How long one submission may take if nobody says otherwise: a software adapter takes some seconds for the largest of ours.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// So often a wait looks whether the device gets on.
const LOOK: Duration = Duration::from_secs(5);

/// Submissions that are remembered: more than are ever in flight.
const REMEMBERED: usize = 64;

/// Kernels of a submission that are named.
const NAMED: usize = 4;

/// The latest submissions, to name the one that does not end.
#[derive(Debug, Default)]
pub(crate) struct Submissions(Mutex<VecDeque<(wgpu::SubmissionIndex, Work)>>);

/// What a submission does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    kernels: Vec<Arc<Kernel>>,
    dispatches: usize,
}

impl Work {
    /// Takes in a dispatch.
    pub fn add(&mut self, kernel: &Arc<Kernel>) {
        self.dispatches += 1;
        if self.kernels.len() < NAMED
            && !self.kernels.iter().any(|known| Arc::ptr_eq(known, kernel))
        {
            self.kernels.push(kernel.clone());
        }
    }

    /// `huber (pointwise)`, `12 dispatches of huber (pointwise), matmul`.
    fn describe(&self) -> String {
        let names: Vec<&str> = self.kernels.iter().map(|kernel| kernel.label()).collect();
        match (self.dispatches, names.len()) {
            (0, _) => "a copy".into(),
            (1, _) => names.join(", "),
            (count, NAMED) => format!("{count} dispatches of {} and others", names.join(", ")),
            (count, _) => format!("{count} dispatches of {}", names.join(", ")),
        }
    }
}

impl Gpu {
    /// Remembers a submission.
    pub(crate) fn submitted(&self, index: &wgpu::SubmissionIndex, work: Work) {
        let mut submissions = lock(&self.0.submissions.0);
        if submissions.len() == REMEMBERED {
            submissions.pop_front();
        }
        submissions.push_back((index.clone(), work));
    }

    /// The oldest submission that has not ended, by its number among all, and what it does; of a copy also what it copies the result of.
    fn running(&self) -> Option<(String, String)> {
        let submissions = lock(&self.0.submissions.0);
        let has_ended = |index: &wgpu::SubmissionIndex| {
            let now = wgpu::PollType::Wait {
                submission_index: Some(index.clone()),
                timeout: Some(Duration::ZERO),
            };
            self.device().poll(now).is_ok()
        };
        let place = submissions.iter().position(|(index, _)| !has_ended(index))?;
        let (index, work) = &submissions[place];
        let before = submissions
            .iter()
            .take(place)
            .rev()
            .map(|(_, work)| work)
            .find(|work| work.dispatches > 0);
        let does = match before.filter(|_| work.dispatches == 0) {
            Some(before) => format!("copying the result of {}", before.describe()),
            None => work.describe(),
        };
        Some((format!("{index:?}"), does))
    }

    /// Waits for all submitted work.
    pub(crate) fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// Waits for a submission and what was before it; for everything if none is named. The time that [`crate::runtime::device::GpuOptions::timeout`] gives
    /// begins anew whenever a submission ends.
    pub(crate) fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let patience = self.0.options.timeout;
        let (mut begun, mut running) = (Instant::now(), None);
        loop {
            let timeout = patience.map(|patience| patience.min(LOOK));
            let submission_index = submission_index.clone();
            match self.device().poll(wgpu::PollType::Wait { submission_index, timeout }) {
                Ok(_) => return self.check("the work before this point", 0),
                Err(wgpu::PollError::Timeout) => {}
                Err(error) => {
                    self.check("waiting for the device", 0)?;
                    let reason = one_line(&error.to_string());
                    return Err(Error::DeviceLost { adapter: self.0.info.name.clone(), reason });
                }
            }
            // A device that was lost may never end anything.
            self.check("waiting for the device", 0)?;
            let Some((number, does)) = self.running() else { continue };
            match (patience, &running) {
                (_, Some(before)) if *before != number => begun = Instant::now(),
                (Some(patience), _) if begun.elapsed() >= patience => {
                    return Err(self.given_up(does, patience));
                }
                _ => {}
            }
            running = Some(number);
        }
    }

    /// The error of a device that does not end its work. It counts as lost from here on, and is never let go of: wgpu would wait for it
    /// without end.
    fn given_up(&self, running: String, patience: Duration) -> Error {
        let adapter = self.0.info.name.clone();
        let seconds = patience.as_secs_f64();
        let reason = format!("it did not end {running} within {seconds} s");
        let mut fault = lock(&self.0.fault);
        if !matches!(*fault, Some(Fault::Lost(_))) {
            *fault = Some(Fault::Lost(reason));
            std::mem::forget(self.0.clone());
        }
        Error::Timeout { adapter, running, seconds }
    }
}
