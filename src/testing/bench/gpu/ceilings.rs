//! Kernels that measure a GPU's ceilings: copy, read, fused multiply-adds.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::tensor::padded;
use crate::runtime::wgsl::{File, shader};
use crate::testing::bench::case::FMA_FLOPS;

const COPY: File = shader!("ops/ceilings/copy.wgsl");
const READ: File = shader!("ops/ceilings/read.wgsl");
const FMA: File = shader!("ops/ceilings/fma.wgsl");
const PARTIALS_LANE: File = shader!("lib/partials_lane.wgsl");
const PARTIALS_TREE: File = shader!("lib/partials_tree.wgsl");

/// Alignment in bytes of a binding's offset, valid for every driver.
const ALIGNMENT: u64 = 256;

/// Operations per invocation and iteration of ops/ceilings/fma: twelve chains, four rounds, a
/// multiplication and an addition.
const FLOPS_OF_AN_ITERATION: usize = 12 * 4 * 2;

/// Workgroups of the FMA kernel: on hardware, enough to fill the largest GPU several times over;
/// below, on software.
const WORKGROUPS: u32 = 4096;
const WORKGROUPS_ON_SOFTWARE: u32 = 1024;

/// Multiple of [`FMA_FLOPS`] per run on a GPU: half a millisecond on the fastest.
const RUNS_ON_HARDWARE: usize = 64;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    length: u32,
    block: u32,
    first_partial: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct FmaParams {
    iterations: u32,
    lanes: u32,
    factor: f32,
    addend: f32,
}

/// Every program of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let all = |software| [copy_program(software), read_program(software), fma_program(software)];
    [true, false].into_iter().flat_map(all).collect()
}

/// Workgroup size: one vector of a software adapter.
fn lanes(software: bool) -> u32 {
    if software { 8 } else { 256 }
}

fn program(label: &str, files: &[File], software: bool) -> Program {
    let constants = vec![("WORKGROUP", f64::from(lanes(software)))];
    Program { label: label.into(), header: String::new(), files: files.to_vec(), constants }
}

fn copy_program(software: bool) -> Program {
    program("copy", &[COPY], software)
}

fn read_program(software: bool) -> Program {
    program("read", &[READ, if software { PARTIALS_LANE } else { PARTIALS_TREE }], software)
}

fn fma_program(software: bool) -> Program {
    program("fma", &[FMA], software)
}

/// Vectors per workgroup. As in the losses: on software Vulkan many per invocation, on hardware
/// few.
fn block(software: bool, each: u32) -> u32 {
    lanes(software) * if software { 128 } else { each }
}

/// Binding chunks of a buffer of `elements` elements: offset and size in bytes.
fn parts(gpu: &Gpu, elements: usize) -> impl Iterator<Item = (u64, u64)> {
    let total = padded(elements);
    let most = gpu.limits().max_storage_buffer_binding_size / ALIGNMENT * ALIGNMENT;
    (0..total).step_by(most as usize).map(move |offset| (offset, most.min(total - offset)))
}

/// Copies `elements` elements.
pub(crate) fn copy(
    gpu: &Gpu,
    source: &wgpu::Buffer,
    destination: &wgpu::Buffer,
    elements: usize,
) -> Result<Vec<Command>> {
    let kernel = gpu.kernel(&copy_program(gpu.is_software()))?;
    let block = block(gpu.is_software(), 4);
    let dispatch = |(offset, size)| {
        let length = (size / 16) as u32;
        let part = |buffer| Slice { buffer, offset, size: Some(size) };
        let params = Params { length, block, first_partial: 0, reserved: 0 };
        gpu.dispatch(&kernel, &params, &[part(source), part(destination)], length.div_ceil(block))
    };
    parts(gpu, elements).map(dispatch).collect()
}

/// Sums `elements` elements into partial sums; returns their buffer and their number.
pub(crate) fn read(
    gpu: &Gpu,
    source: &wgpu::Buffer,
    elements: usize,
) -> Result<(Vec<Command>, wgpu::Buffer, usize)> {
    let software = gpu.is_software();
    let kernel = gpu.kernel(&read_program(software))?;
    let block = block(software, 16);
    let of_workgroup = if software { lanes(software) } else { 1 };
    let partials: u32 = parts(gpu, elements)
        .map(|(_, size)| ((size / 16) as u32).div_ceil(block) * of_workgroup)
        .sum();
    let values = gpu.buffer("partial sums", partials as usize)?;
    let mut commands = Vec::new();
    let mut first_partial = 0;
    for (offset, size) in parts(gpu, elements) {
        let length = (size / 16) as u32;
        let workgroups = length.div_ceil(block);
        let params = Params { length, block, first_partial, reserved: 0 };
        let storage = [Slice { buffer: source, offset, size: Some(size) }, (&values).into()];
        commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups)?);
        first_partial += workgroups * of_workgroup;
    }
    Ok((commands, values, partials as usize))
}

