//! Timing of submitted work: by the device's clock if it is credible, else by the host's.

use std::time::Instant;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;

/// Clock for submitted work.
pub(crate) enum Clock {
    /// The device's timestamps at the beginning and the end of the pass.
    Timestamps(Stamps),
    /// The host's clock, around a submission and a wait for it.
    Wall,
}

/// Buffers for a device's timestamps.
pub(crate) struct Stamps {
    set: wgpu::QuerySet,
    landing: wgpu::Buffer,
}

/// Duration of the work used to compare both clocks, long enough to make the wait negligible.
const TRIAL_SECONDS: f64 = 4e-3;

/// Minimum fraction of the host's time that the device's must cover to be credible.
const CREDIBLE: f64 = 0.5;

impl Clock {
    /// Selects the clock for these commands by running them. Some drivers stamp at submission
    /// instead of completion, or count in a unit other than reported: the device's time must be
    /// within the host's, and cover most of it.
    pub fn choose(gpu: &Gpu, commands: &[Command]) -> Result<Self> {
        if !gpu.has_timestamps() {
            return Ok(Clock::Wall);
        }
        let once = Clock::Wall.time(gpu, commands, 1)?;
        let repeats = ((TRIAL_SECONDS / once.max(1e-9)).ceil() as usize).clamp(1, 1000);
        let stamps = Stamps::new(gpu)?;
        let start = Instant::now();
        stamps.submit(gpu, commands, repeats)?;
        gpu.wait()?;
        let wall = start.elapsed().as_secs_f64();
        let share = stamps.read(gpu)? / wall;
        log::debug!("the timestamps of {} cover {share:.3} of the host's time", gpu.info().name);
        if (CREDIBLE..=1.0).contains(&share) {
            return Ok(Clock::Timestamps(stamps));
        }
        log::info!(
            "the timestamps of {} cannot be believed: the host's clock is taken",
            gpu.info().name
        );
        Ok(Clock::Wall)
    }

    pub fn name(&self) -> &'static str {
        match self {
            Clock::Timestamps(_) => "timestamps",
            Clock::Wall => "wall",
        }
    }

    /// Seconds per run of the commands, over `repeats` runs.
    pub fn time(&self, gpu: &Gpu, commands: &[Command], repeats: usize) -> Result<f64> {
        let seconds = match self {
            Clock::Wall => {
                let start = Instant::now();
                gpu.submit(repeated(commands, repeats))?;
                gpu.wait()?;
                start.elapsed().as_secs_f64()
            }
            Clock::Timestamps(stamps) => {
                stamps.submit(gpu, commands, repeats)?;
                stamps.read(gpu)?
            }
        };
        Ok(seconds / repeats as f64)
    }
}

fn repeated(commands: &[Command], repeats: usize) -> impl Iterator<Item = &Command> {
    commands.iter().cycle().take(commands.len() * repeats)
}

impl Stamps {
    fn new(gpu: &Gpu) -> Result<Self> {
        let set = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("a clock"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let landing = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("a clock"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        gpu.check("a clock", 16)?;
        Ok(Stamps { set, landing })
    }

    fn submit(&self, gpu: &Gpu, commands: &[Command], repeats: usize) -> Result<()> {
        gpu.submit_timed(repeated(commands, repeats), Some(&self.set))
    }

    /// Seconds of the last submitted pass.
    fn read(&self, gpu: &Gpu) -> Result<f64> {
        let mut encoder =
            gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.resolve_query_set(&self.set, 0..2, &self.landing, 0);
        gpu.queue().submit([encoder.finish()]);
        let words: Vec<u32> = pollster::block_on(gpu.download(&self.landing, 0, 4))?;
        let stamp = |i: usize| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32;
        Ok(stamp(1).saturating_sub(stamp(0)) as f64
            * f64::from(gpu.queue().get_timestamp_period())
            * 1e-9)
    }
}
