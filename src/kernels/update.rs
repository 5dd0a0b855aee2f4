//! The kernels of an optimizer's step: clipping, the move itself, and what rules that look at whole tensors need besides.

use crate::device::Gpu;
use crate::kernel::{Command, Program, Slice};
use crate::kernels::matmul::{Layout, Params};
use crate::kernels::product::{Kind, product};
use crate::optimizers::{Clip, MOST_STATES, NewtonSchulz, Optimizer, Segment, Step, Treatment};
use crate::wgsl::File;
use crate::{Error, Result};

const NUMBERS: File = crate::wgsl::shader!("helpers/numbers.wgsl");
const CLIP: File = crate::wgsl::shader!("helpers/clip.wgsl");
const TREATMENT: File = crate::wgsl::shader!("helpers/treatment.wgsl");
const STEP: File = crate::wgsl::shader!("kernels/optimizer_step.wgsl");
const OPTIMIZER: File = crate::wgsl::shader!("kernels/optimizer.wgsl");
const PENALTY: File = crate::wgsl::shader!("kernels/penalty.wgsl");
const GRADIENT_NORM: File = crate::wgsl::shader!("kernels/gradient_norm.wgsl");
const CLIP_FACTOR: File = crate::wgsl::shader!("kernels/clip_factor.wgsl");
const AVERAGE: File = crate::wgsl::shader!("kernels/average.wgsl");
const LAYER_TREAT: File = crate::wgsl::shader!("kernels/layer_treat.wgsl");
const LAYER_MEANS: File = crate::wgsl::shader!("kernels/layer_means.wgsl");
const LAYER_MEAN_OF_ROWS: File = crate::wgsl::shader!("kernels/layer_mean_of_rows.wgsl");
const LAYER_DIRECTION: File = crate::wgsl::shader!("kernels/layer_direction.wgsl");
const LAYER_NORMS: File = crate::wgsl::shader!("kernels/layer_norms.wgsl");
const LAYER_JOIN: File = crate::wgsl::shader!("kernels/layer_join.wgsl");
const LAYER_SETTLE: File = crate::wgsl::shader!("kernels/layer_settle.wgsl");
const COMBINE: File = crate::wgsl::shader!("kernels/combine.wgsl");

/// Partial sums of a tensor (`BLOCKS` in the shaders).
const BLOCKS: usize = 64;

/// Lanes of a workgroup where each has an element of its own.
const EACH: u32 = 256;

/// What stands for the limit of a norm that is asked for only to see whether it is finite.
const ANY: f64 = f32::MAX as f64;

/// A step, but for its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'a> {
    pub optimizer: &'a dyn Optimizer,
    /// Of the flat buffer.
    pub length: usize,
    pub treatment: Treatment<'a>,
    /// What part of the parameters goes into their running average, the state behind the optimizer's own.
    pub average: Option<f64>,
}

/// What a step works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers<'a> {
    /// [`segment_words`].
    pub segments: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// All states, [`state_stride`] numbers each.
    pub states: &'a wgpu::Buffer,
    /// Counts the steps whose gradient was not finite, where somebody asks.
    pub not_finite: &'a wgpu::Buffer,
    /// Holds [`OptimizerParams`].
    pub uniform: &'a wgpu::Buffer,
}

/// A command of a step, and whether it reads the uniform of the step.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    pub command: Command,
    pub reads_step: bool,
}

/// Numbers from state to state in their buffer: each begins where a binding may.
pub(crate) fn state_stride(length: usize) -> usize {
    length.next_multiple_of(64)
}

/// Parameters of the kernels of a step.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct OptimizerParams {
    pub length: u32,
    pub segments: u32,
    pub limit: f32,
    pub reserved: u32,
    pub step: [f32; 8],
}

