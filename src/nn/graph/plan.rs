//! Plan: the steps of a batch, and memory sharing between its values.
//!
//! A batch runs forward over the nodes, through the loss and, in training, backward over the nodes
//! in reverse. Each tensor has a live range: from the step that writes it first to the step that
//! reads it last. Tensors with disjoint live ranges share a slot. A slot is a whole buffer: wgpu
//! tracks usage by buffer, and a buffer that is read and written in the same dispatch is an error,
//! even at disjoint ranges. Tensors of one step never share.

use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::{MOST_INPUTS, Saves};

/// Inputs of a plan other than the number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Computes the loss, not only the predictions.
    pub scores: bool,
    /// Runs backward after the loss.
    pub learns: bool,
    /// The last node and the loss run over the rows in chunks.
    pub chunked: bool,
    /// Ops may run forward in place, as on a GPU.
    pub in_place_forward: bool,
    /// The graph's input is stored outside the walk: ids, which are not numbers of its precision.
    pub input_elsewhere: bool,
    /// Tensors share memory. If false, each has its own: the tests compare the two.
    pub shares: bool,
    /// Backward also gives the gradient of the graph's input, as of a layer outside of a model.
    pub input_gradient: bool,
    /// Ops run as in prediction although gradients are computed: those of the model that predicts.
    pub evaluates: bool,
}

/// The number of rows of a batch, and per chunk of a chunked head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchRows {
    pub rows: usize,
    /// As many as `rows` without chunks.
    pub chunk: usize,
}

impl BatchRows {
    /// A batch without chunks.
    pub fn whole(rows: usize) -> Self {
        BatchRows { rows, chunk: rows }
    }
}

/// A tensor of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tensor {
    Value(usize),
    /// A node's saved values for its backward.
    Saved(usize),
    Gradient(usize),
}

/// Kind of a contribution to a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contribution {
    /// The gradient is not needed.
    None,
    /// The first contribution is written.
    Write,
    /// A later one is added.
    Add,
}

/// The memory layout of a walk.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub request: Request,
    /// Slot indices by value, by node and by value.
    values: Vec<Option<usize>>,
    saved: Vec<Option<usize>>,
    gradients: Vec<Option<usize>>,
    /// Values that each node's backward reads.
    pub saves: Vec<Saves>,
    /// For each node, its contributions to the gradients of its inputs.
    pub contributions: Vec<Vec<Contribution>>,
    /// True for nodes with work in the backward pass.
    pub goes_back: Vec<bool>,
    /// True for nodes whose parameters have a contribution to their gradient from a later node,
    /// which shares them: the first one in the backward pass writes, the others add.
    pub adds_to_parameters: Vec<bool>,
    pub slots: Vec<Slot>,
    /// The forward tensors that a backward reads after the loss, all together.
    pub kept: Kept,
}

/// Elements that are alive at the loss: a sum over tensors, of which no two share a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    of_rows: usize,
    of_chunk: usize,
    of_batch: usize,
}

impl Kept {
    fn of(spans: &[Span], loss: usize) -> Self {
        let is_kept = |span: &&Span| {
            let is_forward = !matches!(span.tensor, Tensor::Gradient(_));
            is_forward && span.first < loss && span.last > loss
        };
        let mut kept = Kept::default();
        for span in spans.iter().filter(is_kept) {
            let sum = if span.in_chunk { &mut kept.of_chunk } else { &mut kept.of_rows };
            *sum = sum.saturating_add(span.width);
            kept.of_batch = kept.of_batch.saturating_add(span.of_batch);
        }
        kept
    }

    /// Elements for `rows` rows, and `chunk` rows per chunk.
    pub fn elements(&self, rows: usize, chunk: usize) -> usize {
        let of_rows = self.of_rows.saturating_mul(rows);
        let of_chunk = self.of_chunk.saturating_mul(chunk);
        of_rows.saturating_add(of_chunk).saturating_add(self.of_batch)
    }
}

/// A memory slot: the maximum elements per row, of tensors over all rows and of those over a chunk,
/// and of those that a batch has once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub of_rows: usize,
    pub of_chunk: usize,
    pub of_batch: usize,
}

impl Slot {
    /// Elements for `rows` rows, and `chunk` rows per chunk.
    /// Saturates: a size that no memory has is refused by its bytes, not computed wrongly.
    pub fn elements(&self, rows: usize, chunk: usize) -> usize {
        let [rows, chunk] =
            [self.of_rows.saturating_mul(rows), self.of_chunk.saturating_mul(chunk)];
        rows.max(chunk).saturating_add(self.of_batch)
    }
}

