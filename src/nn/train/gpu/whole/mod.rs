//! Fused small-model kernel on a GPU: a workgroup trains a whole model, many steps per dispatch,
//! many members in parallel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::nn::graph::chain::DenseChain;
use crate::nn::train::batched_engine::MemberBatches;
use crate::nn::train::engine::{Batch, Outcome, TrainingSpec};
use crate::nn::train::small::{
    ActivationBuffers, BATCH, LaunchConfig, MEMBER_STEP, Mode, Params, whole,
};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Kernel, Slice};
use crate::runtime::tensor::Reading;
use crate::{Error, Result};

/// Maximum parameters of a network in a population's fused dispatches.
pub(crate) fn most_parameters(gpu: &Gpu) -> usize {
    // On a software adapter the loads of a larger model cost as much as the launches saved.
    if gpu.is_software() { 2048 } else { 16_384 }
}

/// Target time of a dispatch.
const SUBMISSION: Duration = Duration::from_millis(40);

/// Maximum steps per dispatch.
const MOST_STEPS: usize = 1024;

/// Rows × parameters up to which a single model is trained by one workgroup. Estimated for
/// hardware: the ten launches of a step cost some 40 µs, in which one of many processors computes
/// about a million products three times.
const WORTH: usize = 1 << 20;

/// The same on software adapters, where a workgroup has one thread and a launch costs some 100 µs.
/// Measured on llvmpipe, two cores: 5-16-3 at batch 32 0.06 ms a step against 0.35 ms, 784-10-10 at
/// batch 64 1.4 against 1.3.
const WORTH_ON_SOFTWARE: usize = 1 << 16;

/// Maximum rows of a micro-batch: a longer batch is accumulated over several.
const MOST_ROWS: usize = 1024;

/// Maximum loop iterations of a thread in one dispatch on a software adapter, with a margin:
/// llvmpipe counts all iterations of all loops of a shader together and silently exits every loop
/// after 65,535.
const MAX_LOOP_ITERATIONS: usize = 50_000;

/// Maximum words of a dispatch's table: 8 MiB.
const MOST_WORDS: usize = 2 << 20;

/// Kernels read up to three numbers past the end of parameters and scratch, and ignore them.
pub(crate) const MARGIN: usize = 4;

/// A population's buffers on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub parameters: &'a wgpu::Buffer,
    /// All states of each member, stored consecutively, `state_stride` numbers each.
    pub states: &'a wgpu::Buffer,
}

/// Rows on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsOnDevice<'a> {
    pub features: &'a wgpu::Buffer,
    pub targets: &'a wgpu::Buffer,
    pub labels: bool,
    /// True for each row with an ignored label; empty if there are none.
    pub ignored: &'a [bool],
}

/// The kernel's scratch, and its work per dispatch.
#[derive(Debug)]
pub(crate) struct SmallModels {
    gpu: Gpu,
    chain: DenseChain,
    activation_buffers: ActivationBuffers,
    launch_config: LaunchConfig,
    scratch: Option<Scratch>,
    /// Maximum rows of a micro-batch.
    piece_rows: usize,
    at_once: usize,
    /// Skipped steps of each member step in the last training.
    skipped: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Scratch {
    buffer: wgpu::Buffer,
    /// Allocated rows per batch.
    capacity: usize,
    /// Allocated workgroups.
    member_steps: usize,
}

/// The kernel with its bindings, and the options of each member.
#[derive(Debug)]
struct Linked {
    kernel: Arc<Kernel>,
    options: Vec<Vec<f32>>,
    limits: Vec<f32>,
    /// Features, targets, parameters and states.
    buffers: [wgpu::Buffer; 4],
}

/// One micro-batch as an entry of the table.
#[derive(Clone, Copy)]
struct Piece {
    batch: Batch,
    mode: Mode,
    factor: f32,
}

impl SmallModels {
    pub fn new(gpu: &Gpu, chain: &DenseChain) -> Self {
        Self::with_launch_config(gpu, chain, LaunchConfig::of(gpu.is_software(), chain))
    }

    fn with_launch_config(gpu: &Gpu, chain: &DenseChain, launch_config: LaunchConfig) -> Self {
        let mut piece_rows = MOST_ROWS;
        while gpu.is_software()
            && piece_rows > 4
            && launch_config.loop_iterations(chain, piece_rows) > MAX_LOOP_ITERATIONS
        {
            piece_rows /= 2;
        }
        let activation_buffers = ActivationBuffers::new(chain);
        let (gpu, chain) = (gpu.clone(), chain.clone());
        SmallModels {
            gpu,
            chain,
            activation_buffers,
            launch_config,
            scratch: None,
            piece_rows,
            at_once: 1,
            skipped: Vec::new(),
        }
    }

