//! Kernels: a pipeline with its layout, created once per shader text and set of constants, and the
//! commands that run it.
//!
//! Every kernel has the same interface: group 0, binding 0 a uniform of parameters (bound with a
//! dynamic offset, so that a training step can re-use one buffer for many steps), bindings 1…
//! storage. Only the shader declares the access modes; the layout is derived from the parsed
//! module.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::runtime::device::{Gpu, Work};
use crate::runtime::kernel::{Command, Kernel, Program, Slice, Source};
use crate::runtime::wgsl;
use crate::runtime::wgsl::{Access, File};
use crate::{Error, Result};

impl Gpu {
    /// The kernel of a program, compiled on first use.
    ///
    /// # Errors
    /// [`Error::Gpu`] if wgpu or the driver rejects it.
    pub(crate) fn kernel(&self, program: &Program) -> Result<Arc<Kernel>> {
        let kernel = self.cached(program.key(), || self.parse(program))?;
        if kernel.pipeline.get().is_none() && !self.defer(&kernel) {
            self.compile_or_forget(&kernel)?;
        }
        Ok(kernel)
    }

    /// What `plan` returns, with all kernels that it asked for compiled: on a few threads at once, not
    /// one after another.
    ///
    /// # Errors
    /// Those of `plan`, and of the first of its kernels that is rejected.
    pub(crate) fn compiling_together<T>(&self, plan: impl FnOnce() -> Result<T>) -> Result<T> {
        // Of a plan inside a plan, the outer one compiles.
        let Some(deferral) = self.begin_deferral() else { return plan() };
        let planned = plan();
        let waiting = deferral.end();
        let compiled: Vec<Result<()>> =
            waiting.par_iter().map(|kernel| self.compile_or_forget(kernel)).collect();
        let planned = planned?;
        // In the order in which they were asked for, whichever thread was first.
        compiled.into_iter().collect::<Result<()>>()?;
        Ok(planned)
    }

