//! A call with the tensors of a loss with several inputs on a GPU.

use crate::criterion::criterion::Criterion;
use crate::criterion::inputs;
use crate::criterion::inputs::input_error;
use crate::criterion::multi_input::repeats;
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::criterion::resident::evaluation::{Check, DeviceEvaluation, Notes, Outcome};
use crate::criterion::resident::gpu_buffer;
use crate::criterion::tensor_inputs::TensorInputs;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::tensor::{Storage, Tensor};
use crate::templates::argument::Argument;
use crate::templates::completions::cpu::rule_by_token;
use crate::templates::definition::{LossDefinition, SeveralInputs};
use crate::templates::multi_input::cpu::{MultiInputCpu, Shapes, Units, missing};
use crate::templates::multi_input::gpu as kernel;
use crate::templates::multi_input::job::{Bound, MultiInputJob};
use crate::templates::normalizer::{DivisorTerm, Labels, NOTES, Values};
use crate::templates::on_device::SequenceSizes;
use crate::templates::policy::Aggregation;
use crate::templates::policy::gpu as policy;
use crate::templates::policy::gpu::LeftOut;
use crate::templates::survival::cpu::sizes as survival_sizes;
use crate::templates::survival::gpu as survival;
use crate::templates::{normalizer, on_device};
use crate::{Error, Result};

/// Buffers derived from the inputs on the device before the kernel template's own kernels run.
#[derive(Default)]
struct Made {
    /// The check result of each item of a batch of sequences.
    verdicts: Option<wgpu::Buffer>,
    /// What each row of a similarity, each completion or each list adds to the divisor of the mean.
    terms: Option<wgpu::Buffer>,
    lengths: Option<wgpu::Buffer>,
}

/// One call with checked inputs.
struct Call<'t> {
    criterion: &'t Criterion,
    gpu: &'t Gpu,
    kernel: SeveralInputs,
    units: Units,
    given: Vec<(&'static Argument, &'t Tensor)>,
    bounds: Vec<Bound>,
    /// With the number of values per entry.
    weight: Option<(wgpu::Buffer, usize)>,
    mask: Option<(wgpu::Buffer, usize)>,
}

impl Criterion {
    pub(super) fn several_on_gpu(
        &self,
        gpu: &Gpu,
        kernel: SeveralInputs,
        cpu: &dyn MultiInputCpu,
        inputs: &TensorInputs,
    ) -> Result<(Vec<Command>, DeviceEvaluation)> {
        let loss = &*self.loss;
        inputs::check_auxiliary(loss, inputs.auxiliary)?;
        inputs::check_hessian(loss, inputs.hessian)?;
        if inputs.in_place {
            let allowed = "it has several gradients: `evaluate_tensors` gives them all";
            return Err(input_error(
                loss,
                "the gradient",
                "was to go over the predictions",
                allowed,
            ));
        }
        let mut call = Call::check(self, gpu, kernel, cpu, inputs)?;
        let (upstream, upstreams) = inputs.upstreams(loss, self.each(), &call.units.shape)?;
        let (notes, mut commands) = (gpu.buffer("a loss", NOTES)?, Vec::new());
        let (weights, factor) = call.reduction_factor(&notes, &mut commands)?;
        let job = MultiInputJob {
            units: call.units.clone(),
            weights,
            upstreams: self.upstreams(gpu, upstreams, call.length(), &mut commands)?,
            each: self.each(),
            factor,
            upstream,
            arguments: std::mem::take(&mut call.bounds),
        };
        let (own, results) = kernel::commands(gpu, loss, kernel, &job)?;
        commands.extend(own);
        if !self.each() {
            let (from, to) = (results.result, notes.clone());
            commands.push(Command::Copy { from, from_offset: 0, to, to_offset: 0, size: 4 });
        }
        let (gradient, others) = call.gradients(results.gradients)?;
        let scaled: Vec<&Tensor> =
            std::iter::once(&gradient).chain(others.iter().map(|(_, other)| other)).collect();
        self.scale(gpu, upstreams, &scaled, &mut commands)?;
        let evaluation = DeviceEvaluation {
            loss: self.loss.clone(),
            outcome: Outcome::OnGpu(call.notes(notes, inputs.mask)),
            gradient,
            others,
            values: self.each().then(|| call.tensor_of(&call.units.shape, results.values)),
            hessian: None,
        };
        Ok((commands, evaluation))
    }
}

