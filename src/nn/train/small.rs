//! The fused small-model kernel: the kernel template, its layers, a loss and an optimizer linked
//! into one program.

use std::fmt::Write as _;

use crate::losses::{LossDefinition, OneInput, Template};
use crate::nn::activations::Identity;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::chain::{ChainLayer, DenseChain};
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::Penalties;
use crate::nn::layers::Layer;
use crate::nn::layers::layer::Builder;
use crate::nn::optimizers;
use crate::nn::optimizers::update::job::state_stride;
use crate::nn::optimizers::{Clip, Optimizer};
use crate::nn::train::engine::{Metric, StepOptions, TrainingSpec};
use crate::runtime::adaptor;
use crate::runtime::adaptor::Setting;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::{File, shader};
use crate::templates::job::Written;

const WHOLE: File = shader!("templates/small_model/small_model.wgsl");
const DENSE: File = shader!("templates/small_model/small_model_dense.wgsl");
const POINTWISE: File = shader!("templates/small_model/small_model_pointwise.wgsl");
const ROWWISE: File = shader!("templates/small_model/small_model_rowwise.wgsl");
const NUMBERS: File = shader!("lib/numbers.wgsl");
const RANDOM: File = shader!("lib/random.wgsl");
const CLIP: File = shader!("templates/optimizer/clip.wgsl");

/// Words of a member step in the table before its options, and of a batch (`MEMBER_STEP` and `BATCH` in
/// the shader).
pub(crate) const MEMBER_STEP: usize = 2;
pub(crate) const BATCH: usize = 24;

/// Purpose of a batch: the shader's `MODE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Predict = 0,
    Evaluate = 1,
    Gradient = 2,
    Train = 3,
}

/// The uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub member_steps: u32,
    pub steps: u32,
    pub member_step_words: u32,
    pub stride: u32,
    pub work: u32,
    pub capacity: u32,
    pub plane: u32,
    pub columns: u32,
}

/// Launch config of the kernel template on an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LaunchConfig {
    /// Threads per workgroup.
    pub lanes: u32,
    /// Rows per thread: 1 or 4.
    pub rows_per_thread: u32,
}

impl LaunchConfig {
    /// On software adapters a workgroup is one vector of eight SIMD lanes, whose barriers are
    /// cheap, and a load costs far more than the arithmetic. On hardware the threads of a workgroup
    /// hide each other's load latency.
    pub fn of(software: bool, chain: &DenseChain) -> Self {
        match (software, chain.length) {
            (true, _) => LaunchConfig { lanes: 8, rows_per_thread: 4 },
            (false, 0..=1024) => LaunchConfig { lanes: 64, rows_per_thread: 1 },
            (false, _) => LaunchConfig { lanes: 256, rows_per_thread: 1 },
        }
    }
}

impl LaunchConfig {
    /// Upper bound on the loop iterations of a thread in one step.
    pub fn loop_iterations(self, chain: &DenseChain, rows: usize) -> usize {
        let (lanes, rows_per_thread) = (self.lanes as usize, self.rows_per_thread as usize);
        // Iterations for a thread's fraction of `items`, with `each` iterations per item and one
        // for the item itself.
        let share = |items: usize, each: usize| items.div_ceil(lanes) * (each + 1);
        let of_layer = |layer: &ChainLayer| {
            let (inputs, units, across) = (layer.inputs, layer.units, layer.units.div_ceil(4));
            let forward =
                share(rows.div_ceil(rows_per_thread) * across, inputs + 4 * rows_per_thread);
            let weights =
                share(inputs.div_ceil(rows_per_thread) * across, rows + 4 * rows_per_thread)
                    + share(across, rows + 4);
            let softmax = if layer.activation.rowwise() { share(rows, 5 * units) } else { 0 };
            forward + weights + share(rows * inputs, units) + softmax
        };
        let layers: usize = chain.layers.iter().map(of_layer).sum();
        // The shuffle's loop to find a row's position is short on average and seldom this long; the
        // loss iterates over a row twice, the count of right rows and the last activation once
        // each.
        let of_rows = share(rows, 64) + share(rows, 4 * chain.outputs() + 2);
        layers + of_rows + 2 * share(chain.length, 0) + 16
    }
}

