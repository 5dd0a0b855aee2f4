//! Batch metrics: per-row correctness, and the sums of losses and of correct rows.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::{File, shader};
use crate::templates::job::{MOST_IGNORED, ignored_words};

const CORRECT: File = shader!("ops/metrics/correct.wgsl");
const SUMMARY: File = shader!("ops/metrics/summary.wgsl");

/// Rows of predictions whose correctness is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correctness<'a> {
    pub rows: usize,
    pub columns: usize,
    /// The first element of `parts` that is written.
    pub offset: usize,
    /// The targets are labels; otherwise numbers of the predictions' shape.
    pub labels: bool,
    pub ignored: &'a [i64],
    /// With one column, the prediction is the positive class above this.
    pub threshold: f32,
    /// The target is the positive class above this.
    pub truth_threshold: f32,
    pub predictions: &'a wgpu::Buffer,
    pub targets: &'a wgpu::Buffer,
    /// The partial sums of the loss, followed by one number per row.
    pub parts: &'a wgpu::Buffer,
}

/// Records the per-row correctness, after the partial sums of the loss.
pub(crate) fn correct(gpu: &Gpu, job: &Correctness) -> Result<Command> {
    let Correctness { labels, ignored, predictions, targets, parts, .. } = *job;
    let [rows, columns, offset] = [job.rows, job.columns, job.offset].map(|size| size as u32);
    let lanes = lanes_of(gpu.is_software());
    let constants = vec![
        ("WORKGROUP", lanes.into()),
        ("HAS_LABELS", f64::from(u8::from(labels))),
        ("THRESHOLD", job.threshold.into()),
        ("TRUTH_THRESHOLD", job.truth_threshold.into()),
    ];
    let kernel = gpu.kernel(&Program::plain("accuracy", &[CORRECT], constants))?;
    let storage = [predictions.into(), targets.into(), parts.into()];
    let (ignored_count, ignored) = ignored_words(ignored);
    let params = CorrectParams { rows, columns, offset, ignored_count, ignored };
    gpu.dispatch(&kernel, &params, &storage, rows.div_ceil(lanes))
}

/// Parameters of the accuracy kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct CorrectParams {
    rows: u32,
    columns: u32,
    offset: u32,
    ignored_count: u32,
    ignored: [i32; MOST_IGNORED],
}

/// Parameters of the summary kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SummaryParams {
    pub length: u32,
    pub rows: u32,
    pub slot: u32,
    pub reserved: u32,
}

/// The summary kernel over `numbers` numbers; one workgroup.
pub(crate) fn summary(gpu: &Gpu, numbers: usize) -> Result<Arc<Kernel>> {
    // A batch of the whole data set has many rows, and eight threads of software Vulkan would exit
    // their loop at 65,535 iterations.
    let lanes = if gpu.is_software() && numbers <= 1 << 17 { 8 } else { 256 };
    gpu.kernel(&Program::plain("summary", &[SUMMARY], vec![("WORKGROUP", lanes.into())]))
}

/// All programs of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for lanes in [8.0, 64.0] {
        programs.push(Program::plain(
            "summary",
            &[SUMMARY],
            vec![("WORKGROUP", if lanes == 8.0 { 8.0 } else { 256.0 })],
        ));
        for labels in [0.0, 1.0] {
            let constants = vec![("WORKGROUP", lanes), ("HAS_LABELS", labels)];
            programs.push(Program::plain("accuracy", &[CORRECT], constants));
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::runtime::wgsl;

    #[test]
    fn the_summarys_uniform_is_the_shaders() {
        let program = Program::plain("summary", &[SUMMARY], Vec::new());
        let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
        let (size, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
        assert_eq!((size as usize).next_multiple_of(16), size_of::<SummaryParams>());
        let expected = [
            ("length", offset_of!(SummaryParams, length)),
            ("rows", offset_of!(SummaryParams, rows)),
            ("slot", offset_of!(SummaryParams, slot)),
        ];
        assert_eq!(members, expected.map(|(name, offset)| (name.to_string(), offset as u32)));
    }
}