/// Fused multiply-adds, and the multiple of [`FMA_FLOPS`] they perform.
pub(crate) fn fma(gpu: &Gpu) -> Result<(Vec<Command>, usize)> {
    let software = gpu.is_software();
    let (workgroups, runs) =
        if software { (WORKGROUPS_ON_SOFTWARE, 1) } else { (WORKGROUPS, RUNS_ON_HARDWARE) };
    let all = workgroups * lanes(software);
    let iterations = (runs * FMA_FLOPS / FLOPS_OF_AN_ITERATION / all as usize) as u32;
    // x <- x/2 + 1 converges to 2: no overflow, and no slow subnormals.
    let params = FmaParams { iterations, lanes: all, factor: 0.5, addend: 1.0 };
    let values = gpu.buffer("sums of chains", all as usize)?;
    let kernel = gpu.kernel(&fma_program(software))?;
    Ok((vec![gpu.dispatch(&kernel, &params, &[(&values).into()], workgroups)?], runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> Gpu {
        Gpu::open_with(crate::runtime::device::GpuOptions::default().checked(true))
            .expect("these tests need an adapter, a software one will do")
    }

    #[test]
    fn the_copy_kernel_copies_every_element() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = gpu();
        for elements in [1, 4, 4099, 65_537] {
            let values: Vec<f32> = (0..elements).map(|i| i as f32).collect();
            let source = gpu.upload("a copy", &values).unwrap();
            let destination = gpu.buffer("a copy", elements).unwrap();
            gpu.submit(&copy(&gpu, &source, &destination, elements).unwrap()).unwrap();
            let found: Vec<f32> =
                pollster::block_on(gpu.download(&destination, 0, elements)).unwrap();
            assert!(found == values, "{elements} elements");
        }
    }

    #[test]
    fn the_read_kernel_reads_every_element_once() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = gpu();
        for elements in [4, 4100, 65_536, 1 << 20] {
            // Integers below 2²⁴ are summed exactly in any order.
            let values: Vec<f32> = (0..elements).map(|i| (i % 7) as f32).collect();
            let source = gpu.upload("numbers", &values).unwrap();
            let (commands, partials, length) = read(&gpu, &source, elements).unwrap();
            gpu.submit(&commands).unwrap();
            let found: Vec<f32> = pollster::block_on(gpu.download(&partials, 0, length)).unwrap();
            let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>();
            assert_eq!(sum(&found), sum(&values), "{elements} elements");
        }
    }

    #[test]
    fn the_chains_run_to_their_limit_and_are_as_many_as_are_counted() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = gpu();
        let (commands, runs) = fma(&gpu).unwrap();
        assert_eq!(
            (
                commands.len(),
                FMA_FLOPS % (FLOPS_OF_AN_ITERATION * 8 * WORKGROUPS_ON_SOFTWARE as usize)
            ),
            (1, 0)
        );
        assert_eq!(runs * FMA_FLOPS % (FLOPS_OF_AN_ITERATION * 256 * WORKGROUPS as usize), 0);
        // The same with three iterations, read back: x after n rounds of x/2 + 1 is 2 + (x − 2)/2ⁿ.
        let values = gpu.buffer("sums of chains", 8).unwrap();
        let params = FmaParams { iterations: 3, lanes: 8, factor: 0.5, addend: 1.0 };
        let kernel = gpu.kernel(&fma_program(true)).unwrap();
        gpu.submit(&[gpu.dispatch(&kernel, &params, &[(&values).into()], 1).unwrap()]).unwrap();
        let found: Vec<f32> = pollster::block_on(gpu.download(&values, 0, 8)).unwrap();
        for (lane, found) in found.into_iter().enumerate() {
            let exact: f64 = (0..12).map(|x| 2.0 + ((x + lane) as f64 - 2.0) / 4096.0).sum();
            // Twelve chains near 2, each rounded by half an ulp of 2⁻²³ in each of twelve rounds,
            // halved by the next: less than one ulp per chain; and eleven sums below 32, at most
            // half an ulp of 2⁻¹⁹ each.
            let limit = 12.0 * 2.0_f64.powi(-22) + 11.0 * 2.0_f64.powi(-20);
            assert!((f64::from(found) - exact).abs() <= limit, "lane {lane}: {found}, {exact}");
        }
    }
}
