//! Small networks on a GPU: a workgroup trains a whole model, many steps in one dispatch, many members side by side.

use std::time::{Duration, Instant};

use crate::device::Gpu;
use crate::kernel::Slice;
use crate::kernels::whole::{BATCH, Form, Mode, Params, Planes, TURN, whole};
use crate::layers::Network;
use crate::tensor::Reading;
use crate::train::crowd::Turn;
use crate::train::engine::{Batch, Objective, Outcome};
use crate::{Error, Result};

/// Parameters of a network that a workgroup takes whole.
pub(crate) const MOST_PARAMETERS: usize = 16_384;

/// A dispatch should not keep the device longer.
const SUBMISSION: Duration = Duration::from_millis(40);

/// Steps of a dispatch at the most.
const MOST_STEPS: usize = 1024;

/// Words of the table of a dispatch at the most: 8 MiB.
const MOST_WORDS: usize = 2 << 20;

/// Kernels read up to three numbers behind the end of parameters and scratch, and use none of them.
pub(crate) const MARGIN: usize = 4;

/// What the members of a population hold on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub parameters: &'a wgpu::Buffer,
    pub states: [&'a wgpu::Buffer; 2],
}

/// Rows on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsOnDevice<'a> {
    pub features: &'a wgpu::Buffer,
    pub targets: &'a wgpu::Buffer,
    pub labels: bool,
    /// Which rows have an ignored label; empty if none has.
    pub ignored: &'a [bool],
}

/// The kernel's scratch, and how much of it goes into a dispatch.
#[derive(Debug)]
pub(crate) struct WholeModels {
    gpu: Gpu,
    network: Network,
    planes: Planes,
    form: Form,
    scratch: Option<Scratch>,
    at_once: usize,
}

#[derive(Debug)]
struct Scratch {
    buffer: wgpu::Buffer,
    /// Rows of a batch that it has room for.
    capacity: usize,
    /// Workgroups that it has room for.
    turns: usize,
}

/// One batch as the table holds it.
#[derive(Clone, Copy)]
struct Piece {
    batch: Batch,
    mode: Mode,
    factor: f32,
}

impl WholeModels {
    pub fn new(gpu: &Gpu, network: &Network) -> Self {
        let form = Form::of(gpu.is_software(), network);
        let planes = Planes::new(network);
        WholeModels { gpu: gpu.clone(), network: network.clone(), planes, form, scratch: None, at_once: 1 }
    }

    /// Numbers of a workgroup's scratch.
    fn work(&self, capacity: usize) -> usize {
        (self.network.length + capacity * self.planes.width).next_multiple_of(4)
    }

    /// Makes room for batches of so many rows in as many workgroups as fit a binding; gives back how many.
    fn reserve(&mut self, rows: usize, turns: usize) -> Result<usize> {
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
        let turns = turns.min(most);
        if !self.scratch.as_ref().is_some_and(|s| s.capacity == capacity && s.turns >= turns) {
            let buffer = self.gpu.buffer("scratch of whole models", turns * self.work(capacity) + MARGIN)?;
            self.scratch = Some(Scratch { buffer, capacity, turns });
        }
        Ok(turns)
    }

    /// Trains members on their batches.
    pub fn train(&mut self, held: Held, rows: RowsOnDevice, turns: &[Turn]) -> Result<Vec<Vec<Outcome>>> {
        let columns = self.network.outputs();
        let pieces: Vec<Vec<Piece>> = turns
            .iter()
            .map(|turn| {
                let piece = |batch: &Batch| Piece {
                    batch: *batch,
                    mode: if batch.update.is_some() { Mode::Train } else { Mode::Gradient },
                    factor: factor(turn.objective, batch, columns, rows.ignored),
                };
                turn.batches.iter().map(piece).collect()
            })
            .collect();
        self.run(held, rows, turns, &pieces)
    }