/// Offsets of the activation buffers in a workgroup's scratch, in numbers per row after the
/// gradient.
#[derive(Clone, Debug)]
pub(crate) struct ActivationBuffers {
    layers: Vec<[usize; 3]>,
    /// Numbers per row in total.
    pub width: usize,
    /// The last layer's outputs.
    pub outputs: usize,
}

impl ActivationBuffers {
    pub fn new(chain: &DenseChain) -> Self {
        // The first activation buffer holds the rows' indices in the data set.
        let mut width = 1;
        let mut take = |numbers: usize| {
            width += numbers;
            width - numbers
        };
        let layer = |layer: &ChainLayer| {
            let kept = if pointwise(layer).needs_input() { layer.units } else { 0 };
            [take(layer.units), take(kept), take(layer.units)]
        };
        let layers: Vec<[usize; 3]> = chain.layers.iter().map(layer).collect();
        let outputs = layers.last().map_or(0, |offsets| offsets[0]);
        ActivationBuffers { layers, width, outputs }
    }
}

/// A layer's elementwise activation; a softmax follows separately.
fn pointwise(layer: &ChainLayer) -> &dyn Activation {
    if layer.activation.rowwise() { &Identity } else { &*layer.activation }
}

/// A program and the per-member numbers it reads.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub program: Program,
    /// One per training spec of the program.
    pub options: Vec<Vec<f32>>,
}

/// The options of one loss, optimizer or activation over all members: those that differ between
/// members go to `own`.
fn settings(
    of_members: &[Vec<(&'static str, f64)>],
    own: &mut [Vec<f32>],
) -> Vec<(&'static str, Setting)> {
    let Some(first) = of_members.first() else { return Vec::new() };
    let mut settings = Vec::with_capacity(first.len());
    for (place, &(name, value)) in first.iter().enumerate() {
        let same =
            of_members.iter().all(|constants| constants.get(place).is_some_and(|c| c.1 == value));
        // WGSL has no literal for an infinity.
        if same && (value as f32).is_finite() {
            settings.push((name, Setting::Constant(value)));
            continue;
        }
        settings.push((name, Setting::PerMember(own[0].len())));
        for (own, constants) in own.iter_mut().zip(of_members) {
            own.push(constants.get(place).map_or(0.0, |c| c.1 as f32));
        }
    }
    settings
}

/// The program for members with these training specs, which may differ only in numeric options.
pub(crate) fn whole(
    chain: &DenseChain,
    training_specs: &[&TrainingSpec],
    labels: bool,
    launch_config: LaunchConfig,
) -> Whole {
    let (loss, optimizer) = (&training_specs[0].loss, &training_specs[0].optimizer);
    let mut options = vec![Vec::new(); training_specs.len()];
    let of_losses: Vec<_> =
        training_specs.iter().map(|training_spec| training_spec.loss.constants()).collect();
    let of_optimizers: Vec<_> =
        training_specs.iter().map(|training_spec| training_spec.optimizer.constants()).collect();
    let loss_settings = settings(&of_losses, &mut options);
    let optimizer_settings = settings(&of_optimizers, &mut options);
    let activation_buffers = ActivationBuffers::new(chain);
    // The number of states depends on options: all members get as many as the one that needs most.
    let states = training_specs
        .iter()
        .map(|training_spec| training_spec.optimizer.states())
        .max()
        .unwrap_or(0);
    let mut header =
        constants(chain, &activation_buffers, states, options[0].len(), labels, launch_config);
    header += &of_metric(training_specs[0].metric);
    header += &of_labels(&**loss);
    header += &penalties(chain);
    header += &step_options(&training_specs[0].step_options, states, chain);
    header += &crate::templates::adaptor::adaptor_with(&**loss, Written::Gradient, &loss_settings);
    header += &adaptor::adaptor(&optimizer.entry().shader, &[optimizers::UPDATE]);
    let by_row = matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_)));
    let files = vec![WHOLE, if by_row { ROWWISE } else { POINTWISE }, NUMBERS, RANDOM, CLIP];
    let label = format!("whole models ({}, {})", loss.entry().name, optimizer.name());
    let mut program = Program { label, header, files, constants: Vec::new() };
    let loads = add(
        &mut program,
        loss.entry().shader,
        &loss_settings,
        crate::templates::adaptor::interface(&**loss),
    ) + &add(&mut program, optimizer.entry().shader, &optimizer_settings, &[]);
    let _ = write!(program.header, "fn load_options(at: u32) {{\n{loads}}}\n");
    program.files.extend(loss.spec().helpers);
    add_layers(&mut program, chain, &activation_buffers);
    Whole { program, options }
}