    /// True if one workgroup trains a single model faster than separate dispatches.
    pub fn is_worth(&self, rows: usize) -> bool {
        let work = rows * self.chain.length;
        let most = if self.gpu.is_software() { WORTH_ON_SOFTWARE } else { WORTH };
        self.chain.length <= most_parameters(&self.gpu) && work <= most
    }

    /// Length of a workgroup's scratch.
    fn work(&self, capacity: usize) -> usize {
        (self.chain.length + capacity * self.activation_buffers.width).next_multiple_of(4)
    }

    /// Scratch for batches of `rows` rows in as many workgroups as fit a binding, and their number.
    fn reserve(&mut self, rows: usize, member_steps: usize) -> Result<(usize, Scratch)> {
        let capacity = rows.next_multiple_of(4);
        let fitting = (self.gpu.limits().max_storage_buffer_binding_size / 4) as usize;
        let most = (fitting - MARGIN) / self.work(capacity);
        if most == 0 {
            return Err(Error::TooLarge {
                name: format!("a batch of {rows} rows"),
                bytes: 4 * self.work(capacity) as u64,
                limit: self.gpu.limits().max_storage_buffer_binding_size,
                advice: "use smaller batches".into(),
            });
        }
        let member_steps = member_steps.min(most);
        let fits = |s: &&Scratch| s.capacity == capacity && s.member_steps >= member_steps;
        if let Some(scratch) = self.scratch.as_ref().filter(fits) {
            return Ok((member_steps, scratch.clone()));
        }
        let length = member_steps * self.work(capacity) + MARGIN;
        let buffer = self.gpu.buffer("scratch of whole models", length)?;
        let scratch = Scratch { buffer, capacity, member_steps };
        self.scratch = Some(scratch.clone());
        Ok((member_steps, scratch))
    }

    /// Trains members on their batches. A batch too long for a workgroup is accumulated over
    /// micro-batches.
    pub fn train(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        let size = self.piece_rows;
        let mode = |batch: &Batch, is_last: bool| match batch.update {
            Some(_) if is_last => Mode::Train,
            _ => Mode::Gradient,
        };
        self.run_cut(held, rows, training_specs, member_steps, size, mode)
    }

    /// Skipped steps of each member step in the last training.
    pub fn take_skipped(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.skipped)
    }

    /// Losses of members on batches.
    pub fn evaluate(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        let size =
            self.scratch.as_ref().map_or(64.min(self.piece_rows), |scratch| scratch.capacity);
        self.run_cut(held, rows, training_specs, member_steps, size, |_, _| Mode::Evaluate)
    }

    /// Runs batches in micro-batches of at most `size` rows, and joins their outcomes.
    fn run_cut(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
        size: usize,
        mode: impl Fn(&Batch, bool) -> Mode,
    ) -> Result<Vec<Vec<Outcome>>> {
        let columns = self.chain.outputs();
        let mut pieces: Vec<Vec<Piece>> = Vec::with_capacity(member_steps.len());
        for member_step in member_steps {
            let mut of_member_step = Vec::with_capacity(member_step.batches.len());
            for batch in &member_step.batches {
                let factor =
                    factor(&training_specs[member_step.member], batch, columns, rows.ignored);
                of_member_step.extend((0..batch.rows).step_by(size).map(|first| Piece {
                    batch: Batch {
                        start: batch.start + first,
                        rows: size.min(batch.rows - first),
                        accumulate: batch.accumulate || first > 0,
                        ..*batch
                    },
                    mode: mode(batch, first + size >= batch.rows),
                    factor,
                }));
            }
            pieces.push(of_member_step);
        }
        let found = self.run(&self.link(training_specs, held, rows)?, member_steps, &pieces)?;
        let skipped =
            |found: &Vec<Outcome>| found.iter().filter(|outcome| outcome.correct < 0.0).count();
        self.skipped = found.iter().map(skipped).collect();
        let joined = |(member_step, found): (&MemberBatches, Vec<Outcome>)| {
            let mut found = found.into_iter();
            // A negative number encodes −1 − the correct rows of a skipped step.
            let right = |correct: f64| if correct < 0.0 { -1.0 - correct } else { correct };
            let sum = |sum: Outcome, o: Outcome| Outcome {
                loss: sum.loss + o.loss,
                correct: sum.correct + right(o.correct),
            };
            let join = |batch: &Batch| {
                found.by_ref().take(batch.rows.div_ceil(size)).fold(Outcome::default(), sum)
            };
            member_step.batches.iter().map(join).collect()
        };
        Ok(member_steps.iter().zip(found).map(joined).collect())
    }

