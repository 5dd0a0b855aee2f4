//! Execution of a graph on a GPU: recorded once, run many times.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::nn::graph::op::{
    GpuBackward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Operand,
};
use crate::nn::graph::plan::{BatchRows, Contribution, Plan, Request, Slot, Tensor};
use crate::nn::ops::add;
use crate::runtime::device::Gpu;
use crate::runtime::recorder::Recorder;
use crate::runtime::tensor::padded;
use crate::{Error, Result};

/// Locations of a graph's parameters, their gradients and its running statistics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    pub all: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    pub table: Option<&'a wgpu::Buffer>,
    pub statistics: &'a wgpu::Buffer,
    /// A `Noise` per batch of a submission.
    pub noise: &'a wgpu::Buffer,
    /// As [`GpuMode::place`].
    pub place: Option<&'a wgpu::Buffer>,
    /// As [`GpuMode::loss_scale`].
    pub loss_scale: Option<&'a wgpu::Buffer>,
}

impl<'a> Weights<'a> {
    fn of(&self, node: &'a Node) -> GpuParameters<'a> {
        GpuParameters {
            all: self.all,
            gradients: self.gradients,
            ranges: &node.ranges,
            table: self.table,
        }
    }
}

/// A graph with the buffers for a batch.
#[derive(Debug)]
pub(crate) struct GpuWalk<'a> {
    graph: &'a Graph,
    weights: Weights<'a>,
    plan: Plan,
    slots: Vec<wgpu::Buffer>,
    rows: usize,
    dummy: wgpu::Buffer,
}

/// Buffers of the walks of one model. Work of one queue runs in order, and a walk writes what it
/// reads: walks over batches of other sizes, and those that measure, share them.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<wgpu::Buffer>>);