    /// Losses of members on batches, in pieces that the scratch of a training has room for.
    pub fn evaluate(&mut self, held: Held, rows: RowsOnDevice, turns: &[Turn]) -> Result<Vec<Vec<Outcome>>> {
        let size = self.scratch.as_ref().map_or(64, |scratch| scratch.capacity);
        let columns = self.network.outputs();
        let pieces: Vec<Vec<Piece>> = turns
            .iter()
            .map(|turn| {
                let cut = |batch: &Batch| {
                    let (batch, factor) = (*batch, factor(turn.objective, batch, columns, rows.ignored));
                    (0..batch.rows).step_by(size).map(move |first| Piece {
                        batch: Batch { start: batch.start + first, rows: size.min(batch.rows - first), ..batch },
                        mode: Mode::Evaluate,
                        factor,
                    })
                };
                turn.batches.iter().flat_map(cut).collect()
            })
            .collect();
        let found = self.run(held, rows, turns, &pieces)?;
        let joined = |(turn, found): (&Turn, Vec<Outcome>)| {
            let mut found = found.into_iter();
            let join = |batch: &Batch| {
                let sum =
                    |sum: Outcome, o: Outcome| Outcome { loss: sum.loss + o.loss, correct: sum.correct + o.correct };
                found.by_ref().take(batch.rows.div_ceil(size)).fold(Outcome::default(), sum)
            };
            turn.batches.iter().map(join).collect()
        };
        Ok(turns.iter().zip(found).map(joined).collect())
    }

    /// Predictions of members 0, 1, … for rows in their order, [rows, outputs] each.
    pub fn predict(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        objectives: &[Objective],
        count: usize,
    ) -> Result<Vec<Vec<f64>>> {
        let outputs = self.network.outputs();
        let mut predictions = vec![Vec::with_capacity(count * outputs); objectives.len()];
        let size = self.scratch.as_ref().map_or(64, |scratch| scratch.capacity);
        for start in (0..count).step_by(size) {
            let now = size.min(count - start);
            let batch = Batch { start, rows: now, order: None, divisor_rows: None, accumulate: false, update: None };
            let pieces = vec![vec![Piece { batch, mode: Mode::Predict, factor: 0.0 }]];
            let mut member = 0;
            while member < objectives.len() {
                let wave = self.reserve(size, objectives.len() - member)?;
                let turn = |member: usize| Turn { member, objective: &objectives[member], batches: Vec::new() };
                let turns: Vec<Turn> = (member..member + wave).map(turn).collect();
                self.submit(held, rows, &turns, &vec![pieces[0].clone(); wave], 0..1)?;
                let work = self.work(self.scratch.as_ref().map_or(0, |s| s.capacity));
                let at = self.network.length + self.scratch.as_ref().map_or(0, |s| s.capacity) * self.planes.outputs;
                let Some(scratch) = &self.scratch else { break };
                let readings: Vec<Reading> = (0..wave)
                    .map(|turn| self.gpu.begin_download(&scratch.buffer, turn * work + at, now * outputs))
                    .collect::<Result<_>>()?;
                for reading in readings {
                    let values: Vec<f32> = pollster::block_on(self.gpu.finish_download(reading))?;
                    predictions[member].extend(values.into_iter().map(f64::from));
                    member += 1;
                }
            }
        }
        Ok(predictions)
    }

    /// Runs the pieces of all turns, as many members at a time as there is scratch for, as many steps to a dispatch as its
    /// time allows. The next dispatch is made while the last one runs.
    fn run(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        turns: &[Turn],
        pieces: &[Vec<Piece>],
    ) -> Result<Vec<Vec<Outcome>>> {
        let longest = pieces.iter().flatten().map(|piece| piece.batch.rows).max().unwrap_or(1);
        let mut outcomes = Vec::with_capacity(turns.len());
        while outcomes.len() < turns.len() {
            let first = outcomes.len();
            let wave = self.reserve(longest, turns.len() - first)?;
            outcomes.extend(self.run_wave(held, rows, &turns[first..first + wave], &pieces[first..first + wave])?);
        }
        Ok(outcomes)
    }