impl OptimizerParams {
    pub fn new(length: usize, treatment: &Treatment, step: &Step) -> Self {
        OptimizerParams {
            length: length as u32,
            segments: treatment.segments.len() as u32,
            limit: treatment.clip.map_or(0.0, |clip| clip.limit() as f32),
            reserved: 0,
            step: step.cast::<f32>().words(),
        }
    }
}

/// Parameters of the kernel that sums the squares of a gradient.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct NormParams {
    pub length: u32,
    pub segments: u32,
    pub block: u32,
    pub reserved: u32,
}

/// Parameters of the kernel that joins those sums.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ClipParams {
    pub length: u32,
    pub limit: f32,
    pub epsilon: f32,
    pub reserved: u32,
}

/// The segments as the kernels read them.
pub(crate) fn segment_words(segments: &[Segment]) -> Vec<u32> {
    let (mut start, mut lines) = (0, 0);
    let mut words = Vec::with_capacity(8 * segments.len());
    for segment in segments {
        let [rows, columns] = segment.shape((segment.end - start).saturating_sub(segment.padding));
        if segment.columns > 0 {
            lines += rows + columns;
        }
        let factors = [segment.l1, segment.l2, segment.proximal].map(|factor| (factor as f32).to_bits());
        words.push(segment.end as u32);
        words.extend(factors);
        words.extend([start, rows, segment.columns, lines].map(|number| number as u32));
        start = segment.end;
    }
    words
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Lanes of a workgroup of the sums over a whole gradient.
fn summing_lanes(gpu: &Gpu) -> u32 {
    if gpu.is_software() { 8 } else { 256 }
}

fn program(label: &str, files: &[File], constants: &[(&'static str, f64)]) -> Program {
    Program { label: label.into(), header: String::new(), files: files.to_vec(), constants: constants.to_vec() }
}

/// `CLIPS` of helpers/treatment.
fn clip_mode(clip: Option<Clip>) -> f64 {
    match clip {
        None => 0.0,
        Some(Clip::GlobalNorm { .. }) => 1.0,
        Some(Clip::Value(_)) => 2.0,
        Some(Clip::Norm(_)) => 3.0,
    }
}

fn treats(treatment: &Treatment) -> [(&'static str, f64); 2] {
    [("CLIPS", clip_mode(treatment.clip)), ("SKIPS", flag(treatment.skip_non_finite))]
}

/// Frames with what all of them are linked with.
fn frame(label: &str, file: File, more: &[(&'static str, f64)], treatment: &Treatment) -> Program {
    let mut constants = treats(treatment).to_vec();
    constants.extend(more);
    program(label, &[file, STEP, PENALTY, TREATMENT, NUMBERS], &constants)
}

/// The program of an optimizer's step, for rules that move each element by itself.
pub(crate) fn optimizer_program(optimizer: &dyn Optimizer, treatment: &Treatment) -> Program {
    let mut program = frame(optimizer.name(), OPTIMIZER, &[("STATES", optimizer.states() as f64)], treatment);
    program.files.push(optimizer.entry().shader);
    program.constants.extend(optimizer.constants());
    program
}

fn direction_program(optimizer: &dyn Optimizer, treatment: &Treatment, lanes: u32) -> Program {
    let factored = optimizer.layerwise().is_some_and(|layerwise| layerwise.factored);
    let own = [("WORKGROUP", lanes.into()), ("STATES", optimizer.states() as f64), ("FACTORED", flag(factored))];
    let mut program = frame(optimizer.name(), LAYER_DIRECTION, &own, treatment);
    program.files.push(optimizer.entry().shader);
    program.constants.extend(optimizer.constants());
    program
}

fn settle_program(optimizer: &dyn Optimizer, treatment: &Treatment, lanes: u32) -> Program {
    let mut program = frame(optimizer.name(), LAYER_SETTLE, &[("WORKGROUP", lanes.into())], treatment);
    program.files.push(optimizer.entry().shader);
    program.constants.extend(optimizer.constants());
    program
}

pub(crate) fn norm_program(lanes: u32) -> Program {
    program("gradient norm", &[GRADIENT_NORM, PENALTY, NUMBERS], &[("WORKGROUP", lanes.into())])
}

pub(crate) fn clip_program(lanes: u32) -> Program {
    program("clip", &[CLIP_FACTOR, CLIP, NUMBERS], &[("WORKGROUP", lanes.into())])
}

fn layer_norms_program(lanes: u32, penalized: bool) -> Program {
    let constants = [("WORKGROUP", lanes.into()), ("PENALIZED", flag(penalized))];
    program("norms of tensors", &[LAYER_NORMS, STEP, PENALTY, NUMBERS], &constants)
}

fn layer_join_program(factors: bool) -> Program {
    program("norms of tensors, joined", &[LAYER_JOIN, STEP, CLIP], &[("FACTORS", flag(factors))])
}

fn means_program(file: File, treatment: &Treatment, lanes: u32) -> Program {
    frame("means of rows and columns", file, &[("WORKGROUP", lanes.into())], treatment)
}

fn treat_program(treatment: &Treatment, lanes: u32) -> Program {
    frame("treated gradient", LAYER_TREAT, &[("WORKGROUP", lanes.into())], treatment)
}

fn combine_program(scales: bool) -> Program {
    program("combined matrices", &[COMBINE], &[("SCALES", flag(scales))])
}

fn average_program(treatment: &Treatment) -> Program {
    program("running average", &[AVERAGE, NUMBERS], &[("SKIPS", flag(treatment.skip_non_finite))])
}

/// The commands that leave in `factor[0]` what the optimizer multiplies the gradient with, so that its norm is `limit` at the most;
/// NaN, and one more in `not_finite[0]`, where it is not finite.
pub(crate) fn clip(
    gpu: &Gpu,
    [limit, epsilon]: [f64; 2],
    [length, segments]: [usize; 2],
    [table, parameters, gradients, factor, not_finite]: [&wgpu::Buffer; 5],
) -> Result<[Command; 2]> {
    let lanes = summing_lanes(gpu);
    // 4096 elements for a workgroup keep several loads of a lane in flight; a thousand partial sums at the most.
    let block = length.div_ceil(1024).max(4096).next_multiple_of(lanes as usize);
    let workgroups = length.div_ceil(block);
    let partials = gpu.buffer("partial sums of a norm", 2 * workgroups)?;
    let params = NormParams { length: length as u32, segments: segments as u32, block: block as u32, reserved: 0 };
    let storage = [table, parameters, gradients, &partials].map(Slice::from);
    let norm = gpu.dispatch(&gpu.kernel(&norm_program(lanes))?, &params, &storage, workgroups as u32)?;
    let params = ClipParams { length: workgroups as u32, limit: limit as f32, epsilon: epsilon as f32, reserved: 0 };
    let storage = [(&partials).into(), factor.into(), not_finite.into()];
    Ok([norm, gpu.dispatch(&gpu.kernel(&clip_program(lanes))?, &params, &storage, 1)?])
}

/// Makes the commands of one step.
struct Maker<'a> {
    gpu: &'a Gpu,
    update: &'a Update<'a>,
    buffers: &'a Buffers<'a>,
    /// The factors of a clip.
    factors: wgpu::Buffer,
    commands: Vec<Stepped>,
}

/// The commands of an optimizer's step, in order.
pub(crate) fn update(gpu: &Gpu, update: &Update, buffers: &Buffers) -> Result<Vec<Stepped>> {
    let factors = gpu.buffer("factors of a clip", 4 + update.treatment.segments.len())?;
    let mut maker = Maker { gpu, update, buffers, factors, commands: Vec::new() };
    maker.clip()?;
    match update.optimizer.layerwise() {
        None => maker.elementwise()?,
        Some(layerwise) => {
            maker.layer_directions(layerwise.factored)?;
            if let Some(newton_schulz) = layerwise.orthogonal {
                maker.orthogonalize(&newton_schulz)?;
            }
            maker.layer_settle()?;
        }
    }
    if let Some(weight) = update.average {
        maker.average(weight)?;
    }
    Ok(maker.commands)
}

impl Maker<'_> {
    /// A dispatch that reads the uniform of the step.
    fn stepped(&mut self, program: &Program, storage: &[Slice], workgroups: usize) -> Result<()> {
        let kernel = self.gpu.kernel(program)?;
        let size = (size_of::<OptimizerParams>() as u64).next_multiple_of(16);
        let uniform = Slice { buffer: self.buffers.uniform, offset: 0, size: Some(size) };
        let bindings = self.gpu.bind(&kernel, uniform, storage)?;
        let command = Command::Dispatch { kernel, bindings, parameters: 0, workgroups: workgroups as u32 };
        self.commands.push(Stepped { command, reads_step: true });
        Ok(())
    }

    fn fixed(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.commands.extend(commands.into_iter().map(|command| Stepped { command, reads_step: false }));
    }

    fn state(&self, number: usize) -> Slice<'_> {
        let bytes = 4 * state_stride(self.update.length) as u64;
        Slice { buffer: self.buffers.states, offset: number as u64 * bytes, size: Some(bytes) }
    }

    fn absent(&self) -> Result<wgpu::Buffer> {
        self.gpu.buffer("no state", 64 * MOST_STATES)
    }

    fn clip(&mut self) -> Result<()> {
        let Treatment { segments, clip, skip_non_finite } = self.update.treatment;
        let Buffers { segments: table, parameters, gradients, not_finite, .. } = *self.buffers;
        let global = match clip {
            Some(Clip::GlobalNorm { limit, epsilon }) => Some([limit, epsilon]),
            _ => skip_non_finite.then_some([ANY, 0.0]),
        };
        if let Some(limit) = global {
            let lengths = [self.update.length, segments.len()];
            let buffers = [table, parameters, gradients, &self.factors, not_finite];
            let commands = self::clip(self.gpu, limit, lengths, buffers)?;
            self.fixed(commands);
        }
        if let Some(Clip::Norm(_)) = clip {
            let factors = self.factors.clone();
            self.layer_norms(true, &factors)?;
        }
        Ok(())
    }

    fn elementwise(&mut self) -> Result<()> {
        let (absent, factors, buffers) = (self.absent()?, self.factors.clone(), *self.buffers);
        let mut storage = [buffers.segments, buffers.parameters, buffers.gradients].map(Slice::from).to_vec();
        storage.extend(state_slices(&buffers, self.update, &absent, MOST_STATES));
        storage.push((&factors).into());
        let program = optimizer_program(self.update.optimizer, &self.update.treatment);
        self.stepped(&program, &storage, self.update.length.div_ceil(256))
    }

    /// Norms of the parameters and the gradients of each tensor, or the factors of a clip.
    fn layer_norms(&mut self, factors: bool, joined: &wgpu::Buffer) -> Result<()> {
        let lanes = summing_lanes(self.gpu);
        let count = self.update.treatment.segments.len();
        let Buffers { segments, parameters, gradients, .. } = *self.buffers;
        let partials = self.gpu.buffer("partial sums of norms", 4 * count * BLOCKS)?;
        let storage = [segments, parameters, gradients, &partials].map(Slice::from);
        self.stepped(&layer_norms_program(lanes, factors), &storage, count * BLOCKS)?;
        self.stepped(&layer_join_program(factors), &[(&partials).into(), joined.into()], count.div_ceil(64))
    }

    fn layer_directions(&mut self, factored: bool) -> Result<()> {
        let Update { optimizer, length, treatment, .. } = *self.update;
        let lanes = summing_lanes(self.gpu);
        let workgroups = length.div_ceil(EACH as usize);
        let Buffers { segments, parameters, gradients, .. } = *self.buffers;
        let (absent, factors) = (self.absent()?, self.factors.clone());
        let storage = [segments, parameters, gradients, &factors].map(Slice::from);
        self.stepped(&treat_program(&treatment, EACH), &storage, workgroups)?;
        let buffers = *self.buffers;
        let states = state_slices(&buffers, self.update, &absent, 3);
        if factored {
            let lines = lines(treatment.segments);
            let storage = [segments.into(), gradients.into(), states[0], states[1], (&factors).into()];
            self.stepped(&means_program(LAYER_MEANS, &treatment, lanes), &storage, lines.max(1))?;
            let storage = [segments.into(), states[0], states[2], (&factors).into()];
            let program = means_program(LAYER_MEAN_OF_ROWS, &treatment, lanes);
            self.stepped(&program, &storage, treatment.segments.len())?;
        }
        let storage =
            [segments.into(), parameters.into(), gradients.into(), states[0], states[1], states[2], (&factors).into()];
        self.stepped(&direction_program(optimizer, &treatment, EACH), &storage, workgroups)
    }

    /// Makes the direction of every matrix orthogonal: see `optimizers::layerwise`.
    fn orthogonalize(&mut self, newton_schulz: &NewtonSchulz) -> Result<()> {
        let norms = self.gpu.buffer("norms", 2 * self.update.treatment.segments.len())?;
        self.layer_norms(false, &norms)?;
        let mut start = 0;
        for (number, segment) in self.update.treatment.segments.iter().enumerate() {
            if segment.columns > 0 {
                let [rows, columns] = segment.shape(segment.end - start - segment.padding);
                self.orthogonalize_one(newton_schulz, [rows, columns, start], (number, &norms))?;
            }
            start = segment.end;
        }
        Ok(())
    }

    fn orthogonalize_one(
        &mut self,
        newton_schulz: &NewtonSchulz,
        [rows, columns, start]: [usize; 3],
        (number, norms): (usize, &wgpu::Buffer),
    ) -> Result<()> {
        let gpu = self.gpu;
        let matrix = self.buffers.gradients;
        let (side, length) = (rows.min(columns), rows * columns);
        let [a, b, c] = newton_schulz.coefficients;
        let [gram, squared, next] =
            [("a Gram matrix", side * side), ("its square", side * side), ("the next matrix", length)]
                .map(|(purpose, length)| gpu.buffer(purpose, length));
        let (gram, squared, next) = (gram?, squared?, next?);
        let combine = |left: &wgpu::Buffer, at: usize, right: &wgpu::Buffer, length: usize, factors: [f64; 2]| {
            let params = CombineParams::new(length, at, factors);
            let kernel = gpu.kernel(&combine_program(false))?;
            gpu.dispatch(&kernel, &params, &[left.into(), right.into()], length.div_ceil(64) as u32)
        };
        let scaled = CombineParams::new(length, start, [number as f64, newton_schulz.epsilon]);
        let kernel = gpu.kernel(&combine_program(true))?;
        let storage = [matrix.into(), norms.into()];
        let command = gpu.dispatch(&kernel, &scaled, &storage, length.div_ceil(64) as u32)?;
        self.fixed([command]);
        let (m, k) = (side as u32, rows.max(columns) as u32);
        let (offset, is_tall) = (start as u32, rows > columns);
        for _ in 0..newton_schulz.steps {
            let outer = if is_tall { Layout::TN } else { Layout::NT };
            let params = Params { m, n: m, k, left_offset: offset, right_offset: offset, ..Params::default() };
            let storage = [matrix.into(), matrix.into(), (&gram).into()];
            self.fixed(product(gpu, &Kind::plain(outer), &params, &storage)?);
            let params = Params { m, n: m, k: m, ..Params::default() };
            let storage = [(&gram).into(), (&gram).into(), (&squared).into()];
            self.fixed(product(gpu, &Kind::plain(Layout::NN), &params, &storage)?);
            self.fixed([combine(&gram, 0, &squared, side * side, [b, c])?]);
            let params = Params { m: rows as u32, n: columns as u32, k: m, ..Params::default() };
            let (params, storage) = match is_tall {
                true => (Params { left_offset: offset, ..params }, [matrix.into(), (&gram).into(), (&next).into()]),
                false => (Params { right_offset: offset, ..params }, [(&gram).into(), matrix.into(), (&next).into()]),
            };
            self.fixed(product(gpu, &Kind::plain(Layout::NN), &params, &storage)?);
            self.fixed([combine(matrix, start, &next, length, [a, 1.0])?]);
        }
        Ok(())
    }

    fn layer_settle(&mut self) -> Result<()> {
        let Update { optimizer, length, treatment, .. } = *self.update;
        let norms = self.gpu.buffer("norms", 2 * treatment.segments.len())?;
        self.layer_norms(false, &norms)?;
        let factors = self.factors.clone();
        let Buffers { segments, parameters, gradients, .. } = *self.buffers;
        let storage = [segments, parameters, gradients, &norms, &factors].map(Slice::from);
        self.stepped(&settle_program(optimizer, &treatment, EACH), &storage, length.div_ceil(EACH as usize))
    }

    /// average += weight (parameters − average), in the state behind the optimizer's own.
    fn average(&mut self, weight: f64) -> Result<()> {
        let number = self.update.optimizer.states();
        let params = AverageParams { length: self.update.length as u32, weight: weight as f32, reserved: [0; 2] };
        let kernel = self.gpu.kernel(&average_program(&self.update.treatment))?;
        let storage = [self.buffers.parameters.into(), self.state(number), (&self.factors).into()];
        let command = self.gpu.dispatch(&kernel, &params, &storage, (self.update.length as u32).div_ceil(64))?;
        self.fixed([command]);
        Ok(())
    }
}

/// The states of the optimizer, and a place of its own for each that it has not.
fn state_slices<'b>(buffers: &Buffers<'b>, update: &Update, absent: &'b wgpu::Buffer, count: usize) -> Vec<Slice<'b>> {
    let bytes = 4 * state_stride(update.length) as u64;
    let place = |number: usize| match number < update.optimizer.states() {
        true => Slice { buffer: buffers.states, offset: number as u64 * bytes, size: Some(bytes) },
        false => Slice { buffer: absent, offset: 256 * number as u64, size: Some(256) },
    };
    (0..count).map(place).collect()
}

/// Rows and columns of all matrices.
fn lines(segments: &[Segment]) -> usize {
    segment_words(segments).last().map_or(0, |&lines| lines as usize)
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct CombineParams {
    length: u32,
    offset: u32,
    factors: [f32; 2],
}

impl CombineParams {
    fn new(length: usize, offset: usize, factors: [f64; 2]) -> Self {
        CombineParams { length: length as u32, offset: offset as u32, factors: factors.map(|factor| factor as f32) }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct AverageParams {
    length: u32,
    weight: f32,
    reserved: [u32; 2],
}

/// A step that is made once and run many times, each time with other numbers: for cases, checks and the benchmark.
#[derive(Debug)]
pub(crate) struct Runner {
    gpu: Gpu,
    commands: Vec<Command>,
    uniform: wgpu::Buffer,
    length: usize,
    /// What of the treatment stands in the uniform.
    params: OptimizerParams,
    pub states: wgpu::Buffer,
}

impl Runner {
    /// A step over buffers of parameters and gradients, with fresh states.
    pub fn new(gpu: &Gpu, job: &Update, parameters: &wgpu::Buffer, gradients: &wgpu::Buffer) -> Result<Self> {
        let states = first_states(gpu, job)?;
        let words = segment_words(job.treatment.segments);
        let segments = gpu.upload("segments", if words.is_empty() { &[0; 8] } else { &words[..] })?;
        let not_finite = gpu.buffer("steps that were skipped", 4)?;
        let uniform = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("a step"),
            size: 256,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("a step", 256)?;
        let buffers = Buffers {
            segments: &segments,
            parameters,
            gradients,
            states: &states,
            not_finite: &not_finite,
            uniform: &uniform,
        };
        let commands = update(gpu, job, &buffers)?.into_iter().map(|stepped| stepped.command).collect();
        let params = OptimizerParams::new(job.length, &job.treatment, &job.optimizer.step(1, 0.0));
        Ok(Runner { gpu: gpu.clone(), commands, uniform, length: job.length, params, states })
    }

    /// Writes the numbers of a step; the next run takes them.
    pub fn set(&self, step: &Step) {
        let params = OptimizerParams { step: step.cast::<f32>().words(), ..self.params };
        self.gpu.queue().write_buffer(&self.uniform, 0, bytemuck::bytes_of(&params));
    }

    /// The commands of a step.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// One step.
    ///
    /// # Errors
    /// What the device reports.
    pub fn run(&self, step: &Step) -> Result<()> {
        self.set(step);
        self.gpu.submit(&self.commands)
    }

    /// A state as it is now.
    ///
    /// # Errors
    /// What the device reports.
    pub fn state(&self, number: usize) -> Result<Vec<f32>> {
        let at = number * state_stride(self.length);
        pollster::block_on(self.gpu.download(&self.states, at, self.length))
    }
}

/// A buffer of the states that training begins with, and of a running average that begins at 0.
pub(crate) fn first_states(gpu: &Gpu, job: &Update) -> Result<wgpu::Buffer> {
    let count = job.optimizer.states() + usize::from(job.average.is_some());
    let stride = state_stride(job.length);
    let mut values = vec![0.0_f32; count.max(1) * stride];
    for (state, first) in values.chunks_exact_mut(stride).zip(job.optimizer.initial_states()) {
        state[..job.length].fill(first as f32);
    }
    gpu.upload("optimizer states", &values)
}

/// Refuses a tensor table that a rule cannot do with.
pub(crate) fn check(update: &Update) -> Result<()> {
    if update.optimizer.layerwise().is_some() && update.treatment.segments.is_empty() {
        return Err(Error::Empty { operation: update.optimizer.name().into(), name: "the tensors".into() });
    }
    Ok(())
}

/// Every program of this file, for the checks of the shaders.
pub(crate) fn programs(optimizers: &[Box<dyn Optimizer>]) -> Vec<Program> {
    let clips =
        [None, Some(Clip::GlobalNorm { limit: 1.0, epsilon: 0.0 }), Some(Clip::Value(1.0)), Some(Clip::Norm(1.0))];
    let mut programs = vec![combine_program(false), combine_program(true)];
    programs.extend([layer_join_program(false), layer_join_program(true)]);
    for lanes in [8, 256] {
        programs.extend([norm_program(lanes), clip_program(lanes)]);
        programs.extend([false, true].map(|penalized| layer_norms_program(lanes, penalized)));
    }
    for clip in clips {
        let treatment = Treatment { clip, skip_non_finite: clip.is_some(), ..Treatment::default() };
        programs.push(average_program(&treatment));
        programs.push(treat_program(&treatment, EACH));
        for lanes in [8, 256] {
            programs.extend([LAYER_MEANS, LAYER_MEAN_OF_ROWS].map(|file| means_program(file, &treatment, lanes)));
        }
        for optimizer in optimizers {
            if optimizer.layerwise().is_none() {
                programs.push(optimizer_program(&**optimizer, &treatment));
                continue;
            }
            programs.push(direction_program(&**optimizer, &treatment, EACH));
            programs.push(settle_program(&**optimizer, &treatment, EACH));
        }
    }
    programs
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
