//! Execution of a graph on the CPU: in f32 on all cores, and in f64 as the reference.

use std::array;
use std::mem::take;
use std::ops::Range;

use crate::Result;
use crate::cpu::parallel;
use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::nn::graph::op::{
    Backward, Forward, MOST_INPUTS, Mode, Noise, Parameters, Precision, Segments,
};
use crate::nn::graph::plan::{BatchRows, Contribution, Plan, Request, Tensor};

/// The memory of a walk, reused between batches to avoid allocation.
#[derive(Debug, Default)]
pub(crate) struct CpuWalk<R> {
    plans: Vec<Plan>,
    current: usize,
    rows: usize,
    slots: Vec<Vec<R>>,
    /// Contributions to gradients before they are added.
    scratch: [Vec<R>; MOST_INPUTS],
}

/// Destination of the gradient of a node's input.
#[derive(Clone, Debug)]
struct Target {
    way: Contribution,
    slot: usize,
    /// The rows' elements in the slot.
    span: Range<usize>,
    in_place: bool,
    /// The op adds its contribution itself.
    adds: bool,
}

impl Target {
    /// The op gets the memory of the gradient itself.
    fn is_direct(&self) -> bool {
        !self.in_place && (self.way == Contribution::Write || self.adds)
    }
}

/// Parameters, ids and random numbers read by a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a, R> {
    pub all: &'a [R],
    pub table: &'a [R],
    pub ids: &'a [i32],
    pub noise: Noise,
    /// As [`Mode::place`].
    pub place: usize,
    /// As [`Mode::loss_scale`].
    pub loss_scale: Option<f64>,
}

impl<'a, R> Weights<'a, R> {
    fn of(&self, node: &'a Node) -> Parameters<'a, R> {
        Parameters { all: self.all, ranges: &node.ranges, table: self.table }
    }
}

impl<R: Precision> CpuWalk<R> {
    /// Allocates memory for a batch.
    pub fn begin(&mut self, graph: &Graph, request: Request, batch: BatchRows) {
        let BatchRows { rows, chunk } = batch;
        self.rows = rows;
        self.current =
            self.plans.iter().position(|plan| plan.request == request).unwrap_or_else(|| {
                self.plans.push(Plan::new(graph, request));
                self.plans.len() - 1
            });
        let plan = &self.plans[self.current];
        self.slots.resize_with(self.slots.len().max(plan.slots.len()), Vec::new);
        for (memory, slot) in self.slots.iter_mut().zip(&plan.slots) {
            let elements = slot.elements(rows, chunk);
            if memory.len() < elements {
                memory.resize(elements, R::ZERO);
            }
        }
    }

    /// Fills all memory with NaN to expose reads of unwritten memory.
    #[cfg(test)]
    pub fn fill_with_nan(&mut self) {
        self.slots.iter_mut().for_each(|memory| memory.fill(R::new(f64::NAN)));
    }

    /// The first `elements` elements of a tensor; empty if the walk does not have it.
    pub fn tensor(&self, tensor: Tensor, elements: usize) -> &[R] {
        self.slot(tensor).map_or(&[], |slot| &self.slots[slot][..elements])
    }

    /// As [`CpuWalk::tensor`], mutable.
    pub fn tensor_mut(&mut self, tensor: Tensor, elements: usize) -> &mut [R] {
        match self.slot(tensor) {
            Some(slot) => &mut self.slots[slot][..elements],
            None => &mut [],
        }
    }

    /// Calls a function that writes one tensor while reading another.
    pub fn with_both<T>(
        &mut self,
        read: Tensor,
        written: Tensor,
        elements: usize,
        work: impl FnOnce(&[R], &mut [R]) -> T,
    ) -> T {
        let Some(slot) = self.slot(written) else {
            return work(self.tensor(read, elements), &mut []);
        };
        let mut memory = take(&mut self.slots[slot]);
        let done = work(self.tensor(read, elements), &mut memory[..elements]);
        self.slots[slot] = memory;
        done
    }

    fn slot(&self, tensor: Tensor) -> Option<usize> {
        self.plans.get(self.current).and_then(|plan| plan.slot(tensor))
    }

    /// Forward pass of all rows through a range of nodes.
    pub fn forward(
        &mut self,
        graph: &Graph,
        weights: Weights<R>,
        statistics: &mut [R],
        nodes: Range<usize>,
    ) -> Result<()> {
        for node in nodes {
            self.forward_rows(graph, weights, statistics, node, 0..self.rows)?;
        }
        Ok(())
    }

