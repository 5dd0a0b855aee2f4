//! Token embedding: the table row of each id, [tokens] → [tokens, width]. PyTorch and Keras
//! `Embedding`.
//!
//! The table is an ordinary parameter with a dense gradient: the sum of dL/dy over the places of
//! each row's id, 0 for a row that no id of the batch names. So an optimizer moves all rows, as in
//! PyTorch with `sparse=False`, and another op may share the table (`tied_dense`). For a table of
//! which a batch names few rows see `embedding`.
//!
//! The ids of a batch are sorted, and the places of each row summed in order, in the blocks of
//! `shaders/ops/token_embedding/token_embedding_runs.wgsl`.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::embedding::host::gather_rows;
use crate::nn::embedding::kernels::{BLOCK, Sizes};
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::ops::column_sums::cells_file;
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::sort::Sorter;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const GATHER: File = shader!("ops/token_embedding/token_embedding_gather.wgsl");
const STARTS: File = shader!("ops/token_embedding/token_embedding_starts.wgsl");
const RUNS: File = shader!("ops/token_embedding/token_embedding_runs.wgsl");
const PARTS: File = shader!("ops/token_embedding/token_embedding_parts.wgsl");
const GRADIENT: File = shader!("ops/token_embedding/token_embedding_gradient.wgsl");

pub(crate) static ENTRY: Entry = Entry { name: "token_embedding", examples, programs };

/// A table of `vocabulary` vectors of `width` numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenEmbedding {
    pub vocabulary: usize,
    pub width: usize,
    pub initial: Initial,
}

impl TokenEmbedding {
    /// Initialized normally with deviation 0.02, as GPT-2 and BERT; PyTorch's `Embedding` takes 1.
    pub fn new(vocabulary: usize, width: usize) -> Self {
        TokenEmbedding { vocabulary, width, initial: Initial::Normal(0.02) }
    }

    /// Sizes of the table and of a batch of ids.
    fn sizes(&self, ids: usize) -> Result<Sizes> {
        let sizes = Sizes { ids, rows: self.vocabulary, width: self.width };
        sizes.check(ENTRY.name)?;
        Ok(sizes)
    }

    /// True if rows are read in vectors of four; the numbers of a cell.
    fn cell(&self) -> (bool, usize) {
        if self.width.is_multiple_of(4) { (true, 4) } else { (false, 1) }
    }
}

fn examples() -> Vec<Example> {
    let example = |vocabulary: usize, width: usize, tokens: usize| Example {
        op: Box::new(TokenEmbedding::new(vocabulary, width)),
        inputs: vec![vec![tokens]],
    };
    // Rows that occur often and rows that never do; one row; vectors.
    vec![example(5, 3, 4), example(40, 2, 3), example(1, 1, 1), example(6, 4, 5)]
}

fn program(label: &str, files: &[File], vec4: bool, lanes: f64) -> Program {
    let files = [files, &[cells_file(vec4)]].concat();
    Program::plain(label, &files, vec![("WORKGROUP", lanes)])
}

fn gather_program(vec4: bool, lanes: f64) -> Program {
    program("token embedding", &[GATHER], vec4, lanes)
}

fn starts_program(lanes: f64) -> Program {
    Program::plain("token embedding, its runs", &[STARTS], vec![("WORKGROUP", lanes)])
}

fn parts_program(vec4: bool, lanes: f64) -> Program {
    program("token embedding, its gradient's parts", &[PARTS, RUNS], vec4, lanes)
}

fn gradient_program(vec4: bool, lanes: f64) -> Program {
    program("token embedding, its gradient", &[GRADIENT, RUNS], vec4, lanes)
}

fn programs() -> Vec<Program> {
    let mut programs: Vec<Program> = [8.0, 64.0].map(starts_program).into();
    for (vec4, lanes) in [(false, 8.0), (true, 8.0), (false, 64.0), (true, 64.0)] {
        programs.push(gather_program(vec4, lanes));
        programs.extend([parts_program(vec4, lanes), gradient_program(vec4, lanes)]);
    }
    programs
}

