//! Graph: nodes in topological order, and their parameters by path.

use std::ops::Range;
use std::sync::Arc;

use crate::cpu::random::Random;
use crate::nn::graph::op::{FileOrder, GradientKind, Initial, MOST_INPUTS, Op, Shape};
use crate::nn::optimizers::{Clip, Optimizer, ParameterGroups, ParameterSpan};
use crate::{Error, Result};

/// First random stream of embedding tables; streams below it are for weights.
const TABLE_STREAM: u64 = 1 << 32;

/// The input of a graph, or the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// An op with its inputs. Its output is the value of the node's index + 1.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub path: String,
    pub op: Arc<dyn Op>,
    pub inputs: Vec<Value>,
    /// Its number in the graph that was built, which rewrites keep: random numbers depend on it.
    pub number: u32,
    /// The ranges of its parameters in the flat buffer, in order.
    pub ranges: Vec<Range<usize>>,
    /// The ranges of its running statistics in their buffer, in order.
    pub statistics: Vec<Range<usize>>,
}

/// A parameter and its location.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// The path of its node and its name: `layers.0.weight`.
    pub path: String,
    pub shape: Shape,
    pub initial: Initial,
    pub gradient: GradientKind,
    pub file_order: FileOrder,
    /// Offset in the flat buffer, or among the tables after it.
    pub(super) offset: usize,
}

impl Parameter {
    /// Number of elements.
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A running statistic and its location.
#[derive(Clone, Debug)]
pub(crate) struct Statistic {
    /// The path of its node and its name: `layers.1.running_mean`.
    pub path: String,
    pub initial: f64,
    pub range: Range<usize>,
}

/// The ops of a model. A node reads values created before it.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    pub parameters: Vec<Parameter>,
    pub statistics: Vec<Statistic>,
    /// Shapes of the input and of each node's output.
    pub(super) shapes: Vec<Shape>,
    /// Elements of the flat buffer. The parameters of a node are consecutive and begin at a
    /// multiple of four, so that kernels may read vectors; the gaps stay 0, since their gradient is
    /// 0.
    pub length: usize,
    /// Elements of the tables, which have buffers of their own and follow the flat buffer in
    /// serialized form.
    pub(super) table_length: usize,
    /// The flat buffer's tensors in order; a gap belongs to a tensor without columns.
    pub spans: Vec<ParameterSpan>,
    /// The learning-rate factor of the tables; 0 if they are frozen.
    pub table_rate: f64,
}

impl Graph {
    /// An empty graph with an input of the given shape.
    pub fn new(input: Shape) -> Self {
        Graph {
            nodes: Vec::new(),
            parameters: Vec::new(),
            statistics: Vec::new(),
            shapes: vec![input],
            length: 0,
            table_length: 0,
            spans: Vec::new(),
            table_rate: 1.0,
        }
    }

    pub fn input(&self) -> Value {
        Value(0)
    }

    /// Adds a node; returns its output.
    ///
    /// # Errors
    /// The op's shape errors; [`Error::TooLarge`] if the parameters exceed the kernels' counts.
    pub fn add(&mut self, path: &str, op: impl Op, inputs: &[Value]) -> Result<Value> {
        self.add_boxed(path, Arc::new(op), inputs)
    }

    /// As [`Graph::add`], for a type-erased op.
    pub fn add_boxed(&mut self, path: &str, op: Arc<dyn Op>, inputs: &[Value]) -> Result<Value> {
        self.check_inputs(path, &*op, inputs)?;
        let ranges = self.add_parameters(path, &*op, inputs)?;
        self.push(path, op, inputs, ranges)
    }

