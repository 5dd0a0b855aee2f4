//! Waiting for a GPU, with a timeout and the name of the running work.

use std::time::{Duration, Instant};

use crate::runtime::device::Gpu;
use crate::runtime::device::fault::{Fault, lock, one_line};
use crate::runtime::device::submissions::{REMEMBERED, Work};
use crate::{Error, Result};

/// Interval between progress checks of a wait.
const LOOK: Duration = Duration::from_secs(5);

impl Gpu {
    /// Records a submission.
    pub(crate) fn submitted(&self, index: &wgpu::SubmissionIndex, work: Work) {
        let mut submissions = lock(&self.0.submissions.0);
        if submissions.len() == REMEMBERED {
            submissions.pop_front();
        }
        submissions.push_back((index.clone(), work));
    }

    /// The oldest unfinished submission: its index among all, and its work; for a copy also the
    /// work whose result is copied.
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

    /// Waits for a submission and all before it; for everything if `None`. The time limit
    /// [`crate::runtime::device::GpuOptions::timeout`] restarts whenever a submission completes.
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
            // A lost device may never complete anything.
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

    /// The error for a device that hangs. The device is marked lost and leaked: wgpu would wait
    /// forever on drop.
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