impl Op for TokenEmbedding {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        for (name, size) in [("vocabulary", self.vocabulary), ("width", self.width)] {
            if size == 0 || size > 1 << 24 {
                return Err(Error::option(ENTRY.name, name, size, "from 1 to 16777216"));
            }
        }
        match inputs {
            [shape] if shape.len() == 1 => Ok(vec![shape[0], self.width]),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "one input of shape [ids]".into(),
            }),
        }
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.vocabulary, self.width],
            initial: self.initial,
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        }]
    }

    fn takes_ids(&self) -> Option<usize> {
        Some(self.vocabulary)
    }

    /// On a GPU the ids are the graph's input, which backward reads again.
    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: true, ..Saves::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (gpu, ids) = (recorder.gpu(), io.inputs[0]);
        let sizes = self.sizes(io.rows * ids.width)?;
        let (lanes, (vec4, numbers)) = (lanes_of(gpu.is_software()), self.cell());
        let kernel = gpu.kernel(&gather_program(vec4, lanes.into()))?;
        let [count, cells, rows, offset] =
            [sizes.ids, sizes.width / numbers, sizes.rows, io.parameters.ranges[0].start / numbers]
                .map(|number| number as u32);
        let params = [count, cells, rows, f32::NAN.to_bits(), offset, 0, 0, 0];
        let storage = [ids.buffer, io.parameters.all, io.output.buffer].map(Into::into);
        recorder.dispatch(&kernel, &params, &storage, (count * cells).div_ceil(lanes))
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (gpu, ids) = (recorder.gpu(), io.inputs[0]);
        let sizes = self.sizes(io.rows * ids.width)?;
        let (lanes, (vec4, numbers)) = (lanes_of(gpu.is_software()), self.cell());
        let sorter = Sorter::new(&gpu, sizes.ids)?;
        let (commands, sorted) = sorter.sort(&gpu, ids.buffer, sizes.rows)?;
        recorder.extend(commands);
        let [count, cells, rows, offset] =
            [sizes.ids, sizes.width / numbers, sizes.rows, io.parameters.ranges[0].start / numbers]
                .map(|number| number as u32);
        let starts = recorder.scratch("places of a table's rows", sizes.rows + 1)?;
        let kernel = gpu.kernel(&starts_program(lanes.into()))?;
        let storage = [sorted.into(), (&starts).into()];
        recorder.dispatch(&kernel, &[count, rows, 0, 0], &storage, (rows + 1).div_ceil(lanes))?;
        let params = [count, cells, rows, offset, u32::from(io.accumulate), 0, 0, 0];
        let blocks = sizes.ids.div_ceil(BLOCK);
        let parts = recorder.scratch("parts of a row's gradient", blocks * sizes.width)?;
        if blocks > 1 {
            let kernel = gpu.kernel(&parts_program(vec4, lanes.into()))?;
            let storage = [sorted, &starts, io.grad_output, &parts].map(Into::into);
            let workgroups = ((blocks as u32 - 1) * cells).div_ceil(lanes);
            recorder.dispatch(&kernel, &params, &storage, workgroups)?;
        }
        let kernel = gpu.kernel(&gradient_program(vec4, lanes.into()))?;
        let gradients = io.parameters.gradients;
        let storage = [sorted, &starts, io.grad_output, &parts, gradients].map(Into::into);
        recorder.dispatch(&kernel, &params, &storage, (rows * cells).div_ceil(lanes))
    }
}

impl<R: Real> Cpu<R> for TokenEmbedding {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        gather_rows((io.parameters.get(0), self.width), io.ids, io.output);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (starts, places) = sorted(io.ids, self.vocabulary);
        let (upstream, width, accumulate) = (&*io.grad_output, self.width, io.accumulate);
        let mut gradients = io.grad_parameters;
        // The sizes of the parts decide nothing but the balance: a row's sum has its own order.
        let is_small = upstream.len() <= parallel::PIECE;
        let rows = self.vocabulary.div_ceil(if is_small { 1 } else { 64 });
        let of_rows = |part: &mut Vec<R>, (number, gradients): (usize, &mut [R])| {
            for (row, gradient) in (number * rows..).zip(gradients.chunks_exact_mut(width)) {
                if !accumulate {
                    gradient.fill(R::ZERO);
                }
                let places = &places[starts[row]..starts[row + 1]];
                R::dispatch(
                    #[inline(always)]
                    || add_rows(upstream, starts[row], places, part, gradient),
                );
            }
        };
        let part = || vec![R::ZERO; width];
        gradients.get(0).par_chunks_mut(rows * width).enumerate().for_each_init(part, of_rows);
        Ok(())
    }
}

/// Positions by id and, for equal ids, in order; those of id i are at starts[i]..starts[i + 1].
fn sorted(ids: &[i32], vocabulary: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; vocabulary + 1];
    ids.iter().for_each(|&id| starts[id as usize + 1] += 1);
    for id in 0..vocabulary {
        starts[id + 1] += starts[id];
    }
    let (mut next, mut places) = (starts.clone(), vec![0; ids.len()]);
    for (&id, position) in ids.iter().zip(0..) {
        let place = &mut next[id as usize];
        places[*place] = position;
        *place += 1;
    }
    (starts, places)
}

/// gradient += the rows of `upstream` at `places`, which are those from `first` on among the sorted
/// ids: a sum for each block.
#[inline(always)]
fn add_rows<R: Real>(
    upstream: &[R],
    first: usize,
    places: &[u32],
    part: &mut [R],
    gradient: &mut [R],
) {
    let width = gradient.len();
    let row = |place: u32| &upstream[place as usize * width..][..width];
    let mut rest = places;
    let mut until_end = BLOCK - first % BLOCK;
    while !rest.is_empty() {
        let (block, behind) = rest.split_at(until_end.min(rest.len()));
        (rest, until_end) = (behind, BLOCK);
        part.copy_from_slice(row(block[0]));
        for &place in &block[1..] {
            part.iter_mut().zip(row(place)).for_each(|(sum, &g)| *sum += g);
        }
        gradient.iter_mut().zip(&*part).for_each(|(sum, &g)| *sum += g);
    }
}