    /// As [`Graph::add`], for an op whose parameters are those of the node `from`: it adds none.
    /// The gradient is the sum over all nodes that share them.
    ///
    /// # Errors
    /// As [`Graph::add`]; [`Error::Shape`] if the op's parameters are not of the node's shapes.
    pub fn add_shared(
        &mut self,
        path: &str,
        op: impl Op,
        inputs: &[Value],
        from: usize,
    ) -> Result<Value> {
        self.check_inputs(path, &op, inputs)?;
        let shapes: Vec<&Shape> = inputs.iter().map(|value| &self.shapes[value.0]).collect();
        op.output(&shapes)?;
        let wanted: Vec<Shape> =
            op.parameters(&shapes).into_iter().map(|spec| spec.shape).collect();
        let owner = self.nodes.get(from);
        let ranges = owner.map_or_else(Vec::new, |node| node.ranges.clone());
        let of_range = |range: &Range<usize>| {
            self.parameters.iter().find(|parameter| self.range(parameter) == *range)
        };
        let found: Vec<Shape> =
            ranges.iter().filter_map(of_range).map(|parameter| parameter.shape.clone()).collect();
        if found != wanted {
            let owner = owner.map_or_else(|| format!("node {from}"), |node| node.path.clone());
            return Err(Error::Shape {
                operation: format!("{path} ({})", op.entry().name),
                found: format!("shares the parameters of {owner}, of shapes {found:?}"),
                allowed: format!("shapes {wanted:?}"),
            });
        }
        self.push(path, Arc::new(op), inputs, ranges)
    }

    /// Rejects values that the graph does not have.
    fn check_inputs(&self, path: &str, op: &dyn Op, inputs: &[Value]) -> Result<()> {
        let unknown = inputs.iter().find(|value| value.0 >= self.shapes.len());
        if inputs.is_empty() || inputs.len() > MOST_INPUTS || unknown.is_some() {
            return Err(Error::Input {
                operation: format!("{path} ({})", op.entry().name),
                name: "inputs".into(),
                found: format!("are {inputs:?}"),
                allowed: format!("one to {MOST_INPUTS} values that were made before"),
            });
        }
        Ok(())
    }

    /// Appends the parameters of an op; returns their ranges.
    fn add_parameters(
        &mut self,
        path: &str,
        op: &dyn Op,
        inputs: &[Value],
    ) -> Result<Vec<Range<usize>>> {
        let shapes: Vec<&Shape> = inputs.iter().map(|value| &self.shapes[value.0]).collect();
        op.output(&shapes)?;
        let specs = op.parameters(&shapes);
        let mut ranges = Vec::new();
        for spec in &specs {
            self.check_path(&join(path, spec.name))?;
        }
        for spec in op.statistics(&shapes) {
            self.check_path(&join(path, spec.name))?;
        }
        for spec in specs {
            let length: usize = spec.shape.iter().product();
            let offset = match spec.gradient {
                GradientKind::Dense => &mut self.length,
                GradientKind::Rows => &mut self.table_length,
            };
            let path = join(path, spec.name);
            let (shape, initial, gradient) = (spec.shape, spec.initial, spec.gradient);
            let columns = if shape.len() > 1 { shape.last().copied().unwrap_or(0) } else { 0 };
            let file_order = spec.file_order;
            self.parameters.push(Parameter {
                path,
                shape,
                initial,
                gradient,
                file_order,
                offset: *offset,
            });
            *offset += length;
            if gradient == GradientKind::Dense {
                ranges.push(self.length - length..self.length);
                let (l1, l2, proximal) =
                    (spec.penalties.l1, spec.penalties.l2, spec.penalties.proximal_l1);
                self.spans.push(ParameterSpan {
                    end: self.length,
                    l1,
                    l2,
                    proximal,
                    columns,
                    ..ParameterSpan::default()
                });
            }
        }
        if !ranges.is_empty() {
            self.close_gap();
        }
        if self.length > u32::MAX as usize {
            return Err(Error::TooLarge {
                name: format!("{path} and what comes before it"),
                bytes: 4 * self.length as u64,
                limit: 4 * u64::from(u32::MAX),
                advice: "use fewer units".into(),
            });
        }
        Ok(ranges)
    }

    /// Rejects a second parameter or statistic of one path: files and users know them by it.
    fn check_path(&self, path: &str) -> Result<()> {
        let is_taken = self.parameter(path).is_some()
            || self.statistics.iter().any(|statistic| statistic.path == path);
        if !is_taken {
            return Ok(());
        }
        Err(Error::Input {
            operation: "a model".into(),
            name: "its layers".into(),
            found: format!("has two parameters `{path}`"),
            allowed: "give each layer a name of its own".into(),
        })
    }