/// A tensor with its live range. Steps count forward from 1, node by node; before them the batch is
/// gathered.
#[derive(Debug)]
struct Span {
    tensor: Tensor,
    width: usize,
    /// Elements of a batch behind those of its rows.
    of_batch: usize,
    in_chunk: bool,
    first: usize,
    last: usize,
}

/// The steps of a graph with a given number of nodes, as numbers.
#[derive(Clone, Copy)]
struct Steps {
    nodes: usize,
}

impl Steps {
    fn forward(self, node: usize) -> usize {
        1 + node
    }

    fn loss(self) -> usize {
        1 + self.nodes
    }

    fn backward(self, node: usize) -> usize {
        2 + 2 * self.nodes - node
    }

    /// The optimizer's step, or the reading of the predictions.
    fn end(self) -> usize {
        3 + 2 * self.nodes
    }
}

impl Plan {
    /// Numbers of the contributions to gradients that are made before they are added, with the
    /// memory that a walk keeps for them: for each input of a node that of the largest.
    pub fn contribution_elements(&self, graph: &Graph, rows: usize, is_cpu: bool) -> u64 {
        let mut largest = [0_u64; MOST_INPUTS];
        for (node, ways) in graph.nodes.iter().zip(&self.contributions) {
            if node.op.in_place().backward || (is_cpu && node.op.adds_on_cpu()) {
                continue;
            }
            let inputs = node.inputs.iter().zip(ways).zip(&mut largest);
            for ((value, way), largest) in inputs {
                if *way == Contribution::Add {
                    let numbers = graph.width(*value) as u64;
                    *largest = (*largest).max(numbers.saturating_mul(rows as u64));
                }
            }
        }
        largest.into_iter().fold(0, u64::saturating_add)
    }

    /// Plans a walk over a graph.
    pub fn new(graph: &Graph, request: Request) -> Plan {
        let walk = Walk::new(graph, request);
        let spans = walk.spans();
        let (slots, places) = colour(&spans, request.shares);
        let count = graph.nodes.len();
        let kept = Kept::of(&spans, walk.steps.loss());
        let mut plan = Plan {
            request,
            values: vec![None; count + 1],
            saved: vec![None; count],
            gradients: vec![None; count + 1],
            saves: walk.saves.clone(),
            contributions: walk.contributions.clone(),
            goes_back: walk.goes_back(),
            adds_to_parameters: walk.adds_to_parameters(),
            slots,
            kept,
        };
        for (span, place) in spans.iter().zip(places) {
            match span.tensor {
                Tensor::Value(value) => plan.values[value] = Some(place),
                Tensor::Saved(node) => plan.saved[node] = Some(place),
                Tensor::Gradient(value) => plan.gradients[value] = Some(place),
            }
        }
        walk.aliases(&mut plan);
        plan
    }

    /// The slot of a tensor, if the walk has it.
    pub fn slot(&self, tensor: Tensor) -> Option<usize> {
        match tensor {
            Tensor::Value(value) => self.values[value],
            Tensor::Saved(node) => self.saved[node],
            Tensor::Gradient(value) => self.gradients[value],
        }
    }
}

