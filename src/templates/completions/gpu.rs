//! Template of losses of whole completions after a linear layer: token losses chunk by chunk, their
//! sums per completion, the kernel of the inner loss, and the backward pass of the linear template.
//! CPU implementation: `src/templates/completions/cpu.rs`.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;
use crate::templates::completions::cpu::{
    TOKEN_MASK, completions_per_value, outer_name, rule_by_token,
};
use crate::templates::definition::LossDefinition;
use crate::templates::linear::gpu as linear;
use crate::templates::multi_input::cpu::Units;
use crate::templates::multi_input::job::{Bound, MultiInputJob, MultiInputResults};
use crate::templates::policy::PolicyRule;
use crate::templates::policy::gpu as policy;
use crate::templates::preference::gpu as preference;
use crate::templates::program::NUMBERS;
use crate::{Error, Result};

const MASK: File = crate::runtime::wgsl::shader!("templates/completions/completion_mask.wgsl");
const SUMS: File = crate::runtime::wgsl::shader!("templates/completions/completion_sums.wgsl");
const DERIVATIVES: File =
    crate::runtime::wgsl::shader!("templates/completions/completion_gradients.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct TokenParams {
    tokens: u32,
    length: u32,
    values: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CompletionParams {
    completions: u32,
    length: u32,
    averages: u32,
    ignored: i32,
}

fn program_of(file: File, software: bool) -> Program {
    Program {
        label: file.name.into(),
        header: String::new(),
        files: if file.name == MASK.name { vec![file, NUMBERS] } else { vec![file] },
        constants: vec![("WORKGROUP", lanes_of(software).into())],
    }
}

/// The programs of the token loss belong to that loss.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    let own = [MASK, SUMS, DERIVATIVES]
        .into_iter()
        .flat_map(|file| [true, false].map(|on| program_of(file, on)));
    let inner = loss.fused_inner()?;
    let inner = match rule_by_token(inner) {
        Some(rule) => policy::programs(inner, rule),
        None => preference::programs(inner),
    };
    Ok(own.chain(linear::own_programs()).chain(inner).collect())
}

/// State of one call.
struct Call<'a> {
    gpu: &'a Gpu,
    inner: &'a dyn LossDefinition,
    /// The loss of each token.
    of_tokens: &'a dyn LossDefinition,
    job: &'a MultiInputJob,
    /// Number of tokens per completion.
    length: usize,
    /// Number of tokens in all completions.
    tokens: usize,
    completions: usize,
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    tokens: &dyn LossDefinition,
    averages: bool,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let inner = loss.fused_inner()?;
    let labels = job.get("targets").ok_or_else(|| Error::Input {
        operation: loss.name().into(),
        name: "targets".into(),
        found: "are missing".into(),
        allowed: "a label for each token".into(),
    })?;
    let (completions, length) = (labels.shape[0], labels.shape[1]);
    let call = Call {
        gpu,
        inner,
        of_tokens: tokens,
        job,
        length,
        tokens: completions * length,
        completions,
    };
    let mut commands = Vec::new();
    let layer = call.layer(&mut commands)?;
    let (forward, costs) = linear::values(gpu, tokens, &layer)?;
    commands.extend(forward);
    if let Some(rule) = rule_by_token(inner) {
        // Each token is a completion of its own.
        let call = Call { length: 1, completions: call.tokens, ..call };
        return call.by_token(rule, &labels.buffer, &costs, &layer, commands);
    }
    let [logs, shares] = call.sums(averages, &labels.buffer, &costs, &mut commands)?;
    let (of_completions, results, parts) =
        preference::commands(gpu, inner, &call.of_completions(&logs, &mut commands)?)?;
    commands.extend(of_completions);
    call.derivatives(&results.gradients, &shares, &layer, &mut commands)?;
    let (back, of_layer) = linear::gradients(gpu, tokens, &layer)?;
    commands.extend(back);
    Ok((commands, MultiInputResults { gradients: of_layer, ..results }, parts))
}