    /// Checks a finished graph whose output is a value: it is that of the last node, every other
    /// value is read, and only ops that look ids up read ids.
    ///
    /// # Errors
    /// [`Error::Input`] with the path of the node.
    pub fn check_output(&self, output: Value) -> Result<()> {
        let refused = |found: String, allowed: &str| {
            Err(Error::Input {
                operation: "a model".into(),
                name: "its layers".into(),
                found,
                allowed: allowed.into(),
            })
        };
        if self.nodes.is_empty() {
            return refused("compute nothing".into(), "add a layer that does, as Dense");
        }
        let unread = |number: &usize| self.readers(Value(number + 1)).next().is_none();
        let dead = (0..self.nodes.len()).filter(|&number| Value(number + 1) != output).find(unread);
        if let Some(dead) = dead {
            let found = format!("compute `{}`, which nothing reads", self.nodes[dead].path);
            return refused(found, "leave it out, or add or concatenate it to another value");
        }
        if output != self.last() {
            return refused("end in another value than the last one made".into(), "return it last");
        }
        let reads_ids =
            |node: &&Node| node.inputs.contains(&self.input()) && node.op.takes_ids().is_none();
        match self.nodes.iter().find(reads_ids).filter(|_| self.takes_ids()) {
            Some(node) => refused(
                format!("read ids as numbers in `{}`", node.path),
                "only a TokenEmbedding reads ids",
            ),
            None => Ok(()),
        }
    }

    /// Appends a node with the given parameters.
    fn push(
        &mut self,
        path: &str,
        op: Arc<dyn Op>,
        inputs: &[Value],
        ranges: Vec<Range<usize>>,
    ) -> Result<Value> {
        let shapes: Vec<&Shape> = inputs.iter().map(|value| &self.shapes[value.0]).collect();
        let output = op.output(&shapes)?;
        let statistics = self.add_statistics(path, &*op, inputs);
        self.shapes.push(output);
        self.nodes.push(Node {
            path: path.into(),
            op,
            inputs: inputs.to_vec(),
            number: self.nodes.len() as u32,
            ranges,
            statistics,
        });
        Ok(Value(self.nodes.len()))
    }

    /// Appends the running statistics of an op; returns their ranges.
    fn add_statistics(&mut self, path: &str, op: &dyn Op, inputs: &[Value]) -> Vec<Range<usize>> {
        let shapes: Vec<&Shape> = inputs.iter().map(|value| &self.shapes[value.0]).collect();
        let mut ranges = Vec::new();
        for spec in op.statistics(&shapes) {
            let start = self.statistic_length();
            let range = start..start + spec.length;
            let (path, initial) = (join(path, spec.name), spec.initial);
            self.statistics.push(Statistic { path, initial, range: range.clone() });
            ranges.push(range);
        }
        ranges
    }

    /// Moves the end of the flat buffer to a multiple of four. The gap joins the last tensor, or
    /// becomes its own tensor if that one has columns.
    fn close_gap(&mut self) {
        let end = self.length.next_multiple_of(4);
        let padding = end - self.length;
        match self.spans.last_mut() {
            Some(last) if last.columns == 0 => (last.end, last.padding) = (end, padding),
            _ => self.spans.push(ParameterSpan { end, padding, ..ParameterSpan::default() }),
        }
        self.length = end;
    }

    /// A graph with the same parameters and other nodes; shapes are recomputed.
    pub fn with_nodes(&self, nodes: Vec<Node>) -> Result<Graph> {
        let mut shapes = vec![self.shapes[0].clone()];
        for node in &nodes {
            let inputs: Vec<&Shape> = node.inputs.iter().map(|value| &shapes[value.0]).collect();
            let output = node.op.output(&inputs)?;
            shapes.push(output);
        }
        Ok(Graph { nodes, shapes, ..self.clone() })
    }

    /// A graph with the same parameters and an input of another shape; shapes and running
    /// statistics are those of its nodes.
    pub fn with_input(&self, input: Shape, nodes: Vec<Node>) -> Result<Graph> {
        let mut graph = Graph {
            nodes: Vec::with_capacity(nodes.len()),
            shapes: vec![input],
            statistics: Vec::new(),
            ..self.clone()
        };
        for node in nodes {
            let inputs: Vec<&Shape> = node.inputs.iter().map(|&value| graph.shape(value)).collect();
            let output = node.op.output(&inputs)?;
            let statistics = graph.add_statistics(&node.path, &*node.op, &node.inputs);
            graph.shapes.push(output);
            graph.nodes.push(Node { statistics, ..node });
        }
        Ok(graph)
    }