    /// Predictions of each member for rows in order, [rows, outputs].
    pub fn predict(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        training_specs: &[TrainingSpec],
        count: usize,
    ) -> Result<Vec<Vec<f64>>> {
        let linked = self.link(training_specs, held, rows)?;
        let (members, outputs) = (training_specs.len(), self.chain.outputs());
        let size =
            self.scratch.as_ref().map_or(64.min(self.piece_rows), |scratch| scratch.capacity);
        let mut predictions = vec![Vec::with_capacity(count * outputs); members];
        for start in (0..count).step_by(size) {
            let rows = size.min(count - start);
            let batch = Batch {
                start,
                rows,
                order: None,
                divisor_rows: None,
                accumulate: false,
                update: None,
                noise: [0; 4],
            };
            let mut member = 0;
            while member < members {
                let (wave, scratch) = self.reserve(size, members - member)?;
                let member_steps: Vec<MemberBatches> = (member..member + wave)
                    .map(|member| MemberBatches { member, batches: Vec::new() })
                    .collect();
                let piece = Piece { batch, mode: Mode::Predict, factor: 0.0 };
                self.submit(&linked, &scratch, &member_steps, &vec![vec![piece]; wave], 0..1)?;
                for values in self.outputs_of(&scratch, wave, rows * outputs)? {
                    predictions[member].extend(values.into_iter().map(f64::from));
                    member += 1;
                }
            }
        }
        Ok(predictions)
    }

    /// The last layer's outputs in the scratch of each workgroup.
    fn outputs_of(
        &self,
        scratch: &Scratch,
        member_steps: usize,
        length: usize,
    ) -> Result<Vec<Vec<f32>>> {
        let at = self.chain.length + scratch.capacity * self.activation_buffers.outputs;
        let place = |member_step: usize| member_step * self.work(scratch.capacity) + at;
        let begin = |member_step: usize| {
            self.gpu.begin_download(&scratch.buffer, place(member_step), length)
        };
        let readings = (0..member_steps).map(begin).collect::<Result<Vec<Reading>>>()?;
        readings
            .into_iter()
            .map(|reading| pollster::block_on(self.gpu.finish_download(reading)))
            .collect()
    }

    /// Runs the micro-batches of all member steps, as many members at a time as there is scratch
    /// for, as many steps per dispatch as the target time allows. The next dispatch is encoded
    /// while the previous one runs.
    fn run(
        &mut self,
        linked: &Linked,
        member_steps: &[MemberBatches],
        pieces: &[Vec<Piece>],
    ) -> Result<Vec<Vec<Outcome>>> {
        let longest = pieces.iter().flatten().map(|piece| piece.batch.rows).max().unwrap_or(1);
        let mut outcomes = Vec::with_capacity(member_steps.len());
        while outcomes.len() < member_steps.len() {
            let first = outcomes.len();
            let (wave, scratch) = self.reserve(longest, member_steps.len() - first)?;
            outcomes.extend(self.run_wave(
                linked,
                &scratch,
                &member_steps[first..first + wave],
                &pieces[first..first + wave],
            )?);
        }
        Ok(outcomes)
    }

    fn run_wave(
        &mut self,
        linked: &Linked,
        scratch: &Scratch,
        member_steps: &[MemberBatches],
        pieces: &[Vec<Piece>],
    ) -> Result<Vec<Vec<Outcome>>> {
        let steps = pieces[0].len();
        let mut outcomes = vec![Vec::with_capacity(steps); member_steps.len()];
        let mut most = (MOST_WORDS / (member_steps.len() * BATCH)).clamp(1, MOST_STEPS);
        if self.gpu.is_software() {
            let longest = pieces.iter().flatten().map(|piece| piece.batch.rows).max().unwrap_or(1);
            most = most
                .min(MAX_LOOP_ITERATIONS / self.launch_config.loop_iterations(&self.chain, longest))
                .max(1);
        }
        let (mut done, mut running, mut last) = (0, None::<(Reading, usize)>, Instant::now());
        while done < steps || running.is_some() {
            let before = running.take();
            let now = self.at_once.min(most).min(steps - done);
            if now > 0 {
                let results =
                    self.submit(linked, scratch, member_steps, pieces, done..done + now)?;
                running = Some((
                    self.gpu.begin_download(&results, 0, 2 * member_steps.len() * now)?,
                    now,
                ));
                done += now;
            }
            if let Some((reading, count)) = before {
                let words: Vec<f32> = pollster::block_on(self.gpu.finish_download(reading))?;
                for (outcomes, words) in outcomes.iter_mut().zip(words.chunks_exact(2 * count)) {
                    let outcome = |w: &[f32]| Outcome { loss: w[0].into(), correct: w[1].into() };
                    outcomes.extend(words.chunks_exact(2).map(outcome));
                }
                self.adapt(count, last.elapsed());
                last = Instant::now();
            }
        }
        Ok(outcomes)
    }

