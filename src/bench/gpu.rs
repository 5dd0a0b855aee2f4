//! The cases on a GPU: commands made once and submitted many times, timed by the device where it can.

use std::sync::Arc;
use std::time::Instant;

use super::{Bench, Case, Kind, Run};
use crate::device::{Device, Gpu};
use crate::inputs::Sizes;
use crate::kernel::{Command, Program, Slice};
use crate::kernels::matmul::{Epilogue, Layout, Params, Shape, variant};
use crate::kernels::network::adapter;
use crate::tensor::{Tensor, padded, shaped};
use crate::wgsl::File;
use crate::{Criterion, Result};

const COPY: File = crate::wgsl::shader!("kernels/copy.wgsl");
const NUMBERS: File = crate::wgsl::shader!("helpers/numbers.wgsl");

/// Bytes that a part of a buffer begins at a multiple of: what every driver takes as an offset.
const ALIGNMENT: u64 = 256;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CopyParams {
    length: u32,
    block: u32,
    reserved: [u32; 2],
}

/// Makes a case ready on a GPU.
pub(super) fn prepare(case: &Case, gpu: &Gpu) -> Result<Bench> {
    // A software adapter may stamp before the work it has queued is done; its work is long enough for the host's clock.
    let clock = Arc::new(if gpu.has_timestamps() && !gpu.is_software() { Clock::of_device(gpu)? } else { Clock::Wall });
    let run = |commands: Vec<Command>| -> Run {
        let (clock, gpu) = (clock.clone(), gpu.clone());
        Box::new(move |repeats| clock.time(&gpu, &commands, repeats))
    };
    let (work, copy) = match case.kind {
        Kind::Copy => {
            let (source, destination) =
                (gpu.buffer("a copy", case.elements())?, gpu.buffer("a copy", case.elements())?);
            let commands = copy(gpu, &source, &destination, case.elements())?;
            (run(commands.clone()), Some(run(commands)))
        }
        Kind::Loss => {
            let (work, copy) = loss(case, gpu)?;
            (run(work), Some(run(copy)))
        }
        Kind::Matmul | Kind::TrainStep => (run(product(case, gpu)?), None),
    };
    // A pass of ten hides what beginning it costs; a software adapter takes milliseconds for one.
    let repeats = if gpu.is_software() { 1 } else { 10 };
    Ok(Bench { work, copy, clock: clock.name(), repeats, inner: 1 })
}

/// Value and gradient of a loss, and the copy of its predictions into its gradient.
fn loss(case: &Case, gpu: &Gpu) -> Result<(Vec<Command>, Vec<Command>)> {
    let device = Device::Gpu(gpu.clone());
    let loss = case.loss()?;
    let predictions = shaped(&case.shape, case.predictions(&*loss))?;
    let predictions = Tensor::from_array(&device, predictions.view())?;
    let targets = if case.has_labels() {
        Tensor::from_labels(&device, &case.labels())?
    } else {
        Tensor::from_array(&device, shaped(&case.shape, case.targets(&*loss))?.view())?
    };
    let sizes = Sizes::of(&*loss, predictions.shape(), targets.shape(), targets.is_labels())?;
    let criterion = Criterion::from_boxed(loss, &device)?;
    let (commands, buffers) = criterion.plan_on_gpu(gpu, [&predictions, &targets], &sizes, None)?;
    let copy = copy(gpu, &buffers.predictions, &buffers.gradient, case.elements())?;
    Ok((commands, copy))
}

/// The copy kernel with so many lanes to a workgroup: 8 on software adapters, 256 on hardware.
pub(crate) fn copy_program(lanes: u32) -> Program {
    Program {
        label: "copy".into(),
        header: String::new(),
        files: vec![COPY],
        constants: vec![("WORKGROUP", f64::from(lanes))],
    }
}

/// Copies so many elements, in parts where they are more than one binding takes.
fn copy(gpu: &Gpu, source: &wgpu::Buffer, destination: &wgpu::Buffer, elements: usize) -> Result<Vec<Command>> {
    let lanes = if gpu.is_software() { 8 } else { 256 };
    let kernel = gpu.kernel(&copy_program(lanes))?;
    // As the losses: on software Vulkan a long run of vectors for each lane, on hardware four of them.
    let block = lanes * if gpu.is_software() { 128 } else { 4 };
    let total = padded(elements);
    let most = gpu.limits().max_storage_buffer_binding_size / ALIGNMENT * ALIGNMENT;
    let mut commands = Vec::new();
    for offset in (0..total).step_by(most as usize) {
        let size = most.min(total - offset);
        let length = (size / 16) as u32;
        let part = |buffer| Slice { buffer, offset, size: Some(size) };
        let params = CopyParams { length, block, reserved: [0; 2] };
        commands.push(gpu.dispatch(&kernel, &params, &[part(source), part(destination)], length.div_ceil(block))?);
    }
    Ok(commands)
}