    /// The graph behind its token embedding, whose input is what that gives, [tokens, width], and
    /// the path of the table; `None` if ids are read by anything else.
    ///
    /// # Errors
    /// Those of the nodes for their shapes.
    pub fn behind_token_embedding(&self) -> Result<Option<(Graph, String)>> {
        let readers: Vec<usize> = self.readers(self.input()).collect();
        let [number] = readers[..] else { return Ok(None) };
        let (node, value) = (&self.nodes[number], Value(number + 1));
        let is_table = |parameter: &&Parameter| node.ranges.contains(&self.range(parameter));
        let table = self.parameters.iter().find(is_table);
        let Some(table) = table.filter(|_| node.op.takes_ids().is_some()) else { return Ok(None) };
        let moved = |read: Value| match read {
            read if read == value => self.input(),
            Value(read) if read > value.0 => Value(read - 1),
            read => read,
        };
        let kept = |(_, node): (usize, &Node)| Node {
            inputs: node.inputs.iter().copied().map(moved).collect(),
            ..node.clone()
        };
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != number);
        let graph = self.with_input(self.shape(value).clone(), others.map(kept).collect())?;
        Ok(Some((graph, table.path.clone())))
    }

    /// Gives the parameters the options of their groups.
    ///
    /// # Errors
    /// Those of [`ParameterGroups`] for a factor or a path.
    pub fn set_groups(&mut self, groups: &ParameterGroups) -> Result<()> {
        groups.check(self.parameters.iter().map(|parameter| parameter.path.as_str()))?;
        for parameter in &self.parameters {
            let (rate, start) = (groups.rate_of(&parameter.path), parameter.offset);
            if parameter.gradient == GradientKind::Rows {
                self.table_rate = rate;
                continue;
            }
            let number = self.spans.partition_point(|span| span.end <= start);
            if let Some(span) = self.spans.get_mut(number).filter(|_| parameter.length() > 0) {
                (span.rate, span.decays) = (rate, groups.decays(parameter.shape.len()));
            }
        }
        Ok(())
    }

    /// True if some parameters have options of their own.
    pub fn is_grouped(&self) -> bool {
        self.spans.iter().any(ParameterSpan::is_grouped) || self.table_rate != 1.0
    }

    /// The parameter spans, if a step depends on them; else empty.
    pub fn spans_for(&self, optimizer: &dyn Optimizer, clip: Option<Clip>) -> &[ParameterSpan] {
        let needed = self.is_regularized()
            || self.is_grouped()
            || optimizer.per_tensor().is_some()
            || matches!(clip, Some(Clip::Norm(_)));
        if needed { &self.spans } else { &[] }
    }

    /// The initial parameters of a seed, followed by the running statistics: the n-th matrix uses
    /// the n-th stream of random numbers.
    pub fn initial_parameters(&self, seed: u64) -> Vec<f64> {
        let (mut all, mut stream) = (vec![0.0; self.all_length()], 0);
        for parameter in &self.parameters {
            let values: Vec<f32> = match (parameter.initial, &parameter.shape[..]) {
                (Initial::Weights(initializer), &[ref window @ .., inputs, outputs]) => {
                    stream += 1;
                    let taps: usize = window.iter().product();
                    let fans = [taps * inputs, taps * outputs];
                    initializer.draw(parameter.length(), fans, seed, stream - 1)
                }
                (Initial::Normal(deviation), _) => {
                    stream += 1;
                    let mut random = Random::new(seed, stream - 1);
                    (0..parameter.length()).map(|_| (deviation * random.normal()) as f32).collect()
                }
                (Initial::Ones, _) => vec![1.0; parameter.length()],
                (Initial::Constant(value), _) => vec![value as f32; parameter.length()],
                (Initial::Uniform(limit), _) => {
                    let mut random = Random::new(seed, TABLE_STREAM);
                    (0..parameter.length())
                        .map(|_| (limit * (2.0 * random.uniform() - 1.0)) as f32)
                        .collect()
                }
                _ => continue,
            };
            let place = all[self.range(parameter)].iter_mut();
            place.zip(values).for_each(|(slot, value)| *slot = f64::from(value));
        }
        for statistic in &self.statistics {
            all.extend(statistic.range.clone().map(|_| statistic.initial));
        }
        all
    }
}

/// A path and a name behind it.
fn join(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}
