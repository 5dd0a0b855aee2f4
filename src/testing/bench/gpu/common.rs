//! Commands that are ready to be timed, and what every measurement on a GPU needs.

use std::time::Instant;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::testing::bench::gpu::ceilings;
use crate::testing::bench::gpu::clock::Clock;
use crate::testing::bench::sampling::{Ceiling, Run};

/// Recorded commands, and the time when recording began.
pub(super) struct Made {
    pub(super) start: Instant,
    pub(super) commands: Vec<Command>,
    /// Repetitions of the work within the commands.
    pub(super) inner: usize,
    /// Buffers for the memory ceilings: source and destination.
    pub(super) pair: Option<[wgpu::Buffer; 2]>,
}

/// The same adapter without compiled pipelines.
pub(crate) fn fresh(gpu: &Gpu) -> Result<Gpu> {
    Gpu::open_with(gpu.options())
}

/// The FMA kernel as a ceiling, with its own clock: seconds of
/// [`crate::testing::bench::case::FMA_FLOPS`].
pub(crate) fn fma_beside(gpu: &Gpu) -> Result<(Ceiling, Run)> {
    let (commands, inner) = ceilings::fma(gpu)?;
    let (clock, gpu) = (Clock::choose(gpu, &commands)?, gpu.clone());
    Ok((
        Ceiling::Fma,
        Box::new(move |repeats| Ok(clock.time(&gpu, &commands, repeats)? / inner as f64)),
    ))
}

/// Start time of a first call: all uploads are complete.
pub(super) fn arrived(gpu: &Gpu) -> Result<Instant> {
    gpu.submit(&[])?;
    gpu.wait()?;
    Ok(Instant::now())
}

pub(super) fn fma(gpu: &Gpu) -> Result<Made> {
    let start = arrived(gpu)?;
    let (commands, inner) = ceilings::fma(gpu)?;
    Ok(Made { start, commands, inner, pair: None })
}
