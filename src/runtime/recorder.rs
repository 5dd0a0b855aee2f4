//! Recorder: dispatches and copies in their order, and the buffers that live no longer than they do.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Slice};
use crate::runtime::tensor::padded;

/// Uniforms with a dynamic offset lie this far apart: the most that WebGPU lets a device ask for.
pub(crate) const UNIFORM_STRIDE: u64 = 256;

/// Records commands to run them many times. Scratch buffers of a scope go to the next scope that fits in them: on one queue
/// what reads them has run before what writes them again.
#[derive(Debug)]
pub(crate) struct Recorder {
    gpu: Gpu,
    commands: Vec<Command>,
    /// Which of them read a uniform of the batch.
    stepped: Vec<usize>,
    /// Scratch of scopes that are over.
    free: Vec<wgpu::Buffer>,
    /// Scratch of the scopes that are open.
    taken: Vec<wgpu::Buffer>,
    dummy: Option<wgpu::Buffer>,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub commands: Vec<Command>,
    /// Which of them take their parameters from the place of the batch in a buffer of uniforms.
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

    /// The commands of one call that records.
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

    /// A handle to the device, free of the recorder.
    pub fn gpu(&self) -> Gpu {
        self.gpu.clone()
    }

    /// A buffer for so many elements of 4 bytes that lives as long as what was recorded.
    pub fn buffer(&mut self, name: &str, elements: usize) -> Result<wgpu::Buffer> {
        self.gpu.buffer(name, elements)
    }

    /// A buffer for at least so many elements of 4 bytes until the scope ends. It holds whatever it held before.
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

    /// Records something whose scratch is free behind it.
    pub fn scope<T>(&mut self, record: impl FnOnce(&mut Recorder) -> Result<T>) -> Result<T> {
        let open = self.taken.len();
        let done = record(self);
        self.free.extend(self.taken.drain(open..));
        done
    }

    /// What is bound where a kernel reads and writes nothing. Not to be bound twice in a dispatch that writes one of them.
    pub fn dummy(&mut self) -> Result<wgpu::Buffer> {
        if let Some(dummy) = &self.dummy {
            return Ok(dummy.clone());
        }
        let dummy = self.gpu.buffer("a dummy binding", 4)?;
        self.dummy = Some(dummy.clone());
        Ok(dummy)
    }

    /// A dispatch with parameters of its own.
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

    /// A dispatch whose parameters, of type `P`, lie in a buffer of uniforms at the place of the batch.
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

    /// A copy of so many elements of 4 bytes.
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

    /// Commands that were made elsewhere.
    pub fn extend(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.commands.extend(commands);
    }

    /// Commands that were made elsewhere and read the uniform of the batch.
    pub fn extend_stepped(&mut self, commands: impl IntoIterator<Item = Command>) {
        let first = self.commands.len();
        self.commands.extend(commands);
        self.stepped.extend(first..self.commands.len());
    }
}