impl Pool {
    /// A buffer for each of these numbers of elements: the smallest that it fits into and that no
    /// other of them has, or a new one.
    fn take(&self, gpu: &Gpu, elements: &[usize]) -> Result<Vec<wgpu::Buffer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free: Vec<wgpu::Buffer> = all.clone();
        let mut taken: Vec<Option<wgpu::Buffer>> = vec![None; elements.len()];
        // Largest first: then a batch that is smaller in every value needs no new buffer.
        let mut order: Vec<usize> = (0..elements.len()).collect();
        order.sort_by_key(|&slot| Reverse(elements[slot]));
        for slot in order {
            let size = padded(elements[slot]);
            let fitting = free.iter().enumerate().filter(|(_, buffer)| buffer.size() >= size);
            let smallest = fitting.min_by_key(|(_, buffer)| buffer.size()).map(|(place, _)| place);
            taken[slot] = Some(match smallest {
                Some(place) => free.swap_remove(place),
                None => {
                    let buffer = gpu.buffer("activations", elements[slot])?;
                    all.push(buffer.clone());
                    buffer
                }
            });
        }
        Ok(taken.into_iter().flatten().collect())
    }

    /// Releases the buffers, as soon as no walk has them.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<'a> GpuWalk<'a> {
    /// Takes memory for a batch from the pool.
    pub fn new(
        recorder: &mut Recorder,
        graph: &'a Graph,
        weights: Weights<'a>,
        request: Request,
        batch: BatchRows,
        pool: &Pool,
    ) -> Result<Self> {
        let BatchRows { rows, chunk } = batch;
        let plan = Plan::new(graph, request);
        let elements = |slot: &Slot| slot.elements(rows, chunk);
        let elements: Vec<usize> = plan.slots.iter().map(elements).collect();
        let slots = pool.take(&recorder.gpu(), &elements)?;
        let dummy = recorder.dummy()?;
        Ok(GpuWalk { graph, weights, plan, slots, rows, dummy })
    }

    /// The buffer of a tensor.
    ///
    /// # Errors
    /// [`Error::Input`] for a tensor that this walk does not have.
    pub fn tensor(&self, tensor: Tensor) -> Result<&wgpu::Buffer> {
        self.plan.slot(tensor).map(|slot| &self.slots[slot]).ok_or_else(|| Error::Input {
            operation: "a walk over a graph".into(),
            name: "a tensor".into(),
            found: format!("{tensor:?} has no memory"),
            allowed: format!("those of {:?}", self.plan.request),
        })
    }

    /// The buffers shared by tensors.
    #[cfg(test)]
    pub fn slots(&self) -> &[wgpu::Buffer] {
        &self.slots
    }

    /// Records the forward pass of all rows through a range of nodes.
    pub fn forward(&self, recorder: &mut Recorder, nodes: Range<usize>) -> Result<()> {
        nodes.into_iter().try_for_each(|node| self.forward_rows(recorder, node, 0..self.rows))
    }

    /// Records the forward pass of some rows through a node; its output holds only these rows.
    pub fn forward_rows(
        &self,
        recorder: &mut Recorder,
        node: usize,
        rows: Range<usize>,
    ) -> Result<()> {
        let of = &self.graph.nodes[node];
        let inputs =
            of.inputs.iter().map(|value| self.operand(value.0)).collect::<Result<Vec<_>>>()?;
        let output = self.operand(node + 1)?;
        if of.op.in_place().forward_gpu && inputs[0].buffer != output.buffer {
            recorder.copy((inputs[0].buffer, 0), (output.buffer, 0), rows.len() * output.width);
        }
        let io = GpuForward {
            rows: rows.len(),
            first_row: rows.start,
            inputs: &inputs,
            parameters: self.weights.of(of),
            output,
            saved: self.saved(Some(node)),
            statistics: GpuStatistics { all: self.weights.statistics, ranges: &of.statistics },
            mode: self.mode(of),
        };
        recorder.scope(|recorder| of.op.forward_gpu(recorder, &io))
    }

    /// Records the backward pass of all rows through a range of nodes, last one first.
    pub fn backward(
        &self,
        recorder: &mut Recorder,
        nodes: Range<usize>,
        accumulate: bool,
    ) -> Result<()> {
        nodes
            .rev()
            .try_for_each(|node| self.backward_rows(recorder, node, 0..self.rows, accumulate))
    }

    /// Records the backward pass of some rows through a node; the gradient of its output holds only
    /// these rows.
    pub fn backward_rows(
        &self,
        recorder: &mut Recorder,
        node: usize,
        rows: Range<usize>,
        accumulate: bool,
    ) -> Result<()> {
        if !self.plan.goes_back[node] {
            return Ok(());
        }
        recorder.scope(|recorder| self.backward_in_scope(recorder, node, rows, accumulate))
    }

    fn backward_in_scope(
        &self,
        recorder: &mut Recorder,
        node: usize,
        rows: Range<usize>,
        accumulate: bool,
    ) -> Result<()> {
        let (of, saves) = (&self.graph.nodes[node], self.plan.saves[node]);
        let (grad_output, in_place) =
            (self.tensor(Tensor::Gradient(node + 1))?, of.op.in_place().backward);
        // A value that was not saved may have been overwritten: it is not bound.
        let operand = |value: usize, is_saved: bool| match is_saved {
            true => self.operand(value),
            false => Ok(Operand { buffer: &self.dummy, width: self.graph.width(Value(value)) }),
        };
        let inputs = of
            .inputs
            .iter()
            .map(|value| operand(value.0, saves.input))
            .collect::<Result<Vec<_>>>()?;
        let (mut written, mut added) = (Vec::with_capacity(inputs.len()), Vec::new());
        for (value, way) in of.inputs.iter().zip(&self.plan.contributions[node]) {
            let elements = rows.end * self.graph.width(*value);
            let into = match way {
                Contribution::None => None,
                Contribution::Write if in_place => None,
                Contribution::Write => Some(self.tensor(Tensor::Gradient(value.0))?.clone()),
                Contribution::Add => {
                    let sum = self.tensor(Tensor::Gradient(value.0))?;
                    let scratch = match in_place {
                        true => grad_output.clone(),
                        false => recorder.scratch("a contribution to a gradient", elements)?,
                    };
                    added.push((sum, scratch.clone(), elements));
                    Some(scratch).filter(|_| !in_place)
                }
            };
            written.push(into);
        }
        let maker = of.inputs[0].0.checked_sub(1).filter(|_| saves.own_of_input);
        let io = GpuBackward {
            rows: rows.len(),
            first_row: rows.start,
            inputs: &inputs,
            output: operand(node + 1, saves.output)?,
            saved: self.saved(Some(node)),
            saved_of_input: self.saved(maker),
            parameters: self.weights.of(of),
            grad_output,
            grad_inputs: &written.iter().map(Option::as_ref).collect::<Vec<_>>(),
            accumulate: accumulate || self.plan.adds_to_parameters[node],
            mode: self.mode(of),
        };
        of.op.backward_gpu(recorder, &io)?;
        added
            .into_iter()
            .try_for_each(|(sum, addend, elements)| add::add_to(recorder, sum, &addend, elements))
    }

    /// The pass that a node runs in.
    fn mode(&self, node: &Node) -> GpuMode<'_> {
        let Request { learns, evaluates, .. } = self.plan.request;
        let training = learns && !evaluates;
        let Weights { noise, place, loss_scale, .. } = self.weights;
        GpuMode { training, noise, node: node.number, place, loss_scale }
    }

    /// A node's saved buffer, or the dummy binding.
    fn saved(&self, node: Option<usize>) -> &wgpu::Buffer {
        let slot = node.and_then(|node| self.plan.slot(Tensor::Saved(node)));
        slot.map_or(&self.dummy, |slot| &self.slots[slot])
    }

    fn operand(&self, value: usize) -> Result<Operand<'_>> {
        Ok(Operand {
            buffer: self.tensor(Tensor::Value(value))?,
            width: self.graph.width(Value(value)),
        })
    }
}
