//! Attention on a GPU: one invocation per query (forward and dq) or key (dk and dv), its vectors of
//! D numbers in registers, in blocks of sixteen. On hardware with subgroups several invocations
//! share vectors of several blocks, which would overflow the registers of one.
//!
//! On hardware a workgroup holds 64 queries of one head and copies the keys into workgroup memory
//! tile by tile; on a software adapter an invocation reads them where they are. No sum crosses
//! invocations: no atomics, and the order depends only on the shape.
//!
//! With a rotation the packed input is copied and rotated once, and the gradient is rotated back in
//! place: two passes over T instead of one per pair of tokens.

use crate::nn::graph::op::{GpuBackward, GpuForward};
use crate::nn::ops::attention::options::{Attention, NAME, Pairs};
use crate::runtime::kernel::Program;
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const NUMBERS: File = shader!("lib/numbers.wgsl");
const COMMON: File = shader!("ops/attention/attention_common.wgsl");
const FORWARD: File = shader!("ops/attention/attention_forward.wgsl");
const GRAD_QUERY: File = shader!("ops/attention/attention_grad_query.wgsl");
const GRAD_KEY: File = shader!("ops/attention/attention_grad_key.wgsl");
const DIRECT: File = shader!("ops/attention/attention_direct.wgsl");
const TILED: File = shader!("ops/attention/attention_tiled.wgsl");
const WHOLE: File = shader!("ops/attention/attention_whole.wgsl");
const SHARED: File = shader!("ops/attention/attention_shared.wgsl");
const VEC4: File = shader!("ops/attention/attention_vec4.wgsl");
const SCALAR: File = shader!("ops/attention/attention_scalar.wgsl");
const ROTATE: File = shader!("ops/attention/attention_rotate.wgsl");

/// Numbers of a block.
const BLOCK: usize = 16;

/// Blocks of two operands that fit 16 KiB of workgroup memory.
const TILE_BLOCKS: usize = 128;

/// Fewest tokens of a tile; with fewer the tile costs more than it saves.
const FEWEST_IN_TILE: usize = 4;

/// Most invocations that share a token, and most in a workgroup, which every adapter allows.
const MOST_PARTS: u32 = 8;
const MOST_LANES: u32 = 256;

/// The uniform of the kernels (`Params` in attention_common.wgsl).
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Params {
    pub rows: u32,
    pub tokens: u32,
    pub heads: u32,
    pub width: u32,
    pub causal: u32,
    pub has_lengths: u32,
    pub scale: f32,
    /// The size of a uniform is a multiple of 16 bytes.
    pub padding: u32,
}

/// The uniform of the rotation (`Params` in attention_rotate.wgsl).
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct RotateParams {
    /// rows · tokens · heads · D: a pair of q or of k each.
    pub pairs: u32,
    pub tokens: u32,
    pub width: u32,
    pub depth: u32,
    /// Distance of the two numbers of a pair, and of a pair and the next.
    pub distance: u32,
    pub stride: u32,
    /// 1: forward, −1: back.
    pub sign: f32,
    /// The size of a uniform is a multiple of 16 bytes.
    pub padding: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    GradQuery,
    GradKey,
}

/// A buffer of a kernel whose numbers are read in blocks: binding, name, is it written.
type Blocks = (u32, &'static str, bool);

impl Pass {
    fn file(self) -> File {
        match self {
            Pass::Forward => FORWARD,
            Pass::GradQuery => GRAD_QUERY,
            Pass::GradKey => GRAD_KEY,
        }
    }

    fn buffers(self) -> &'static [Blocks] {
        match self {
            Pass::Forward => &[(1, "qkv", false), (3, "output", true)],
            Pass::GradQuery => &[
                (1, "qkv", false),
                (3, "output", false),
                (4, "grad_output", false),
                (7, "grad_qkv", true),
            ],
            Pass::GradKey => &[(1, "qkv", false), (3, "grad_output", false), (6, "grad_qkv", true)],
        }
    }

    /// Loops over the blocks of a vector per pair of a query and a key.
    fn loops_per_pair(self) -> usize {
        match self {
            Pass::Forward => 2,
            Pass::GradQuery => 2,
            Pass::GradKey => 2,
        }
    }
}

/// A kernel's variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub depth: usize,
    pub lanes: u32,
    pub is_tiled: bool,
    /// Invocations that share a token: `PARTS` in attention_common.wgsl.
    pub parts: u32,
}