impl Call<'_> {
    /// The rest of the commands of an inner loss of the log-probabilities of the tokens. The share of
    /// a token, 0 if it is ignored, is its mask.
    fn by_token(
        &self,
        rule: PolicyRule,
        labels: &wgpu::Buffer,
        costs: &wgpu::Buffer,
        layer: &MultiInputJob,
        mut commands: Vec<Command>,
    ) -> Result<(Vec<Command>, MultiInputResults, usize)> {
        let [logs, shares] = self.sums(false, labels, costs, &mut commands)?;
        let (first, others) = (&self.inner.arguments()[0], &self.inner.arguments()[1..]);
        let values = self.job.length();
        let shape = vec![values, self.tokens / values.max(1)];
        let mut arguments = vec![Bound { name: first.name, shape: shape.clone(), buffer: logs }];
        arguments.extend(others.iter().filter_map(|other| self.job.get(other.name).cloned()));
        arguments.push(Bound { name: TOKEN_MASK, shape, buffer: shares.clone() });
        let job = MultiInputJob { arguments, ..self.job.clone() };
        let (of_tokens, results, parts) = policy::commands(self.gpu, self.inner, rule, &job)?;
        commands.extend(of_tokens);
        if let (Some(gradient), Some(upstreams)) = (results.gradients.first(), &layer.upstreams) {
            commands.push(self.over_tokens(DERIVATIVES, &[gradient, &shares, upstreams])?);
        }
        let (back, of_layer) = linear::gradients(self.gpu, self.of_tokens, layer)?;
        commands.extend(back);
        Ok((commands, MultiInputResults { gradients: of_layer, ..results }, parts))
    }

    /// The tokens as rows of a linear layer. Each row has its own upstream gradient, 0 until it is
    /// computed.
    fn layer(&self, commands: &mut Vec<Command>) -> Result<MultiInputJob> {
        let gpu = self.gpu;
        let weights = match &self.job.weights {
            None => None,
            Some(mask) => {
                let weights = gpu.buffer("weights of tokens", self.tokens)?;
                commands.push(self.over_tokens(MASK, &[mask, &weights])?);
                Some(weights)
            }
        };
        let of_layer = ["predictions", "linear_weight", "linear_bias", "targets"];
        Ok(MultiInputJob {
            arguments: of_layer.iter().filter_map(|name| self.job.get(name)).cloned().collect(),
            units: Units { shape: vec![self.tokens], rows: self.tokens },
            weights,
            upstreams: Some(gpu.buffer("upstreams of tokens", self.tokens)?),
            each: true,
            factor: 1.0,
            upstream: 1.0,
        })
    }

    /// The log-probabilities of the completions, and the factor of each token in them.
    fn sums(
        &self,
        averages: bool,
        labels: &wgpu::Buffer,
        costs: &wgpu::Buffer,
        commands: &mut Vec<Command>,
    ) -> Result<[wgpu::Buffer; 2]> {
        let gpu = self.gpu;
        let logs = gpu.buffer("log-probabilities", self.completions)?;
        let shares = gpu.buffer("shares of tokens", self.completions)?;
        let params = CompletionParams {
            completions: self.completions as u32,
            length: self.length as u32,
            averages: u32::from(averages),
            ignored: crate::templates::job::ignored_words(self.of_tokens.ignored()).1[0],
        };
        let kernel = gpu.kernel(&program_of(SUMS, gpu.is_software()))?;
        let storage = [costs, labels, &logs, &shares].map(Into::into);
        commands.push(gpu.dispatch(&kernel, &params, &storage, self.completions as u32)?);
        Ok([logs, shares])
    }

    /// The inputs of the inner loss: the log-probabilities of all first completions, then of all
    /// second ones, and the other inputs unchanged.
    fn of_completions(
        &self,
        logs: &wgpu::Buffer,
        commands: &mut Vec<Command>,
    ) -> Result<MultiInputJob> {
        let values = self.job.length();
        let (policies, others) = self.inner.arguments().split_at(completions_per_value(self.inner));
        let mut arguments = Vec::new();
        for (place, policy) in policies.iter().enumerate() {
            let buffer = self.gpu.buffer("log-probabilities", values)?;
            let (from_offset, size) = (4 * (place * values) as u64, 4 * values as u64);
            commands.push(Command::Copy {
                from: logs.clone(),
                from_offset,
                to: buffer.clone(),
                to_offset: 0,
                size,
            });
            arguments.push(Bound { name: policy.name, shape: vec![values], buffer });
        }
        arguments.extend(others.iter().filter_map(|argument| {
            let given = self.job.get(outer_name(argument.name))?;
            Some(Bound { name: argument.name, ..given.clone() })
        }));
        Ok(MultiInputJob { arguments, ..self.job.clone() })
    }

    /// Distributes the derivatives with respect to the completions over the upstream gradients of
    /// their tokens.
    fn derivatives(
        &self,
        of_completions: &[wgpu::Buffer],
        shares: &wgpu::Buffer,
        layer: &MultiInputJob,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let values = self.job.length();
        let derivatives = self.gpu.buffer("derivatives by answers", self.completions)?;
        for (place, part) in of_completions.iter().enumerate() {
            let (to_offset, size) = (4 * (place * values) as u64, 4 * values as u64);
            commands.push(Command::Copy {
                from: part.clone(),
                from_offset: 0,
                to: derivatives.clone(),
                to_offset,
                size,
            });
        }
        if let Some(upstreams) = &layer.upstreams {
            commands.push(self.over_tokens(DERIVATIVES, &[&derivatives, shares, upstreams])?);
        }
        Ok(())
    }

    /// Dispatches a kernel with one lane per token.
    fn over_tokens(&self, file: File, storage: &[&wgpu::Buffer]) -> Result<Command> {
        let gpu = self.gpu;
        let sizes = [self.tokens, self.length, self.job.length()].map(|size| size as u32);
        let params =
            TokenParams { tokens: sizes[0], length: sizes[1], values: sizes[2], reserved: 0 };
        let kernel = gpu.kernel(&program_of(file, gpu.is_software()))?;
        let storage: Vec<_> = storage.iter().map(|&buffer| buffer.into()).collect();
        gpu.dispatch(&kernel, &params, &storage, sizes[0].div_ceil(lanes_of(gpu.is_software())))
    }
}