/// A graph with its liveness analysis, before memory is assigned.
struct Walk<'g> {
    graph: &'g Graph,
    request: Request,
    steps: Steps,
    saves: Vec<Saves>,
    contributions: Vec<Vec<Contribution>>,
    /// Values whose gradient is needed.
    wanted: Vec<bool>,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g Graph, request: Request) -> Self {
        let steps = Steps { nodes: graph.nodes.len() };
        let saves = (0..graph.nodes.len())
            .map(|node| graph.nodes[node].op.saves(&graph.input_shapes(node)))
            .collect();
        let mut walk =
            Walk { graph, request, steps, saves, contributions: Vec::new(), wanted: Vec::new() };
        walk.wanted = walk.wanted();
        walk.contributions = walk.contributions();
        walk
    }

    /// A gradient is needed if the value depends on parameters, or on an input whose gradient is
    /// asked for.
    fn wanted(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.graph.nodes.len() + 1];
        wanted[0] = self.request.learns && self.request.input_gradient;
        for (number, node) in self.graph.nodes.iter().enumerate() {
            let has_table = self.graph.table().is_some_and(|(owner, _)| owner == number);
            let upstream = node.inputs.iter().any(|value| wanted[value.0]);
            wanted[number + 1] =
                self.request.learns && (upstream || has_table || !node.ranges.is_empty());
        }
        wanted
    }

    fn contributions(&self) -> Vec<Vec<Contribution>> {
        let mut written = vec![false; self.wanted.len()];
        let mut found = vec![Vec::new(); self.graph.nodes.len()];
        for (number, node) in self.graph.nodes.iter().enumerate().rev() {
            let contribution = |value: &Value| match (
                self.wanted[value.0] && self.wanted[number + 1],
                written[value.0],
            ) {
                (false, _) => Contribution::None,
                (true, false) => Contribution::Write,
                (true, true) => Contribution::Add,
            };
            // An op that reads a value twice contributes twice.
            let mut of_node = Vec::with_capacity(node.inputs.len());
            let mut here = Vec::new();
            for value in &node.inputs {
                let found =
                    if here.contains(value) { Contribution::Add } else { contribution(value) };
                of_node.push(if contribution(value) == Contribution::None {
                    Contribution::None
                } else {
                    found
                });
                here.push(*value);
            }
            node.inputs.iter().for_each(|value| {
                written[value.0] |= self.wanted[value.0] && self.wanted[number + 1]
            });
            found[number] = of_node;
        }
        found
    }

    fn goes_back(&self) -> Vec<bool> {
        self.wanted[1..].to_vec()
    }

    fn adds_to_parameters(&self) -> Vec<bool> {
        let nodes = &self.graph.nodes;
        let shares = |node: usize, later: usize| {
            self.wanted[later + 1] && nodes[later].ranges == nodes[node].ranges
        };
        let of_node = |node: usize| {
            let mut later = node + 1..nodes.len();
            !nodes[node].ranges.is_empty() && later.any(|later| shares(node, later))
        };
        (0..nodes.len()).map(of_node).collect()
    }

    /// The value whose memory a node's output reuses.
    fn taken_over(&self, node: usize) -> Option<usize> {
        let op = &self.graph.nodes[node];
        let (source, in_place) = (*op.inputs.first()?, op.op.in_place());
        // A view overwrites nothing; the input may have no memory in the walk.
        if in_place.view && !(source.0 == 0 && self.request.input_elsewhere) {
            return Some(source.0);
        }
        let overwrites = self.request.in_place_forward && in_place.forward_gpu;
        let is_saved = self.saves[node].input && self.request.learns;
        (overwrites && !is_saved && self.may_be_overwritten(source)).then_some(source.0)
    }

    /// False for the batch itself, for a value that another node or a backward reads, and for a
    /// view of such a value.
    fn may_be_overwritten(&self, value: Value) -> bool {
        let Some(maker) = value.0.checked_sub(1) else { return false };
        let is_alone = self.graph.readers(value).count() == 1;
        let is_saved = self.saves[maker].output && self.request.learns;
        let is_view = self.graph.nodes[maker].op.in_place().view;
        let of_view = |source: usize| self.may_be_overwritten(Value(source));
        let source = self.taken_over(maker).filter(|_| is_view);
        is_alone && !is_saved && source.is_none_or(of_view)
    }

    /// The gradient that a node's backward transforms in place into that of its input.
    fn turned(&self, node: usize) -> Option<usize> {
        let op = &self.graph.nodes[node];
        let writes = self.contributions[node].first() == Some(&Contribution::Write);
        (op.op.in_place().backward && writes).then(|| op.inputs[0].0)
    }

    /// The live ranges of tensors that are not aliases.
    fn spans(&self) -> Vec<Span> {
        let (graph, steps, count) = (self.graph, self.steps, self.graph.nodes.len());
        let mut spans = Vec::new();
        let chunk = |value: usize| self.request.chunked && value == count;
        for value in usize::from(self.request.input_elsewhere)..=count {
            let maker = value.checked_sub(1);
            if maker.is_none_or(|node| self.taken_over(node).is_none()) {
                let first = maker.map_or(0, |node| steps.forward(node));
                let last = self.last_use(value).max(first);
                let width = graph.width(Value(value));
                spans.push(Span {
                    tensor: Tensor::Value(value),
                    width,
                    of_batch: 0,
                    in_chunk: chunk(value),
                    first,
                    last,
                });
            }
        }
        let keeps = |saves: &Saves| saves.own + saves.per_batch > 0;
        for (node, saves) in self.saves.iter().enumerate().filter(|(_, saves)| keeps(saves)) {
            let readers =
                graph.readers(Value(node + 1)).filter(|&reader| self.saves[reader].own_of_input);
            let last = readers
                .chain([node])
                .map(|node| steps.backward(node))
                .max()
                .filter(|_| self.request.learns);
            let (first, in_chunk) = (steps.forward(node), chunk(node + 1));
            let last = last.unwrap_or(first);
            spans.push(Span {
                tensor: Tensor::Saved(node),
                width: saves.own,
                of_batch: saves.per_batch,
                in_chunk,
                first,
                last,
            });
        }
        // Loss kernels write a gradient in evaluation too.
        for value in 0..=count {
            let is_last = value == count;
            let turned = graph.readers(Value(value)).any(|node| self.turned(node) == Some(value));
            if !(is_last && self.request.scores || self.wanted[value] && !turned) {
                continue;
            }
            let reader = graph.readers(Value(value)).filter(|&node| self.wanted[node + 1]).max();
            let first = reader.map_or(steps.loss(), |node| self.back_at(node));
            let last = self.end_of_gradient(value).max(first);
            let width = graph.width(Value(value));
            spans.push(Span {
                tensor: Tensor::Gradient(value),
                width,
                of_batch: 0,
                in_chunk: chunk(value),
                first,
                last,
            });
        }
        spans
    }

    /// The last step that reads a value, or the value that reuses its memory.
    fn last_use(&self, value: usize) -> usize {
        let (graph, steps, count) = (self.graph, self.steps, self.graph.nodes.len());
        let mut last = if value == count { steps.end() } else { 0 };
        if value == count && self.request.learns {
            last = steps.loss();
        }
        for node in graph.readers(Value(value)) {
            last = last.max(steps.forward(node));
            if self.request.learns && self.saves[node].input && self.wanted[node + 1] {
                last = last.max(steps.backward(node));
            }
            if self.request.learns && graph.table().is_some_and(|(owner, _)| owner == node) {
                last = steps.end();
            }
            if self.taken_over(node) == Some(value) {
                last = last.max(self.last_use(node + 1));
            }
            // With chunks the last node's input is read until the loss has processed all of them.
            if self.request.chunked && node + 1 == count {
                last = last.max(steps.loss());
            }
        }
        if self.request.learns && value > 0 && self.saves[value - 1].output && self.wanted[value] {
            last = last.max(steps.backward(value - 1));
        }
        last
    }

    /// The step of a node's backward. With chunks the last node's belongs to the loss.
    fn back_at(&self, node: usize) -> usize {
        let is_head = self.request.chunked && node + 1 == self.steps.nodes;
        if is_head { self.steps.loss() } else { self.steps.backward(node) }
    }

    /// The last step that reads a gradient, or the gradient it is transformed into in place.
    fn end_of_gradient(&self, value: usize) -> usize {
        if !self.request.learns {
            return self.steps.loss();
        }
        // That of the graph's input is read after the walk.
        let Some(node) = value.checked_sub(1) else { return self.steps.end() };
        if self.graph.table().is_some_and(|(owner, _)| owner == node) {
            return self.steps.end();
        }
        let own = if self.wanted[value] { self.steps.backward(node) } else { self.steps.loss() };
        self.turned(node).map_or(own, |source| own.max(self.end_of_gradient(source)))
    }

    /// Assigns tensors that reuse memory the slot of their source.
    fn aliases(&self, plan: &mut Plan) {
        for node in 0..self.graph.nodes.len() {
            if let Some(source) = self.taken_over(node) {
                plan.values[node + 1] = plan.values[source];
            }
        }
        for node in (0..self.graph.nodes.len()).rev() {
            if let Some(source) = self.turned(node) {
                plan.gradients[source] = plan.gradients[node + 1];
            }
        }
    }
}