/// The plain product of two matrices.
fn product(case: &Case, gpu: &Gpu) -> Result<Vec<Command>> {
    let [m, n, k] = [case.shape[0] as u32, case.shape[1] as u32, case.shape[2] as u32];
    let params = Params::new(Shape { m, n, k });
    let variant = variant(&params, Layout::NN, &adapter(gpu));
    // Of the three epilogues the one that stores the product as it is.
    let mut files = variant.sources(Layout::NN, Epilogue::WeightGradient);
    files.push(NUMBERS);
    let program = Program { label: "matmul".into(), header: variant.header(), files, constants: Vec::new() };
    let numbers = |seed: u64, length: u32| {
        let mut random = crate::random::Random::new(seed, 0);
        gpu.upload("a matrix", &super::cycled(length as usize, || random.normal() as f32))
    };
    let (left, right) = (numbers(1, m * k)?, numbers(2, k * n)?);
    let output = gpu.buffer("a product", (m * n) as usize)?;
    let storage = [(&left).into(), (&right).into(), (&output).into()];
    Ok(vec![gpu.dispatch(&gpu.kernel(&program)?, &params, &storage, variant.workgroups(params.shape()))?])
}

/// What tells how long submitted work took.
enum Clock {
    /// The device's own, at the beginning and the end of the pass.
    Timestamps { stamps: wgpu::QuerySet, landing: wgpu::Buffer },
    /// The host's, around a submission and a wait for it.
    Wall,
}

impl Clock {
    fn of_device(gpu: &Gpu) -> Result<Self> {
        let stamps = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
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
        Ok(Clock::Timestamps { stamps, landing })
    }

    fn name(&self) -> &'static str {
        match self {
            Clock::Timestamps { .. } => "timestamps",
            Clock::Wall => "wall",
        }
    }

    /// The seconds that one of so many runs of the commands took.
    fn time(&self, gpu: &Gpu, commands: &[Command], repeats: usize) -> Result<f64> {
        let repeated = commands.iter().cycle().take(commands.len() * repeats);
        let seconds = match self {
            Clock::Wall => {
                let start = Instant::now();
                gpu.submit(repeated)?;
                gpu.wait()?;
                start.elapsed().as_secs_f64()
            }
            Clock::Timestamps { stamps, landing } => {
                gpu.submit_timed(repeated, Some(stamps))?;
                let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                encoder.resolve_query_set(stamps, 0..2, landing, 0);
                gpu.queue().submit([encoder.finish()]);
                let words: Vec<u32> = pollster::block_on(gpu.download(landing, 0, 4))?;
                let stamp = |i: usize| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32;
                stamp(1).saturating_sub(stamp(0)) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9
            }
        };
        Ok(seconds / repeats as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::GpuOptions;

    #[test]
    fn the_clock_of_the_device_tells_no_more_than_the_wall_around_it() {
        let gpu = Gpu::open_with(GpuOptions::default()).expect("these tests need an adapter, a software one will do");
        if !gpu.has_timestamps() {
            return;
        }
        let elements = 1 << 20;
        let buffer = || gpu.buffer("a copy", elements).unwrap();
        let commands = copy(&gpu, &buffer(), &buffer(), elements).unwrap();
        let clock = Clock::of_device(&gpu).unwrap();
        clock.time(&gpu, &commands, 1).unwrap();
        let start = Instant::now();
        let seconds = 10.0 * clock.time(&gpu, &commands, 10).unwrap();
        let wall = start.elapsed().as_secs_f64();
        assert!(seconds > 0.0 && seconds <= wall, "{seconds} within {wall}");
    }

    #[test]
    fn the_copy_kernel_copies_every_element() {
        let gpu = Gpu::open_with(GpuOptions::default().checked(true))
            .expect("these tests need an adapter, a software one will do");
        for elements in [1, 4, 4099, 65_537] {
            let values: Vec<f32> = (0..elements).map(|i| i as f32).collect();
            let source = gpu.upload("a copy", &values).unwrap();
            let destination = gpu.buffer("a copy", elements).unwrap();
            gpu.submit(&copy(&gpu, &source, &destination, elements).unwrap()).unwrap();
            let found: Vec<f32> = pollster::block_on(gpu.download(&destination, 0, elements)).unwrap();
            assert!(found == values, "{elements} elements");
        }
    }
}
