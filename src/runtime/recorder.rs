//! Recorder: a sequence of dispatches and copies that owns the buffers they use.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Slice};
use crate::runtime::tensor::padded;

/// Distance of uniforms with a dynamic offset: the largest alignment that WebGPU allows a device to
/// require.
pub(crate) const UNIFORM_STRIDE: u64 = 256;

/// Records commands that are submitted many times. Scratch buffers of a closed scope are reused by
/// later scopes: commands of one queue run in order.
#[derive(Debug)]
pub(crate) struct Recorder {
    gpu: Gpu,
    commands: Vec<Command>,
    /// Indices of the commands that read a per-batch uniform.
    stepped: Vec<usize>,
    /// Scratch buffers of closed scopes.
    free: Vec<wgpu::Buffer>,
    /// Scratch buffers of open scopes.
    taken: Vec<wgpu::Buffer>,
    dummy: Option<wgpu::Buffer>,
}

/// A finished recording.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub commands: Vec<Command>,
    /// Indices of the commands whose uniform has a dynamic offset per batch.
    pub stepped: Vec<usize>,
}

impl Recorder {
    pub fn new(gpu: &Gpu) -> Self {
        let (commands, stepped) = (Vec::new(), Vec::new());
        Recorder {
            gpu: gpu.clone(),
            commands,
            stepped,
            free: Vec::new(),
            taken: Vec::new(),
            dummy: None,
        }
    }

    /// The commands that a closure records.
    pub fn commands_of(
        gpu: &Gpu,
        record: impl FnOnce(&mut Recorder) -> Result<()>,
    ) -> Result<Vec<Command>> {
        let mut recorder = Recorder::new(gpu);
        record(&mut recorder)?;
        Ok(recorder.commands)
    }

    pub fn finish(self) -> Recording {
        Recording { commands: self.commands, stepped: self.stepped }
    }

    /// A handle to the device that does not borrow the recorder.
    pub fn gpu(&self) -> Gpu {
        self.gpu.clone()
    }

    /// A buffer of 4-byte elements that lives as long as the recording.
    pub fn buffer(&mut self, name: &str, elements: usize) -> Result<wgpu::Buffer> {
        self.gpu.buffer(name, elements)
    }

    /// A buffer of at least `elements` 4-byte elements until the scope ends. Its contents are
    /// undefined.
    pub fn scratch(&mut self, name: &str, elements: usize) -> Result<wgpu::Buffer> {
        let size = padded(elements);
        let fitting = self.free.iter().enumerate().filter(|(_, buffer)| buffer.size() >= size);
        let buffer = match fitting.min_by_key(|(_, buffer)| buffer.size()).map(|(place, _)| place) {
            Some(place) => self.free.swap_remove(place),
            None => self.gpu.buffer(name, elements)?,
        };
        self.taken.push(buffer.clone());
        Ok(buffer)
    }

    /// Records with `record` and releases its scratch buffers afterwards.
    pub fn scope<T>(&mut self, record: impl FnOnce(&mut Recorder) -> Result<T>) -> Result<T> {
        let open = self.taken.len();
        let done = record(self);
        self.free.extend(self.taken.drain(open..));
        done
    }

    /// A dummy binding for a buffer that a kernel does not access. A dispatch must not bind it
    /// twice if one of the bindings is writable.
    pub fn dummy(&mut self) -> Result<wgpu::Buffer> {
        if let Some(dummy) = &self.dummy {
            return Ok(dummy.clone());
        }
        let dummy = self.gpu.buffer("a dummy binding", 4)?;
        self.dummy = Some(dummy.clone());
        Ok(dummy)
    }

    /// Records a dispatch with its own uniform.
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        kernel: &Arc<Kernel>,
        parameters: &P,
        storage: &[Slice],
        workgroups: u32,
    ) -> Result<()> {
        let command = self.gpu.dispatch(kernel, parameters, storage, workgroups)?;
        self.commands.push(command);
        Ok(())
    }

    /// Records a dispatch whose uniform of type `P` has a dynamic offset per batch.
    pub fn dispatch_stepped<P: bytemuck::Pod>(
        &mut self,
        kernel: &Arc<Kernel>,
        uniforms: &wgpu::Buffer,
        storage: &[Slice],
        workgroups: u32,
    ) -> Result<()> {
        let size = Some((size_of::<P>() as u64).next_multiple_of(16));
        let bindings =
            self.gpu.bind(kernel, Slice { buffer: uniforms, offset: 0, size }, storage)?;
        self.extend_stepped([Command::Dispatch {
            kernel: kernel.clone(),
            bindings,
            parameters: 0,
            workgroups,
        }]);
        Ok(())
    }

    /// Records a copy of 4-byte elements.
    pub fn copy(
        &mut self,
        from: (&wgpu::Buffer, usize),
        to: (&wgpu::Buffer, usize),
        elements: usize,
    ) {
        let [from_offset, to_offset, size] =
            [from.1, to.1, elements].map(|elements| 4 * elements as u64);
        self.commands.push(Command::Copy {
            from: from.0.clone(),
            from_offset,
            to: to.0.clone(),
            to_offset,
            size,
        });
    }

    /// Appends commands.
    pub fn extend(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.commands.extend(commands);
    }

    /// Appends commands that read a per-batch uniform.
    pub fn extend_stepped(&mut self, commands: impl IntoIterator<Item = Command>) {
        let first = self.commands.len();
        self.commands.extend(commands);
        self.stepped.extend(first..self.commands.len());
    }
}