/// Assigns slots to live ranges, widest first among those that begin together: each takes the free
/// slot that wastes least, or a new one.
fn colour(spans: &[Span], shares: bool) -> (Vec<Slot>, Vec<usize>) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&number| (spans[number].first, std::cmp::Reverse(spans[number].width)));
    let (mut slots, mut ends, mut places) =
        (Vec::<Slot>::new(), Vec::<usize>::new(), vec![0; spans.len()]);
    for number in order {
        let span = &spans[number];
        let size = |slot: &Slot| if span.in_chunk { slot.of_chunk } else { slot.of_rows };
        let free = (0..slots.len()).filter(|&slot| shares && ends[slot] < span.first);
        // The slot's growth, then its unused size.
        let cost =
            |&slot: &usize| (span.width.saturating_sub(size(&slots[slot])), size(&slots[slot]));
        let place = free.min_by_key(cost).unwrap_or_else(|| {
            slots.push(Slot::default());
            ends.push(0);
            slots.len() - 1
        });
        let slot = &mut slots[place];
        let size = if span.in_chunk { &mut slot.of_chunk } else { &mut slot.of_rows };
        *size = (*size).max(span.width);
        slot.of_batch = slot.of_batch.max(span.of_batch);
        (ends[place], places[number]) = (span.last, place);
    }
    (slots, places)
}