impl Variant {
    /// The variant for an adapter whose subgroups have at least `subgroup` invocations, 0 without
    /// subgroups.
    fn new(depth: usize, is_software: bool, subgroup: u32) -> Self {
        let blocks = depth.div_ceil(BLOCK);
        let fits = TILE_BLOCKS / blocks >= FEWEST_IN_TILE;
        let parts = match is_software || subgroup == 0 {
            true => 1,
            // Both are powers of two.
            false => (blocks.next_power_of_two() as u32).min(MOST_PARTS).min(subgroup),
        };
        let lanes = (lanes_of(is_software) * parts).min(MOST_LANES);
        Variant { depth, lanes, is_tiled: !is_software && fits, parts }
    }

    /// Queries or keys of a workgroup.
    fn tokens(&self) -> u32 {
        self.lanes / self.parts
    }

    pub fn program(&self, pass: Pass) -> Program {
        let blocks = self.depth.div_ceil(BLOCK);
        let is_vec4 = self.depth.is_multiple_of(BLOCK);
        let mut header = format!("const DEPTH: u32 = {}u;\n", self.depth);
        header += &format!("const BLOCKS: u32 = {blocks}u;\n");
        header += &format!("const PARTS: u32 = {}u;\n", self.parts);
        header += &format!("const OWN: u32 = {}u;\n", blocks.div_ceil(self.parts as usize));
        let access = if is_vec4 { VEC4 } else { SCALAR };
        for &(binding, name, is_written) in pass.buffers() {
            header += &accessor(access, binding, name, is_written);
        }
        let staging = if self.is_tiled { TILED } else { DIRECT };
        if self.is_tiled {
            header += &format!("const TILE: u32 = {}u;\n", (TILE_BLOCKS / blocks).min(64));
        }
        let sharing = if self.parts == 1 { WHOLE } else { SHARED };
        let files = [pass.file(), COMMON, staging, sharing, NUMBERS, access.without_text()];
        let label = format!("attention ({pass:?}, {})", self.depth);
        Program::plain(&label, &files, vec![("WORKGROUP", self.lanes.into())]).with_header(&header)
    }
}

/// The text of an access file for one buffer.
fn accessor(access: File, binding: u32, name: &str, is_written: bool) -> String {
    let mode = if is_written { "read_write" } else { "read" };
    let (reads, writes) = access.text.split_once("// Writing.\n").unwrap_or((access.text, ""));
    let text = if is_written { format!("{reads}{writes}") } else { reads.to_string() };
    text.replace("BINDING", &format!("{binding}")).replace("MODE", mode).replace("BUFFER", name)
}

pub(super) fn rotate_program(lanes: u32) -> Program {
    Program::plain("attention (rotation)", &[ROTATE], vec![("WORKGROUP", lanes.into())])
}

/// Programs for both device classes, vectors of one and several blocks, and both kinds of access.
pub(super) fn programs() -> Vec<Program> {
    let passes = [Pass::Forward, Pass::GradQuery, Pass::GradKey];
    let variants = [3, 32, 48, 128]
        .into_iter()
        .flat_map(|depth| [true, false].map(|is_software| Variant::new(depth, is_software, 8)));
    let whole = [3, 16].map(|depth| Variant::new(depth, false, 0));
    let variants = variants.chain(whole);
    let programs = variants.flat_map(|variant| passes.map(|pass| variant.program(pass)));
    programs.chain([true, false].map(|software| rotate_program(lanes_of(software)))).collect()
}

impl Attention {
    fn params(&self, rows: usize) -> Params {
        Params {
            rows: rows as u32,
            tokens: self.tokens as u32,
            heads: self.heads as u32,
            width: self.width as u32,
            causal: self.causal.into(),
            has_lengths: self.has_lengths.into(),
            scale: self.factor() as f32,
            padding: 0,
        }
    }

    /// Mesa's software Vulkan silently exits the loops of an invocation after 65,535 iterations in
    /// total.
    pub(super) fn check_iterations(&self, pass: Pass) -> Result<()> {
        let blocks = self.depth().div_ceil(BLOCK);
        let per_token = 1 + pass.loops_per_pair() * blocks;
        let most = (MAX_LOOP_ITERATIONS - 64 * blocks) / per_token;
        if self.tokens <= most {
            return Ok(());
        }
        Err(Error::Shape {
            operation: NAME.into(),
            found: format!(
                "{} tokens in heads of {} numbers on a software adapter",
                self.tokens,
                self.depth()
            ),
            allowed: format!("up to {most} tokens there; use the device `cpu`"),
        })
    }