    /// The layout of a program's kernel, and the parsed program.
    fn parse(&self, program: &Program) -> Result<Kernel> {
        let is_own = program.files.iter().all(File::is_own);
        // Validate a user's text together with the kernel around it: two functions of one name, for
        // example.
        if !is_own {
            wgsl::validate(&program.label, &program.header, &program.files)?;
        }
        let module = wgsl::parse(&program.label, &program.header, &program.files)?;
        let entries: Vec<wgpu::BindGroupLayoutEntry> = module
            .bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.number,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match binding.access {
                        Access::Uniform => wgpu::BufferBindingType::Uniform,
                        access => {
                            wgpu::BufferBindingType::Storage { read_only: access == Access::Read }
                        }
                    },
                    has_dynamic_offset: binding.access == Access::Uniform,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = self.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&program.label),
            entries: &entries,
        });
        self.check(&program.label, 0)?;
        let source = Source { ir: module.ir, constants: program.constants.clone(), is_own };
        Ok(Kernel {
            label: program.label.clone(),
            pipeline: OnceLock::new(),
            source: Mutex::new(Some(source)),
            layout,
            bindings: module.bindings,
        })
    }

    /// Compiles a kernel; one that is rejected is parsed and rejected again when it is asked for
    /// again.
    fn compile_or_forget(&self, kernel: &Arc<Kernel>) -> Result<()> {
        self.compile(kernel).inspect_err(|_| self.forget(kernel))
    }

    /// Compiles a kernel that is not compiled yet. Two threads may ask for one: the second waits.
    fn compile(&self, kernel: &Kernel) -> Result<()> {
        let mut source = kernel.source.lock().unwrap_or_else(PoisonError::into_inner);
        if kernel.pipeline.get().is_some() {
            return Ok(());
        }
        let Some(Source { ir, constants, is_own }) = source.take() else {
            // Another thread got the reason.
            let message = "it was rejected before".into();
            return Err(Error::Gpu { kernel: kernel.label.clone(), message });
        };
        let device = self.device();
        // Logged before compiling, to name the kernel if a driver hangs.
        log::debug!("compiling {} {constants:?}", kernel.label);
        let pipeline = self.caught(&kernel.label, || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(&kernel.label),
                source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(ir)),
            };
            let shader = if self.is_checked() || !is_own {
                device.create_shader_module(descriptor)
            } else {
                // SAFETY: only files of this crate reach this point (`File::is_own`); the host
                // checks every shape and size before a dispatch, the kernels check labels, and the
                // tests run all of them with checks too. Checks add a counter to each loop that
                // prevents drivers from unrolling it (wgpu#7698: 100 times slower).
                unsafe {
                    device.create_shader_module_trusted(
                        descriptor,
                        wgpu::ShaderRuntimeChecks::unchecked(),
                    )
                }
            };
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&kernel.label),
                bind_group_layouts: &[Some(&kernel.layout)],
                ..Default::default()
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&kernel.label),
                layout: Some(&pipeline_layout),
                module: &shader,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    zero_initialize_workgroup_memory: false,
                },
                cache: self.pipeline_cache(),
            })
        })?;
        // The lock of the source is held: no other thread has set it.
        let _ = kernel.pipeline.set(pipeline);
        Ok(())
    }

    /// Binds buffers to a kernel: the uniform first, then one slice per storage binding, in order.
    pub(crate) fn bind(
        &self,
        kernel: &Kernel,
        uniform: Slice,
        storage: &[Slice],
    ) -> Result<wgpu::BindGroup> {
        let slices: Vec<Slice> = std::iter::once(uniform).chain(storage.iter().copied()).collect();
        if slices.len() != kernel.bindings.len() {
            let names: Vec<&str> =
                kernel.bindings.iter().map(|binding| binding.name.as_str()).collect();
            return Err(Error::Gpu {
                kernel: kernel.label.clone(),
                message: format!("{} buffers were bound to {}", slices.len(), names.join(", ")),
            });
        }
        let limit = self.limits().max_storage_buffer_binding_size;
        let mut entries = Vec::with_capacity(slices.len());
        for (slice, binding) in slices.iter().zip(&kernel.bindings) {
            let size = slice.size.unwrap_or(slice.buffer.size() - slice.offset);
            if size > limit {
                return Err(Error::TooLarge {
                    name: format!("{} of {}", binding.name, kernel.label),
                    bytes: size,
                    limit,
                    advice: "use smaller batches or layers, or the device `cpu`".into(),
                });
            }
            entries.push(wgpu::BindGroupEntry {
                binding: binding.number,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: slice.buffer,
                    offset: slice.offset,
                    size: std::num::NonZeroU64::new(size),
                }),
            });
        }
        let group = self.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&kernel.label),
            layout: &kernel.layout,
            entries: &entries,
        });
        self.check(&kernel.label, 0)?;
        Ok(group)
    }

    /// A one-off dispatch with its own parameter buffer.
    pub(crate) fn dispatch<P: bytemuck::Pod>(
        &self,
        kernel: &Arc<Kernel>,
        parameters: &P,
        storage: &[Slice],
        workgroups: u32,
    ) -> Result<Command> {
        let bytes = bytemuck::bytes_of(parameters);
        // Not `create_buffer_init`: it maps the buffer and panics if memory is exhausted.
        let uniform = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(&kernel.label),
            size: (bytes.len() as u64).next_multiple_of(16),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.check(&kernel.label, bytes.len() as u64)?;
        self.queue().write_buffer(&uniform, 0, bytes);
        let bindings = self.bind(kernel, (&uniform).into(), storage)?;
        Ok(Command::Dispatch { kernel: kernel.clone(), bindings, parameters: 0, workgroups })
    }

    /// Submits commands to the device in one submission, in order.
    pub(crate) fn submit<'a>(&self, commands: impl IntoIterator<Item = &'a Command>) -> Result<()> {
        self.submit_timed(commands, None)
    }

    /// As [`Gpu::submit`]; timestamps are written at the beginning and the end of the first compute
    /// pass.
    pub(crate) fn submit_timed<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        stamps: Option<&wgpu::QuerySet>,
    ) -> Result<()> {
        let mut encoder =
            self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut commands = commands.into_iter().peekable();
        let mut work = Work::default();
        while let Some(command) = commands.peek() {
            if let Command::Copy { from, from_offset, to, to_offset, size } = command {
                encoder.copy_buffer_to_buffer(from, *from_offset, to, *to_offset, *size);
                commands.next();
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: stamps.map(|query_set| wgpu::ComputePassTimestampWrites {
                    query_set,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                }),
            });
            while let Some(Command::Dispatch { kernel, bindings, parameters, workgroups }) =
                commands.peek()
            {
                // Work inside of a plan, as the tuner's, runs before the plan's kernels are compiled.
                let pipeline = match kernel.pipeline.get() {
                    Some(pipeline) => pipeline,
                    None => {
                        self.compile_or_forget(kernel)?;
                        kernel.pipeline.wait()
                    }
                };
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bindings, &[*parameters]);
                let [x, y] = fold(*workgroups);
                pass.dispatch_workgroups(x, y, 1);
                work.add(kernel);
                commands.next();
            }
        }
        let index = self.queue().submit([encoder.finish()]);
        self.submitted(&index, work);
        self.check("a submission", 0)
    }
}