/// Adds a file with its options; returns the statements that load a member's options, from
/// `table[at + i]`.
fn add(
    program: &mut Program,
    file: File,
    settings: &[(&'static str, Setting)],
    interface: &[&str],
) -> String {
    program.constants.extend(adaptor::constants(&file, settings));
    let mut loads = String::new();
    for (name, place) in adaptor::per_member(settings) {
        let (variable, kind) = (adaptor::option(&file, name), adaptor::kind_of(&file, name));
        let number = format!("bitcast<f32>(table[at + {place}u])");
        let value =
            if kind == "bool" { format!("{number} != 0.0") } else { format!("{kind}({number})") };
        let _ = writeln!(loads, "    {variable} = {value};");
        // The template's name for it.
        if interface.iter().any(|declaration| declaration.starts_with(&format!("override {name}:")))
        {
            let _ = writeln!(loads, "    {name} = {variable};");
        }
    }
    if loads.is_empty() {
        program.files.push(file);
    } else {
        // Its text is in the header; the name lists the program's sources and marks it as trusted
        // only if all of them are the crate's own.
        program.header += &adaptor::with_variables(&file, settings);
        program.files.push(file.without_text());
    }
    loads
}

/// Adds the layers, and the file of each activation once. Options that differ between two layers
/// with the same activation become variables, set before each call.
fn add_layers(program: &mut Program, chain: &DenseChain, activation_buffers: &ActivationBuffers) {
    let mut files: Vec<File> = Vec::new();
    for (index, chain_layer) in chain.layers.iter().enumerate() {
        let activation = pointwise(chain_layer);
        let shader = activation.entry().shader;
        let same =
            || chain.layers.iter().map(pointwise).filter(|other| other.entry().shader == shader);
        let constants = activation.constants();
        let differ = same().any(|other| other.constants() != constants);
        if !files.contains(&shader) {
            files.push(shader);
            if differ {
                let settings: Vec<_> =
                    constants.iter().map(|&(name, _)| (name, Setting::PerMember(0))).collect();
                program.header += &adaptor::with_variables(&shader, &settings);
                program.files.push(shader.without_text());
            } else {
                program.constants.extend(adaptor::options(&shader, constants.clone()));
                program.files.push(shader);
            }
        }
        let options = if differ { constants } else { Vec::new() };
        program.header += &layer(chain, activation_buffers, index, &options);
    }
    program.header += &order(chain);
    program.files.push(DENSE.without_text());
}

fn constants(
    chain: &DenseChain,
    activation_buffers: &ActivationBuffers,
    states: usize,
    options: usize,
    labels: bool,
    launch_config: LaunchConfig,
) -> String {
    let last = activation_buffers.layers.last().copied().unwrap_or_default();
    let numbers = [
        ("WORKGROUP", launch_config.lanes as usize),
        ("ROWS_PER_THREAD", launch_config.rows_per_thread as usize),
        ("LENGTH", chain.length),
        ("OUTPUTS", chain.outputs()),
        ("OPTIONS", options),
        ("STATES", states),
        ("LAST_OUTPUTS", last[0]),
        ("LAST_GRADIENTS", last[2]),
    ];
    let mut text = String::new();
    for (name, value) in numbers {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    let _ = writeln!(text, "const HAS_LABELS: bool = {labels};");
    text
}

fn of_metric(metric: Option<Metric>) -> String {
    let thresholds = metric.unwrap_or(Metric { threshold: 0.0, truth_threshold: 0.0 });
    format!(
        "const COUNTS_CORRECT: bool = {};\nconst THRESHOLD: f32 = {:?}f;\nconst TRUTH_THRESHOLD: f32 = {:?}f;\n",
        metric.is_some(),
        thresholds.threshold,
        thresholds.truth_threshold
    )
}

fn of_labels(loss: &dyn LossDefinition) -> String {
    let (count, words) = crate::templates::job::ignored_words(loss.ignored());
    let mut text = String::from("fn is_ignored_label(label: i32) -> bool {\n");
    for word in &words[..count as usize] {
        // As bits: the lowest i32 has no literal.
        let _ =
            writeln!(text, "    if bitcast<u32>(label) == {}u {{ return true; }}", *word as u32);
    }
    text += "    return false;\n}\n";
    // The number of extra classes is the same for any number of columns: 2 serves for all.
    text + &format!(
        "const EXTRA_CLASSES: u32 = {}u;\nconst PASSES: u32 = {}u;\n",
        loss.classes(2) - 2,
        loss.spec().passes
    )
}

fn penalties(chain: &DenseChain) -> String {
    let has_penalty = chain.spans.iter().any(|span| span.l1 != 0.0 || span.l2 != 0.0);
    let mut text = format!("const HAS_PENALTY: bool = {has_penalty};\n");
    text += "fn penalty_at(index: u32) -> vec2<f32> {\n";
    for span in &chain.spans {
        let (l1, l2) = (span.l1 as f32, span.l2 as f32);
        let _ = writeln!(
            text,
            "    if index < {}u {{ return vec2<f32>({l1:?}f, {l2:?}f); }}",
            span.end
        );
    }
    text += "    return vec2<f32>();\n}\n";
    let has_proximal = chain.spans.iter().any(|span| span.proximal != 0.0);
    let _ = write!(
        text,
        "const HAS_PROXIMAL: bool = {has_proximal};\nfn proximal_at(index: u32) -> f32 {{\n"
    );
    for span in &chain.spans {
        let _ = writeln!(
            text,
            "    if index < {}u {{ return {:?}f; }}",
            span.end, span.proximal as f32
        );
    }
    text + "    return 0.0;\n}\n"
}

/// The step options outside the optimizer's update rule, equal for all members.
fn step_options(step_options: &StepOptions, states: usize, chain: &DenseChain) -> String {
    let epsilon = match step_options.clip {
        Some(Clip::GlobalNorm { epsilon, .. }) => epsilon as f32,
        _ => 0.0,
    };
    let all = states + usize::from(step_options.average.is_some());
    format!(
        "const ALL_STATES: u32 = {all}u;\nconst STATE_STRIDE: u32 = {}u;\nconst CLIPS_NORM: bool = {};\n\
         const CLIPS_VALUE: bool = {};\nconst CLIP_EPSILON: f32 = {epsilon:?}f;\nconst SKIPS: bool = {};\n\
         const AVERAGES: bool = {};\nconst AVERAGE_WEIGHT: f32 = {:?}f;\n",
        state_stride(chain.length),
        matches!(step_options.clip, Some(Clip::GlobalNorm { .. })),
        matches!(step_options.clip, Some(Clip::Value(_))),
        step_options.skip_non_finite,
        step_options.average.is_some(),
        step_options.average.unwrap_or(0.0) as f32,
    )
}

/// Name prefix of a layer.
fn prefix(index: usize) -> String {
    format!("layer_{index}_")
}

/// A layer's functions, with its index in their names; `options` are the activation options that it
/// sets itself.
fn layer(
    chain: &DenseChain,
    activation_buffers: &ActivationBuffers,
    index: usize,
    options: &[(&'static str, f64)],
) -> String {
    let layer = &chain.layers[index];
    let activation = pointwise(layer);
    let [output, saved_input, gradient] = activation_buffers.layers[index];
    let below =
        index.checked_sub(1).map(|below| (activation_buffers.layers[below], &chain.layers[below]));
    let input = below.map_or(0, |(offsets, _)| offsets[0]);
    let mut text = String::new();
    for (name, value) in [
        ("INPUTS", layer.inputs),
        ("UNITS", layer.units),
        ("WEIGHTS", layer.offset),
        ("BIASES", layer.biases().start),
        ("INPUT_PLANE", input),
        ("OUTPUT_PLANE", output),
        ("SAVED_INPUT_PLANE", saved_input),
        ("GRADIENT_PLANE", gradient),
        ("GRADIENT_BELOW_PLANE", below.map_or(0, |(offsets, _)| offsets[2])),
    ] {
        let _ = writeln!(text, "const LAYER_N_{name}: u32 = {value}u;");
    }
    for (name, value) in [("HAS_BIAS", layer.bias), ("KEEP_INPUT", activation.needs_input())] {
        let _ = writeln!(text, "const LAYER_N_{name}: bool = {value};");
    }
    text += match index {
        0 => {
            "fn layer_N_first_input(row: u32) -> u32 { return place_of(row) * LAYER_N_INPUTS; }\n\
             fn layer_N_input_at(at: u32) -> f32 { return features[at]; }\n"
        }
        _ => {
            "fn layer_N_first_input(row: u32) -> u32 { return plane_at(LAYER_N_INPUT_PLANE) + row * LAYER_N_INPUTS; }\n\
             fn layer_N_input_at(at: u32) -> f32 { return work[at]; }\n"
        }
    };
    let factor = match below {
        Some((_, below)) if is_curved(below) => {
            format!("{}derivative_at(row, k)", prefix(index - 1))
        }
        _ => "1.0".into(),
    };
    let _ = writeln!(
        text,
        "fn layer_N_derivative_below(row: u32, k: u32) -> f32 {{ return {factor}; }}"
    );
    let shader = activation.entry().shader;
    let mut set = String::new();
    for (name, value) in options {
        let value = literal(adaptor::kind_of(&shader, name), *value);
        let _ = write!(set, "{} = {value}; ", adaptor::option(&shader, name));
    }
    let [activate, derivative] =
        ["activate", "derivative"].map(|name| adaptor::function(&shader, name));
    let _ = writeln!(text, "fn layer_N_activate(x: f32) -> f32 {{ {set}return {activate}(x); }}");
    let _ = writeln!(
        text,
        "fn layer_N_derivative(x: f32, y: f32) -> f32 {{ {set}return {derivative}(x, y); }}"
    );
    text += DENSE.text;
    text.replace("_N_", &format!("_{index}_"))
}

/// A number as a WGSL literal. f32 with enough digits to round-trip.
fn literal(kind: &str, value: f64) -> String {
    match kind {
        "bool" => (value != 0.0).to_string(),
        "u32" => format!("{}u", value as u32),
        "i32" => format!("{}i", value as i32),
        _ => format!("{:?}f", value as f32),
    }
}

/// True if the layer's activation is elementwise with a derivative other than 1.
fn is_curved(layer: &ChainLayer) -> bool {
    !layer.activation.rowwise() && layer.activation.name() != Identity.name()
}

/// The layers' calls in order, with a barrier after writes that other threads read.
fn order(chain: &DenseChain) -> String {
    let last = chain.layers.len() - 1;
    let mut forward = String::from("fn forward(rows: u32) {\n");
    let mut backward = String::from("fn backward(rows: u32, accumulates: bool) {\n");
    for (index, layer) in chain.layers.iter().enumerate() {
        let name = prefix(index);
        let _ = writeln!(forward, "    {name}forward(rows);\n    sync();");
        if layer.activation.rowwise() {
            let _ = writeln!(forward, "    {name}softmax_rows(rows);\n    sync();");
        }
    }
    for (index, layer) in chain.layers.iter().enumerate().rev() {
        let name = prefix(index);
        if index < last && layer.activation.rowwise() {
            let _ = writeln!(backward, "    {name}softmax_backward_rows(rows);\n    sync();");
        }
        let _ = writeln!(backward, "    {name}weight_gradient(rows, accumulates);");
        if index > 0 {
            let _ = writeln!(backward, "    {name}input_gradient(rows);");
        }
        backward += "    sync();\n";
    }
    let through = match &chain.layers[last] {
        layer if layer.activation.rowwise() => {
            format!("    {}softmax_backward_row(row);\n", prefix(last))
        }
        layer if is_curved(layer) => format!("    {}activation_backward_row(row);\n", prefix(last)),
        _ => String::new(),
    };
    format!("{forward}}}\n{backward}}}\nfn last_through(row: u32) {{\n{through}}}\n")
}

/// Programs for the shader checks: each loss, each optimizer and each activation once, in both
/// launch configs.
pub(crate) fn programs(
    losses: &[std::sync::Arc<dyn LossDefinition>],
    optimizers: &[std::sync::Arc<dyn Optimizer>],
    activations: Vec<Box<dyn Activation>>,
) -> crate::Result<Vec<Program>> {
    let mut layers: Vec<crate::Dense> = Vec::new();
    for (index, activation) in activations.into_iter().enumerate() {
        layers.push(crate::Dense::new(3 + index).boxed_activation(activation).bias(index % 2 == 0));
    }
    let chain = chain_of(5, layers, Penalties { l1: 0.1, l2: 0.2, proximal_l1: 0.3 })?;
    let optimizers: Vec<_> =
        optimizers.iter().filter(|optimizer| optimizer.per_tensor().is_none()).collect();
    let global = Some(Clip::GlobalNorm { limit: 1.0, epsilon: 1e-6 });
    let all_step_options = [
        StepOptions {
            clip: global,
            skip_non_finite: true,
            average: Some(0.01),
            ..StepOptions::default()
        },
        StepOptions { clip: Some(Clip::Value(1.0)), ..StepOptions::default() },
        StepOptions::default(),
    ];
    let training_spec = |loss: usize, optimizer: usize, step_options: StepOptions| TrainingSpec {
        chunked_head: false,
        loss: losses[loss % losses.len()].clone(),
        optimizer: (*optimizers[optimizer % optimizers.len()]).clone(),
        metric: Some(Metric { threshold: 0.5, truth_threshold: 0.5 }),
        step_options,
    };
    let mut programs = Vec::new();
    for number in 0..losses.len().max(optimizers.len()) {
        let training_spec = training_spec(number, number, all_step_options[number % 3]);
        let by_row =
            matches!(training_spec.loss.template(), Template::OneInput(OneInput::Rowwise(_)));
        let launch_configs = [
            LaunchConfig { lanes: 8, rows_per_thread: 4 },
            LaunchConfig { lanes: 256, rows_per_thread: 1 },
        ];
        programs.push(
            whole(&chain, &[&training_spec], by_row && number % 2 == 0, launch_configs[number % 2])
                .program,
        );
    }
    // Members that differ in every option, so that none is a constant.
    for entry in crate::nn::optimizers::CATALOGUE.iter().filter(|entry| !entry.variants.is_empty())
    {
        if (entry.make)(&serde_json::Value::Null)?.per_tensor().is_some() {
            continue;
        }
        let mut members =
            [training_spec(0, 0, all_step_options[0]), training_spec(0, 0, all_step_options[0])];
        for (member, options) in members.iter_mut().zip(["null", entry.variants[0]]) {
            let options = serde_json::from_str(options).unwrap_or_default();
            member.optimizer = (entry.make)(&options)?.into();
        }
        programs.push(
            whole(
                &chain,
                &[&members[0], &members[1]],
                false,
                LaunchConfig { lanes: 64, rows_per_thread: 1 },
            )
            .program,
        );
    }
    Ok(programs)
}

/// A chain of layers, for checks and tests.
fn chain_of(
    inputs: usize,
    layers: Vec<crate::Dense>,
    penalties: Penalties,
) -> crate::Result<DenseChain> {
    let mut graph = Graph::new(vec![inputs]);
    let mut x = graph.input();
    for (index, layer) in layers.iter().enumerate() {
        let path = format!("layers.{index}");
        x = layer.build(&mut Builder::new(&mut graph, &path, penalties), x)?;
    }
    let found = format!("are {} nodes", graph.nodes.len());
    let (operation, name, allowed) =
        ("a dense chain".into(), "layers".into(), "dense layers".into());
    graph.as_dense_chain().ok_or(crate::Error::Input { operation, name, found, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dense;
    use crate::losses::Mse;
    use crate::nn::optimizers::Adam;
    use crate::runtime::wgsl;
    use std::sync::Arc;

    #[test]
    fn the_uniform_is_the_shaders() {
        let chain = chain_of(2, vec![Dense::new(1)], Penalties::default()).unwrap();
        let training_spec = TrainingSpec {
            chunked_head: false,
            loss: Arc::new(Mse::new()),
            optimizer: Arc::new(Adam::new()),
            metric: None,
            step_options: StepOptions::default(),
        };
        let program =
            whole(&chain, &[&training_spec], false, LaunchConfig { lanes: 8, rows_per_thread: 4 })
                .program;
        wgsl::assert_layout!(
            program,
            Params as "Params" { member_steps, steps, member_step_words, stride, work, capacity, plane, columns }
        );
    }
}