    /// Records a pass: `storage` are its bindings from 1 on.
    pub(super) fn record(
        &self,
        recorder: &mut Recorder,
        pass: Pass,
        rows: usize,
        storage: &[&wgpu::Buffer],
    ) -> Result<()> {
        let gpu = recorder.gpu();
        if gpu.is_software() {
            self.check_iterations(pass)?;
        }
        let variant = Variant::new(self.depth(), gpu.is_software(), gpu.subgroup());
        let kernel = gpu.kernel(&variant.program(pass))?;
        let storage: Vec<_> = storage.iter().map(|&buffer| buffer.into()).collect();
        let blocks = self.tokens.div_ceil(variant.tokens() as usize);
        let workgroups = (rows * self.heads * blocks) as u32;
        recorder.dispatch(&kernel, &self.params(rows), &storage, workgroups)
    }

    /// Records the rotation of q and k in place, by `sign` times the angles.
    fn rotate(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        qkv: &wgpu::Buffer,
        sign: f32,
    ) -> Result<()> {
        let Some(rotary) = self.rotary else { return Ok(()) };
        let gpu = recorder.gpu();
        let angles = gpu.upload("angles", &self.angles::<f32>())?;
        let (depth, pairs) = (self.depth(), rows * self.tokens * self.width);
        let [distance, stride] = match rotary.pairs {
            Pairs::Halves => [depth / 2, 1],
            Pairs::Interleaved => [1, 2],
        };
        let params = RotateParams {
            pairs: pairs as u32,
            tokens: self.tokens as u32,
            width: self.width as u32,
            depth: depth as u32,
            distance: distance as u32,
            stride: stride as u32,
            sign,
            padding: 0,
        };
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&rotate_program(lanes))?;
        let storage = [(&angles).into(), qkv.into()];
        recorder.dispatch(&kernel, &params, &storage, (pairs as u32).div_ceil(lanes))
    }

    /// The packed input with q and k rotated: a copy, or the input itself without a rotation.
    fn rotated(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        qkv: &wgpu::Buffer,
    ) -> Result<wgpu::Buffer> {
        if self.rotary.is_none() {
            return Ok(qkv.clone());
        }
        let elements = rows * self.tokens * 3 * self.width;
        let copy = recorder.scratch("rotated q, k and v", elements)?;
        recorder.copy((qkv, 0), (&copy, 0), elements);
        self.rotate(recorder, rows, &copy, 1.0)?;
        Ok(copy)
    }
}

/// Records the output and lse.
pub(super) fn forward(
    attention: &Attention,
    recorder: &mut Recorder,
    io: &GpuForward,
) -> Result<()> {
    let dummy = recorder.dummy()?;
    let lengths = if attention.has_lengths { io.inputs[1].buffer } else { &dummy };
    let qkv = attention.rotated(recorder, io.rows, io.inputs[0].buffer)?;
    let storage = [&qkv, lengths, io.output.buffer, io.saved];
    attention.record(recorder, Pass::Forward, io.rows, &storage)
}

/// Records the gradient of the packed input.
pub(super) fn backward(
    attention: &Attention,
    recorder: &mut Recorder,
    io: &GpuBackward,
) -> Result<()> {
    if let Some(Some(lengths)) = io.grad_inputs.get(1) {
        let zeros = recorder.gpu().upload("zeros", &vec![0.0_f32; io.rows])?;
        recorder.copy((&zeros, 0), (lengths, 0), io.rows);
    }
    let Some(Some(grad_qkv)) = io.grad_inputs.first() else { return Ok(()) };
    let dummy = recorder.dummy()?;
    let lengths = if attention.has_lengths { io.inputs[1].buffer } else { &dummy };
    let qkv = attention.rotated(recorder, io.rows, io.inputs[0].buffer)?;
    let delta = recorder.scratch("delta", io.rows * attention.tokens * attention.heads)?;
    let (output, grad_output) = (io.output.buffer, io.grad_output);
    let storage = [&qkv, lengths, output, grad_output, io.saved, &delta, grad_qkv];
    attention.record(recorder, Pass::GradQuery, io.rows, &storage)?;
    let storage = [&qkv, lengths, grad_output, io.saved, &delta, grad_qkv];
    attention.record(recorder, Pass::GradKey, io.rows, &storage)?;
    attention.rotate(recorder, io.rows, grad_qkv, -1.0)
}