    fn run_wave(
        &mut self,
        held: Held,
        rows: RowsOnDevice,
        turns: &[Turn],
        pieces: &[Vec<Piece>],
    ) -> Result<Vec<Vec<Outcome>>> {
        let steps = pieces[0].len();
        let mut outcomes = vec![Vec::with_capacity(steps); turns.len()];
        let most = (MOST_WORDS / (turns.len() * BATCH)).clamp(1, MOST_STEPS);
        let (mut done, mut running, mut last) = (0, None::<(Reading, usize)>, Instant::now());
        while done < steps || running.is_some() {
            let before = running.take();
            let now = self.at_once.min(most).min(steps - done);
            if now > 0 {
                let results = self.submit(held, rows, turns, pieces, done..done + now)?;
                running = Some((self.gpu.begin_download(&results, 0, 2 * turns.len() * now)?, now));
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

    /// Takes as many steps to a dispatch as its time allows.
    fn adapt(&mut self, steps: usize, elapsed: Duration) {
        let each = elapsed.as_secs_f64() / steps as f64;
        let fitting = (SUBMISSION.as_secs_f64() / each.max(1e-9)) as usize;
        // Growing by no more than four times: the first dispatch compiles the pipeline and says little.
        self.at_once = fitting.clamp(1, (4 * self.at_once).min(MOST_STEPS));
    }

    /// Submits the steps of a range for all turns; gives back where their outcomes will stand.
    fn submit(
        &self,
        held: Held,
        rows: RowsOnDevice,
        turns: &[Turn],
        pieces: &[Vec<Piece>],
        range: std::ops::Range<usize>,
    ) -> Result<wgpu::Buffer> {
        let gpu = &self.gpu;
        let objectives: Vec<&Objective> = turns.iter().map(|turn| turn.objective).collect();
        let linked = whole(&self.network, &objectives, rows.labels, self.form);
        let kernel = gpu.kernel(&linked.program)?;
        let mut table: Vec<u32> = Vec::new();
        for ((turn, options), pieces) in turns.iter().zip(&linked.options).zip(pieces) {
            table.push(turn.member as u32);
            table.push(turn.objective.clip_norm.map_or(0, |limit| (limit as f32).to_bits()));
            table.extend(options.iter().map(|option| option.to_bits()));
            pieces[range.clone()].iter().for_each(|piece| table.extend(piece.words()));
        }
        let results = gpu.buffer("losses of whole models", 2 * turns.len() * range.len())?;
        let Some(scratch) = &self.scratch else { return Ok(results) };
        let params = Params {
            turns: turns.len() as u32,
            steps: range.len() as u32,
            turn_words: (TURN + linked.options[0].len() + range.len() * BATCH) as u32,
            stride: self.network.length as u32,
            work: self.work(scratch.capacity) as u32,
            capacity: scratch.capacity as u32,
            plane: 0,
            reserved: 0,
        };
        let table = gpu.upload("the batches of whole models", &table)?;
        let [first, second] = held.states;
        let storage = [rows.features, rows.targets, &table, held.parameters, first, second, &scratch.buffer, &results];
        let command = gpu.dispatch(&kernel, &params, &storage.map(Slice::from), turns.len() as u32)?;
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
            let numbers = [step.learning_rate, step.correction_first, step.correction_second, step.is_first];
            words[8..12].copy_from_slice(&numbers.map(f32::to_bits));
        }
        if let Some(order) = &batch.order {
            words[12..20].copy_from_slice(&order.keys());
        }
        words
    }
}

/// The factor of a batch's loss. Ignored labels are counted here: where each row comes from is known on both sides.
fn factor(objective: &Objective, batch: &Batch, columns: usize, ignored: &[bool]) -> f32 {
    if ignored.is_empty() || batch.divisor_rows.is_some() {
        return objective.factor(batch.divisor_rows.unwrap_or(batch.rows), columns) as f32;
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