/// The tensors of the loss's arguments, in their order, after a check that all required ones are
/// present.
fn given<'t>(
    loss: &dyn LossDefinition,
    inputs: &TensorInputs<'t>,
) -> Result<Vec<(&'static Argument, &'t Tensor)>> {
    let mut found = Vec::new();
    for argument in loss.arguments() {
        let tensor = match inputs.get(argument.name) {
            None if argument.role.is_optional() => continue,
            None => inputs.required(loss, argument.name)?,
            Some(tensor) => tensor,
        };
        if !argument.role.takes_numbers() && !tensor.is_labels() {
            let allowed = "it must be a tensor of Tensor::from_labels or from_integers";
            return Err(input_error(loss, argument.name, "holds floats", allowed));
        }
        found.push((argument, tensor));
    }
    Ok(found)
}

impl<'t> Call<'t> {
    fn check(
        criterion: &'t Criterion,
        gpu: &'t Gpu,
        kernel: SeveralInputs,
        cpu: &dyn MultiInputCpu,
        inputs: &TensorInputs<'t>,
    ) -> Result<Self> {
        let loss = &*criterion.loss;
        if let Some((name, _)) =
            inputs.tensors().find(|(name, _)| ["references", "reference_labels"].contains(name))
        {
            let allowed = "left out: arrays alone have a reference set";
            return Err(input_error(loss, name, "is given", allowed));
        }
        let given = given(loss, inputs)?;
        let shapes = given
            .iter()
            .map(|(argument, tensor)| (argument.name, tensor.shape().to_vec()))
            .collect();
        let shapes = Shapes { loss: loss.name(), given: shapes };
        let units = cpu.units(&shapes)?;
        let floats = given.iter().filter(|(argument, _)| !argument.role.is_integers());
        if units.shape.contains(&0) || floats.clone().any(|(_, tensor)| tensor.is_empty()) {
            let (name, shape) = &shapes.given[0];
            return Err(Error::Empty {
                operation: loss.name().into(),
                name: format!("{name} {shape:?}"),
            });
        }
        let spread = |name: &str, tensor: Option<&Tensor>| {
            let with_width =
                |t: &Tensor| Ok((gpu_buffer(t)?, repeats(loss, name, t.shape(), &units)?));
            tensor.map(with_width).transpose()
        };
        let (weight, mask) = (spread("weight", inputs.weight)?, spread("mask", inputs.mask)?);
        let bound = |(argument, tensor): &(&'static Argument, &Tensor)| {
            Ok(Bound {
                name: argument.name,
                shape: tensor.shape().to_vec(),
                buffer: gpu_buffer(tensor)?,
            })
        };
        // The kernel templates bind floats before integers.
        let whole = given.iter().filter(|(argument, _)| argument.role.is_integers());
        let bounds = floats.chain(whole).map(bound).collect::<Result<_>>()?;
        let call = Call { criterion, gpu, kernel, units, given, bounds, weight, mask };
        if let Some(sizes) = call.sequence_sizes().filter(|sizes| sizes.blank >= sizes.classes) {
            let allowed = format!("a class, 0 to {}", sizes.classes - 1);
            return Err(Error::option(loss.name(), "blank", sizes.blank, &allowed));
        }
        Ok(call)
    }

    fn length(&self) -> usize {
        self.units.shape.iter().product()
    }

    fn tensor_of(&self, shape: &[usize], buffer: wgpu::Buffer) -> Tensor {
        Tensor::new(&self.criterion.device, shape, Storage::Gpu(buffer))
    }