    /// Forward pass of some rows through a node; its output holds only these rows.
    pub fn forward_rows(
        &mut self,
        graph: &Graph,
        weights: Weights<R>,
        statistics: &mut [R],
        node: usize,
        rows: Range<usize>,
    ) -> Result<()> {
        let [output_slot, saved_slot] =
            [Tensor::Value(node + 1), Tensor::Saved(node)].map(|tensor| self.slot(tensor));
        // The output of a view is already there.
        if self.slot(Tensor::Value(graph.nodes[node].inputs[0].0)) == output_slot {
            return Ok(());
        }
        let mut output = output_slot.map_or_else(Vec::new, |slot| take(&mut self.slots[slot]));
        let mut saved = saved_slot.map_or_else(Vec::new, |slot| take(&mut self.slots[slot]));
        let (of, inputs) = (&graph.nodes[node], self.inputs(graph, node, &rows));
        let count = rows.len();
        let (width, own) = (self.width(graph, node + 1), self.own(node, count));
        let done = R::of(&*of.op).forward(Forward {
            rows: count,
            inputs: &inputs[..of.inputs.len()],
            ids: weights.ids,
            parameters: weights.of(of),
            output: &mut output[..count * width],
            saved: &mut saved[..own],
            statistics: Segments { all: statistics, ranges: &of.statistics },
            mode: self.mode(weights, of),
        });
        output_slot.into_iter().for_each(|slot| self.slots[slot] = take(&mut output));
        saved_slot.into_iter().for_each(|slot| self.slots[slot] = take(&mut saved));
        done
    }

    /// Backward pass of all rows through a range of nodes, last one first.
    pub fn backward(
        &mut self,
        graph: &Graph,
        weights: Weights<R>,
        gradients: &mut [R],
        nodes: Range<usize>,
        accumulate: bool,
    ) -> Result<()> {
        for node in nodes.rev() {
            self.backward_rows(graph, weights, gradients, node, 0..self.rows, accumulate)?;
        }
        Ok(())
    }

    /// Backward pass of some rows through a node; the gradient of its output holds only these rows.
    pub fn backward_rows(
        &mut self,
        graph: &Graph,
        weights: Weights<R>,
        gradients: &mut [R],
        node: usize,
        rows: Range<usize>,
        accumulate: bool,
    ) -> Result<()> {
        let (of, plan, count) = (&graph.nodes[node], &self.plans[self.current], rows.len());
        let Some(slot) = plan.slot(Tensor::Gradient(node + 1)).filter(|_| plan.goes_back[node])
        else {
            return Ok(());
        };
        let (saves, targets) = (plan.saves[node], self.targets(graph, node, &rows));
        let accumulate = accumulate || plan.adds_to_parameters[node];
        let mut grad_output = take(&mut self.slots[slot]);
        let mut memory = self.take_out(&targets);
        let mut grad_inputs: [Option<&mut [R]>; MOST_INPUTS] = [const { None }; MOST_INPUTS];
        for ((gradient, memory), target) in grad_inputs.iter_mut().zip(&mut memory).zip(&targets) {
            *gradient = match target {
                Some(target) if target.is_direct() => Some(&mut memory[target.span.clone()]),
                Some(Target { in_place: false, span, .. }) => Some(&mut memory[..span.len()]),
                _ => None,
            };
        }
        let inputs =
            if saves.input { self.inputs(graph, node, &rows) } else { [&[][..]; MOST_INPUTS] };
        let width = graph.width(Value(node + 1));
        let maker = of.inputs[0].0.checked_sub(1).filter(|_| saves.own_of_input);
        let own = |node: usize| self.tensor(Tensor::Saved(node), self.own(node, count));
        let done = R::of(&*of.op).backward(Backward {
            rows: count,
            inputs: &inputs[..of.inputs.len()],
            output: if saves.output {
                self.tensor(Tensor::Value(node + 1), count * width)
            } else {
                &[]
            },
            saved: own(node),
            saved_of_input: maker.map_or(&[], own),
            parameters: weights.of(of),
            grad_output: &mut grad_output[..count * width],
            grad_inputs: &mut grad_inputs[..of.inputs.len()],
            adds: targets.iter().flatten().any(|target| target.adds),
            grad_parameters: Segments { all: gradients, ranges: &of.ranges },
            accumulate,
            ids: weights.ids,
            mode: self.mode(weights, of),
        });
        self.put_back(targets, memory, &grad_output);
        self.slots[slot] = grad_output;
        done
    }

