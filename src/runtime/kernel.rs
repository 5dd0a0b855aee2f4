//! Programs, the kernels that are compiled from them, and the commands that run these.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock};

use crate::runtime::wgsl;
use crate::runtime::wgsl::File;

/// Source of a pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// For messages: `huber (pointwise)`.
    pub label: String,
    /// `const`s that cannot be `override`s (the sizes of private arrays), and adaptors.
    pub header: String,
    /// The files: kernel template, helpers, loss function.
    pub files: Vec<File>,
    /// Values of the `override`s.
    pub constants: Vec<(&'static str, f64)>,
}

/// A pipeline with its layout. The layout is there from the beginning; the pipeline may be compiled
/// later, beside others (`Gpu::compiling_together`).
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) label: String,
    pub(super) pipeline: OnceLock<wgpu::ComputePipeline>,
    /// What the pipeline is compiled from, until it is.
    pub(super) source: Mutex<Option<Source>>,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) bindings: Vec<wgsl::Binding>,
}

/// A parsed program.
#[derive(Debug)]
pub(crate) struct Source {
    pub ir: wgpu::naga::Module,
    pub constants: Vec<(&'static str, f64)>,
    /// All files are of this crate.
    pub is_own: bool,
}

/// A range of a buffer, bound to one storage binding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub offset: u64,
    /// In bytes; `None` extends to the end.
    pub size: Option<u64>,
}

impl<'a> From<&'a wgpu::Buffer> for Slice<'a> {
    fn from(buffer: &'a wgpu::Buffer) -> Self {
        Slice { buffer, offset: 0, size: None }
    }
}

/// A device command.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Runs a kernel with this many workgroups.
    Dispatch {
        kernel: Arc<Kernel>,
        bindings: wgpu::BindGroup,
        /// Byte offset of this run's parameters in the uniform buffer.
        parameters: u32,
        workgroups: u32,
    },
    /// Copies bytes between buffers.
    Copy { from: wgpu::Buffer, from_offset: u64, to: wgpu::Buffer, to_offset: u64, size: u64 },
}

impl Program {
    /// A program of files without a header.
    pub(crate) fn plain(
        label: &str,
        files: &[File],
        constants: Vec<(&'static str, f64)>,
    ) -> Program {
        Program { label: label.into(), header: String::new(), files: files.to_vec(), constants }
    }

    /// Appends declarations to the header.
    pub(crate) fn with_header(mut self, header: &str) -> Self {
        self.header.insert_str(0, header);
        self
    }

    /// Programs with equal keys give the same pipeline.
    pub(super) fn key(&self) -> String {
        let mut key = self.header.clone();
        for file in &self.files {
            // A user's loss function may share a name with another: identify the text by address
            // and length.
            let _ = write!(key, "|{}:{:p}:{}", file.name, file.text, file.text.len());
        }
        for (name, value) in &self.constants {
            let _ = write!(key, "|{name}={:x}", value.to_bits());
        }
        key
    }
}

impl Kernel {
    /// Name for messages.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }
}