/// Splits workgroups over two dimensions: one is limited to 65,535. A shader computes the index as
/// `workgroup.y * count.x + workgroup.x` and skips the excess.
fn fold(workgroups: u32) -> [u32; 2] {
    let rows = workgroups.div_ceil(65_535).max(1);
    [workgroups.div_ceil(rows), rows]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: File = File::own(
        "test.wgsl",
        "override WORKGROUP: u32 = 8u;
        override FIRST: u32 = 0u;
        @group(0) @binding(0) var<uniform> params: vec4<u32>;
        @group(0) @binding(1) var<storage, read_write> numbers: array<u32>;
        @compute @workgroup_size(WORKGROUP)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < params.x) { numbers[id.x] = FIRST + id.x; }
        }",
    );

    fn program(label: &str, lanes: f64, first: f64) -> Program {
        Program::plain(label, &[NUMBERS], vec![("WORKGROUP", lanes), ("FIRST", first)])
    }

    #[test]
    fn kernels_of_a_plan_are_compiled_together() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open_with(crate::GpuOptions::default()).unwrap();
        let out = gpu.buffer("numbers", 64).unwrap();
        let commands = gpu.compiling_together(|| {
            let mut commands = Vec::new();
            for first in 0..8_u32 {
                let kernel = gpu.kernel(&program("numbers", 8.0, first.into()))?;
                assert!(kernel.pipeline.get().is_none(), "compiled before the plan is made");
                commands.push(gpu.dispatch(&kernel, &[8_u32, 0, 0, 0], &[(&out).into()], 1)?);
            }
            Ok(commands)
        });
        let commands = commands.unwrap();
        for command in &commands {
            let Command::Dispatch { kernel, .. } = command else { panic!("{command:?}") };
            assert!(kernel.pipeline.get().is_some());
            assert!(kernel.source.lock().unwrap().is_none());
        }
        gpu.submit(&commands).unwrap();
        let found: Vec<u32> = pollster::block_on(gpu.download(&out, 0, 8)).unwrap();
        assert_eq!(found, (7..15).collect::<Vec<_>>(), "the last one wrote last");
        // Work inside of a plan does not wait for its end.
        gpu.compiling_together(|| {
            let kernel = gpu.kernel(&program("at once", 8.0, 100.0))?;
            let command = gpu.dispatch(&kernel, &[8_u32, 0, 0, 0], &[(&out).into()], 1)?;
            gpu.submit([&command])
        })
        .unwrap();
        let found: Vec<u32> = pollster::block_on(gpu.download(&out, 0, 1)).unwrap();
        assert_eq!(found, [100]);
    }

    #[test]
    fn the_first_kernel_of_a_plan_that_is_rejected_is_named() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open_with(crate::GpuOptions::default()).unwrap();
        // Workgroups of a million are above every limit.
        let wrong = |label: &str| program(label, 1e6, 0.0);
        for _ in 0..4 {
            let planned = gpu.compiling_together(|| {
                gpu.kernel(&program("good", 8.0, 1.0))?;
                gpu.kernel(&wrong("wrong"))?;
                gpu.kernel(&program("also wrong", 1e6, 1.0))?;
                Ok(())
            });
            let Err(Error::Gpu { kernel, .. }) = &planned else { panic!("{planned:?}") };
            assert_eq!(kernel, "wrong");
        }
        // Outside of a plan it is rejected when it is asked for, as before; nothing else is.
        assert!(matches!(gpu.kernel(&wrong("wrong")), Err(Error::Gpu { .. })));
        assert!(gpu.kernel(&program("good", 8.0, 1.0)).unwrap().pipeline.get().is_some());
        gpu.check("later work", 0).unwrap();
        // A plan that fails says why itself.
        let planned: Result<()> = gpu.compiling_together(|| {
            gpu.kernel(&wrong("wrong"))?;
            Err(Error::Empty { operation: "a plan".into(), name: "its rows".into() })
        });
        assert!(matches!(planned, Err(Error::Empty { .. })), "{planned:?}");
    }

    #[test]
    fn folding_covers_every_workgroup_within_the_limit() {
        for workgroups in [0, 1, 65_535, 65_536, 65_535 * 64 + 1, 16_777_216] {
            let [x, y] = fold(workgroups);
            assert!(x <= 65_535 && y <= 65_535, "{workgroups}: {x} x {y}");
            assert!(
                u64::from(x) * u64::from(y) >= u64::from(workgroups),
                "{workgroups}: {x} x {y}"
            );
        }
    }
}
