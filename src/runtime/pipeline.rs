//! Kernels: a pipeline with its layout, created once per shader text and set of constants, and the
//! commands that run it.
//!
//! Every kernel has the same interface: group 0, binding 0 a uniform of parameters (bound with a
//! dynamic offset, so that a training step can re-use one buffer for many steps), bindings 1…
//! storage. Only the shader declares the access modes; the layout is derived from the parsed
//! module.

use std::sync::Arc;

use crate::runtime::device::{Gpu, Work};
use crate::runtime::kernel::{Command, Kernel, Program, Slice};
use crate::runtime::wgsl;
use crate::runtime::wgsl::{Access, File};
use crate::{Error, Result};

impl Gpu {
    /// The kernel of a program, compiled on first use.
    ///
    /// # Errors
    /// [`Error::Gpu`] if wgpu or the driver rejects it.
    pub(crate) fn kernel(&self, program: &Program) -> Result<Arc<Kernel>> {
        self.cached(program.key(), || self.compile(program))
    }

    fn compile(&self, program: &Program) -> Result<Kernel> {
        // Validate a user's text together with the kernel around it: two functions of one name, for
        // example.
        if !program.files.iter().all(File::is_own) {
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
        let device = self.device();
        // Logged before compiling, to name the kernel if a driver hangs.
        log::debug!("compiling {} {:?}", program.label, program.constants);
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&program.label),
            source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(module.ir)),
        };
        let shader = if self.is_checked() || !program.files.iter().all(File::is_own) {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: only files of this crate reach this point (`File::is_own`); the host checks
            // every shape and size before a dispatch, the kernels check labels, and the tests run
            // all of them with checks too. Checks add a counter to each loop that prevents drivers
            // from unrolling it (wgpu#7698: 100 times slower).
            unsafe {
                device.create_shader_module_trusted(
                    descriptor,
                    wgpu::ShaderRuntimeChecks::unchecked(),
                )
            }
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&program.label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&program.label),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&program.label),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &program.constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: self.pipeline_cache(),
        });
        self.check(&program.label, 0)?;
        Ok(Kernel { label: program.label.clone(), pipeline, layout, bindings: module.bindings })
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
                pass.set_pipeline(&kernel.pipeline);
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