    /// Adapts the number of steps per dispatch to the measured time.
    fn adapt(&mut self, steps: usize, elapsed: Duration) {
        let each = elapsed.as_secs_f64() / steps as f64;
        let fitting = (SUBMISSION.as_secs_f64() / each.max(1e-9)) as usize;
        // Grow at most fourfold: the first dispatch includes pipeline compilation.
        self.at_once = fitting.clamp(1, (4 * self.at_once).min(MOST_STEPS));
    }

    /// The kernel for all members, active or not: a member's bits must not depend on the other
    /// members still training.
    fn link<'a>(
        &self,
        training_specs: &[TrainingSpec],
        held: Held<'a>,
        rows: RowsOnDevice<'a>,
    ) -> Result<Linked> {
        let whole = whole(
            &self.chain,
            &training_specs.iter().collect::<Vec<_>>(),
            rows.labels,
            self.launch_config,
        );
        let kernel = self.gpu.kernel(&whole.program)?;
        let limit = |training_spec: &TrainingSpec| {
            training_spec.step_options.clip.map_or(0.0, |clip| clip.limit() as f32)
        };
        Ok(Linked {
            kernel,
            options: whole.options,
            limits: training_specs.iter().map(limit).collect(),
            buffers: [rows.features, rows.targets, held.parameters, held.states].map(Clone::clone),
        })
    }

    /// Submits a range of steps for all member steps; returns the location of their outcomes.
    fn submit(
        &self,
        linked: &Linked,
        scratch: &Scratch,
        member_steps: &[MemberBatches],
        pieces: &[Vec<Piece>],
        range: std::ops::Range<usize>,
    ) -> Result<wgpu::Buffer> {
        let gpu = &self.gpu;
        let mut table: Vec<u32> = Vec::new();
        for (member_step, pieces) in member_steps.iter().zip(pieces) {
            table.extend([member_step.member as u32, linked.limits[member_step.member].to_bits()]);
            table.extend(linked.options[member_step.member].iter().map(|option| option.to_bits()));
            pieces[range.clone()].iter().for_each(|piece| table.extend(piece.words()));
        }
        let results = gpu.buffer("losses of whole models", 2 * member_steps.len() * range.len())?;
        let params = Params {
            member_steps: member_steps.len() as u32,
            steps: range.len() as u32,
            member_step_words: (MEMBER_STEP + linked.options[0].len() + range.len() * BATCH) as u32,
            stride: self.chain.length as u32,
            work: self.work(scratch.capacity) as u32,
            capacity: scratch.capacity as u32,
            plane: 0,
            columns: 0,
        };
        let table = gpu.upload("the batches of whole models", &table)?;
        let [features, targets, parameters, states] = &linked.buffers;
        let storage = [features, targets, &table, parameters, states, &scratch.buffer, &results];
        let command = gpu.dispatch(
            &linked.kernel,
            &params,
            &storage.map(Slice::from),
            member_steps.len() as u32,
        )?;
        gpu.submit([&command])?;
        Ok(results)
    }
}

impl Piece {
    fn words(&self) -> [u32; BATCH] {
        let batch = &self.batch;
        let mut words = [0; BATCH];
        words[0] = batch.start as u32;
        words[1] = batch.rows as u32;
        words[2] = batch.order.map_or(0, |order| order.length());
        words[3] = self.mode as u32;
        words[4] = self.factor.to_bits();
        words[5] = u32::from(batch.accumulate);
        if let Some(step) = &batch.update {
            let step = step.cast::<f32>();
            words[8..16].copy_from_slice(&step.words().map(f32::to_bits));
        }
        if let Some(order) = &batch.order {
            words[16..24].copy_from_slice(&order.keys());
        }
        words
    }
}

/// The factor of a batch's loss. Ignored labels are counted on the CPU, which also knows the row
/// order.
fn factor(training_spec: &TrainingSpec, batch: &Batch, columns: usize, ignored: &[bool]) -> f32 {
    if ignored.is_empty() || batch.divisor_rows.is_some() {
        return training_spec.factor(batch.divisor_rows.unwrap_or(batch.rows), columns) as f32;
    }
    let is_kept = |place: usize| {
        let row = batch.order.map_or(place, |order| order.at(place as u32) as usize);
        !ignored.get(row).is_some_and(|&ignored| ignored)
    };
    match (batch.start..batch.start + batch.rows).filter(|&place| is_kept(place)).count() {
        0 => 0.0,
        kept => (1.0 / kept as f64) as f32,
    }
}

#[cfg(test)]
mod tests;