    /// The pass that a node runs in.
    fn mode(&self, weights: Weights<R>, node: &Node) -> Mode {
        let Request { learns, evaluates, .. } = self.plans[self.current].request;
        let training = learns && !evaluates;
        let Weights { noise, place, loss_scale, .. } = weights;
        Mode { training, noise, node: node.number, place, loss_scale }
    }

    /// Destinations of the gradients of a node's inputs.
    fn targets(
        &self,
        graph: &Graph,
        node: usize,
        rows: &Range<usize>,
    ) -> [Option<Target>; MOST_INPUTS] {
        let (of, plan) = (&graph.nodes[node], &self.plans[self.current]);
        array::from_fn(|number| {
            let (value, way) = (*of.inputs.get(number)?, *plan.contributions[node].get(number)?);
            let slot =
                plan.slot(Tensor::Gradient(value.0)).filter(|_| way != Contribution::None)?;
            let (width, in_place) = (graph.width(value), of.op.in_place().backward);
            let adds = way == Contribution::Add && of.op.adds_on_cpu();
            Some(Target { way, slot, span: rows.start * width..rows.end * width, in_place, adds })
        })
    }

    /// Moves the memory for the gradients out of the walk, so that the rest can be borrowed
    /// meanwhile.
    fn take_out(&mut self, targets: &[Option<Target>; MOST_INPUTS]) -> [Vec<R>; MOST_INPUTS] {
        array::from_fn(|number| match &targets[number] {
            Some(target) if target.is_direct() => take(&mut self.slots[target.slot]),
            Some(Target { in_place: false, span, .. }) => {
                let mut scratch = take(&mut self.scratch[number]);
                scratch.resize(scratch.len().max(span.len()), R::ZERO);
                scratch
            }
            _ => Vec::new(),
        })
    }

    /// Moves it back, and adds the contributions to be added. An in-place op has left its
    /// contribution in `grad_output`, which is that gradient's own memory if it is the first one.
    fn put_back(
        &mut self,
        targets: [Option<Target>; MOST_INPUTS],
        memory: [Vec<R>; MOST_INPUTS],
        grad_output: &[R],
    ) {
        for ((number, target), memory) in targets.into_iter().enumerate().zip(memory) {
            let Some(target) = target else { continue };
            let is_direct = target.is_direct();
            let Target { way, slot, span, in_place, .. } = target;
            match way {
                _ if is_direct => self.slots[slot] = memory,
                Contribution::Add if in_place => add(&mut self.slots[slot][span], grad_output),
                Contribution::Add => {
                    add(&mut self.slots[slot][span], &memory);
                    self.scratch[number] = memory;
                }
                _ => {}
            }
        }
    }

    /// The inputs of a node for a range of rows.
    fn inputs(&self, graph: &Graph, node: usize, rows: &Range<usize>) -> [&[R]; MOST_INPUTS] {
        array::from_fn(|number| match graph.nodes[node].inputs.get(number) {
            Some(&value) if self.slot(Tensor::Value(value.0)).is_some() => {
                let width = graph.width(value);
                &self.tensor(Tensor::Value(value.0), rows.end * width)[rows.start * width..]
            }
            _ => &[],
        })
    }

    /// Elements per row of a value; 0 if the walk does not have it.
    fn width(&self, graph: &Graph, value: usize) -> usize {
        self.slot(Tensor::Value(value)).map_or(0, |_| graph.width(Value(value)))
    }

    /// Elements that a node saves of `rows` rows.
    fn own(&self, node: usize, rows: usize) -> usize {
        let saves = self.plans[self.current].saves[node];
        rows * saves.own + saves.per_batch
    }
}

/// sum += addend.
fn add<R: Precision>(sum: &mut [R], addend: &[R]) {
    parallel::fill(sum, parallel::PIECE, |start, sum| {
        R::dispatch(
            #[inline(always)]
            || sum.iter_mut().zip(&addend[start..]).for_each(|(sum, &x)| *sum += x),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contribution_of_several_pieces_is_added_at_its_place() {
        let addend: Vec<f32> = (0..3 * parallel::PIECE + 5).map(|i| i as f32).collect();
        let mut sum = vec![0.5; addend.len()];
        add(&mut sum, &addend);
        assert!(sum.iter().zip(&addend).all(|(sum, x)| *sum == x + 0.5));
    }
}