    /// The gradients in argument order: the first, and the others by name.
    fn gradients(
        &self,
        buffers: Vec<wgpu::Buffer>,
    ) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let differentiated =
            self.given.iter().filter(|(argument, _)| argument.role.is_differentiated());
        let mut gradients = differentiated.zip(buffers).map(|((argument, tensor), buffer)| {
            (argument.name, self.tensor_of(tensor.shape(), buffer))
        });
        let Some((_, gradient)) = gradients.next() else {
            let (found, allowed) = ("have no gradient", "at least one must be given that has one");
            return Err(input_error(&*self.criterion.loss, "its inputs", found, allowed));
        };
        Ok((gradient, gradients.collect()))
    }

    /// The location of the value and the checks to run when it is read.
    fn notes(&self, buffer: wgpu::Buffer, mask: Option<&Tensor>) -> Notes {
        let (criterion, depends) = (self.criterion, self.keeps_depend());
        Notes {
            gpu: self.gpu.clone(),
            buffer,
            count: (!depends).then(|| self.length()),
            nan_if_empty: criterion.averages() && criterion.on_empty == OnEmpty::Nan && depends,
            check: self.checked(mask),
            planes: None,
        }
    }

    fn bound(&self, name: &str) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.name == name)
    }

    fn tensor(&self, name: &str) -> Option<&'t Tensor> {
        self.given.iter().find(|(argument, _)| argument.name == name).map(|(_, tensor)| *tensor)
    }

    fn sequence_sizes(&self) -> Option<SequenceSizes> {
        let SeveralInputs::Sequence { blank } = self.kernel else { return None };
        let shape = |name: &str| self.tensor(name).map_or(&[][..], Tensor::shape);
        let ([time, batch, classes], [_, length]) = (shape("predictions"), shape("targets")) else {
            return None;
        };
        let [batch, time, length, classes, blank] =
            [*batch, *time, *length, *classes, blank].map(|x| x as u32);
        Some(SequenceSizes { batch, time, length, classes, blank })
    }

    /// The labels after a linear layer, with the number of classes and the ignored labels.
    fn linear_labels(&self) -> Option<(&'t Tensor, usize, &'t [i64])> {
        let inner = self.criterion.loss.inner().filter(|inner| inner.targets().takes_labels())?;
        let targets = self.tensor("targets").filter(|targets| targets.is_labels())?;
        let classes = self.tensor("linear_weight")?.shape().first().copied().unwrap_or(0);
        Some((targets, classes, inner.ignored()))
    }

    /// What the rows of a similarity over labels add to the divisor, unless it is 1 each.
    fn row_divisor_rule(&self) -> Option<(crate::templates::similarity::DivisorRule, &'t Tensor)> {
        let SeveralInputs::Similarity(comparison) = self.kernel else { return None };
        let labels = self.given.iter().find(|(argument, _)| argument.role.is_integers())?.1;
        (comparison.divisor_rule != crate::templates::similarity::DivisorRule::default())
            .then_some((comparison.divisor_rule, labels))
    }

    /// True if a completion contributes its number of tokens to the divisor.
    fn counts_tokens(&self) -> bool {
        let rule = match self.kernel {
            SeveralInputs::Policy(rule) => Some(rule),
            SeveralInputs::Completions { .. } => {
                self.criterion.loss.inner().and_then(rule_by_token)
            }
            _ => None,
        };
        rule.is_some_and(|rule| rule.aggregation == Aggregation::TokenMean)
    }

    /// True if the number of values that each row contributes to the divisor is counted.
    fn counts_within_rows(&self) -> bool {
        self.row_divisor_rule().is_some()
            || self.counts_tokens()
            || matches!(self.kernel, SeveralInputs::Survival)
    }

    /// True if the set of included values is known only on the device.
    fn keeps_depend(&self) -> bool {
        let ignores = self.linear_labels().is_some_and(|(_, _, ignored)| !ignored.is_empty());
        self.mask.is_some() || ignores || self.counts_within_rows()
    }

    fn divides_on_device(&self) -> bool {
        match self.criterion.reduction {
            Reduction::Mean => self.keeps_depend() || self.class_weight().is_some(),
            Reduction::WeightedMean => self.keeps_depend() || self.weight.is_some(),
            _ => false,
        }
    }

    /// The class weights after a linear layer, if present.
    fn class_weight(&self) -> Option<&'t Tensor> {
        self.linear_labels().and(self.tensor("class_weight"))
    }

    fn checked(&self, mask: Option<&Tensor>) -> Check {
        if let Some((_, classes, _)) = self.linear_labels() {
            return Check::Labels { classes };
        }
        if self.sequence_sizes().is_none() {
            return Check::Nothing;
        }
        let inputs = self
            .given
            .iter()
            .map(|(argument, tensor)| (argument.name, (*tensor).clone()))
            .collect();
        Check::Sequences { inputs, mask: mask.cloned() }
    }

    /// Prepares the kernel template's derived buffers; replaces the given sequence lengths with
    /// checked ones.
    fn make(&mut self, commands: &mut Vec<Command>) -> Result<Made> {
        let mut made = Made::default();
        if let Some((rule, labels)) = self.row_divisor_rule() {
            let (command, terms) = on_device::similarity_divisor_terms(
                self.gpu,
                &gpu_buffer(labels)?,
                self.length(),
                rule,
            )?;
            commands.push(command);
            made.terms = Some(terms);
        }
        if self.counts_tokens() {
            let (bound, left_out) = match (self.kernel, self.bound("targets")) {
                (SeveralInputs::Completions { tokens, .. }, Some(labels)) => {
                    let ignored = tokens.ignored().first().map_or(i32::MIN, |&label| label as i32);
                    (Some(labels), LeftOut::Label(&labels.buffer, ignored))
                }
                _ => {
                    let mask = self.bound("completion_mask");
                    let left_out = mask.map_or(LeftOut::None, |mask| LeftOut::Mask(&mask.buffer));
                    (self.bound("log_probs"), left_out)
                }
            };
            let columns = bound.map_or(1, |bound| bound.shape[1]);
            let (command, counts) =
                policy::token_counts(self.gpu, left_out, self.length(), columns)?;
            commands.push(command);
            made.terms = Some(counts);
        }
        if let (SeveralInputs::Survival, Some(times), Some(events)) =
            (self.kernel, self.bound("times"), self.bound("events"))
        {
            let inputs = [&times.buffer, &events.buffer];
            let sizes = survival_sizes(&times.shape);
            let (command, counts) = survival::event_counts(self.gpu, inputs, sizes)?;
            commands.push(command);
            made.terms = Some(counts);
        }
        let Some(sizes) = self.sequence_sizes() else { return Ok(made) };
        let [Some(inputs), Some(lengths), Some(targets)] =
            ["input_lengths", "target_lengths", "targets"]
                .map(|name| self.bound(name).map(|bound| bound.buffer.clone()))
        else {
            return Ok(made);
        };
        let mask = self.mask.as_ref().map(|(mask, _)| mask);
        let (command, [inputs, targets, verdicts]) =
            on_device::check_sequences(self.gpu, sizes, [&inputs, &lengths, &targets], mask)?;
        commands.push(command);
        for (name, buffer) in [("input_lengths", inputs), ("target_lengths", targets)] {
            self.bounds
                .iter_mut()
                .filter(|bound| bound.name == name)
                .for_each(|bound| bound.buffer = buffer.clone());
        }
        made.verdicts = Some(verdicts);
        made.lengths = Some(lengths).filter(|_| self.criterion.reduction == Reduction::Mean);
        Ok(made)
    }

    /// The weights passed to the kernel template, and their common factor.
    fn reduction_factor(
        &mut self,
        notes: &wgpu::Buffer,
        commands: &mut Vec<Command>,
    ) -> Result<(Option<wgpu::Buffer>, f32)> {
        let made = self.make(commands)?;
        let (gpu, criterion, length) = (self.gpu, self.criterion, self.length());
        let on_device = self.divides_on_device();
        let factor = if on_device {
            1.0
        } else {
            criterion.known_factor(self.units.rows, [length, length])?
        };
        let labels = self.linear_labels().map(|(labels, ..)| gpu_buffer(labels)).transpose()?;
        let class_weight = self.class_weight().map(gpu_buffer).transpose()?;
        let (weight, mask) = (self.weight.clone(), self.mask.clone());
        let values = Values {
            weight: weight.as_ref().map(|(buffer, width)| (buffer, *width)),
            mask: mask.as_ref().map(|(buffer, width)| (buffer, *width)),
            labels: match (&labels, self.linear_labels(), &made.verdicts) {
                (Some(labels), Some((_, classes, ignored)), _) => {
                    Labels::Classes { labels, classes, ignored }
                }
                (_, _, Some(verdicts)) => Labels::Verdicts(verdicts),
                _ => Labels::None,
            },
            term: match (&made.terms, &class_weight) {
                (Some(terms), _) => DivisorTerm::Own(terms),
                (None, Some(weights)) if criterion.reduction == Reduction::Mean => {
                    DivisorTerm::OfClass(weights)
                }
                _ => DivisorTerm::One,
            },
            by_weight: criterion.reduction == Reduction::WeightedMean,
            lengths: made.lengths.as_ref(),
            ..Values::plain(length)
        };
        let is_checked = labels.is_some() || made.verdicts.is_some();
        if self.keeps_depend() || on_device || is_checked {
            commands.extend(normalizer::count(gpu, &values, notes)?);
        }
        let is_spread = weight.as_ref().is_some_and(|(_, width)| *width > 1);
        if !(self.keeps_depend() || on_device || made.verdicts.is_some() || is_spread) {
            return Ok((weight.map(|(buffer, _)| buffer), factor));
        }
        let (packing, packed) = normalizer::pack(gpu, &values, on_device.then_some(notes))?;
        commands.extend(packing);
        if matches!(self.kernel, SeveralInputs::Linear) && self.keeps_depend() {
            self.clear(&packed, commands)?;
        }
        Ok((Some(packed), factor))
    }

    /// Zeroes masked rows of a linear layer's input: a NaN or infinity there would survive a
    /// product with 0.
    fn clear(&mut self, packed: &wgpu::Buffer, commands: &mut Vec<Command>) -> Result<()> {
        let x = self.bounds.iter_mut().find(|bound| bound.name == "predictions");
        let x = x.ok_or_else(|| missing("predictions"))?;
        let (elements, columns) = (x.shape.iter().product(), x.shape.last().copied().unwrap_or(1));
        let (clearing, cleared) =
            on_device::clear_rows(self.gpu, &x.buffer, packed, elements, columns)?;
        commands.extend(clearing);
        x.buffer = cleared;
        Ok(())
    }
}
