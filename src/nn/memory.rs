//! Memory of a model, from the plan of a batch: known before anything is allocated.

use std::fmt;

use crate::error::text;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::plan::{BatchRows, Plan, Slot};
use crate::nn::optimizers::update::job::state_stride;
use crate::runtime::device::Device;
use crate::runtime::memory;
use crate::{Error, Result};

/// What to do about a batch that is too large.
const SMALLER_BATCH: &str =
    "lower the batch size; Fit::accumulate adds batches up to one update of the same size";

/// What to do about a network that is too large.
const SMALLER_NETWORK: &str = "use fewer or narrower layers";

/// Memory that a model takes on its device, in bytes: from its shapes, without allocating or
/// running anything. Returned by [`crate::Model::memory`].
///
/// Activations share buffers where one is no longer read when the next is written, so that the sums
/// here are of the buffers, not of all tensors. A last, shorter batch and a validation run in the
/// buffers of a step, as far as these are large enough. Not counted: the data set itself, the program
/// with the driver of a GPU, and work memory inside single operations, such as partial sums and, in mixed precision, the
/// rounded operands of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Rows of the training step.
    pub batch_size: usize,
    /// Parameters, embedding tables and running statistics.
    pub parameters: u64,
    /// Gradients of the parameters.
    pub gradients: u64,
    /// States of the optimizer and the running average; 0 for a model that was not compiled.
    pub optimizer: u64,
    /// The copy of parameters and states that training falls back on if a loss is not finite.
    pub snapshot: u64,
    /// Outputs of layers that the backward pass of a step reads.
    pub activations: u64,
    /// The rest of a step: values between the layers, their gradients, the batch and its targets.
    pub working: u64,
    /// Contributions to a gradient that are made before they are added to it.
    pub contributions: u64,
    /// Buffers that measuring and predicting `prediction_batch` rows takes beside those of a step.
    pub evaluation: u64,
    /// Copies in the program's memory while the model is saved: its numbers in f64, and the file.
    pub saving: u64,
    /// Values between the layers of a prediction of `prediction_batch` rows.
    pub prediction: u64,
    /// Rows that are predicted at a time.
    pub prediction_batch: usize,
    /// What the largest buffer holds.
    pub largest_buffer: &'static str,
    /// Bytes of the largest buffer.
    pub largest: u64,
    /// Bytes that a buffer of the device may have; `None` on the CPU.
    pub buffer_limit: Option<u64>,
    /// Bytes that the states of the optimizer may have together on a device; `None` on the CPU.
    whole_buffer_limit: Option<u64>,
    /// Memory of the device: on the CPU, and on a GPU that shares it, the machine's physical memory
    /// where the system reports it; `None` where it is not known.
    pub available: Option<u64>,
}

/// The numbers that a model keeps, whatever the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub parameters: usize,
    pub gradients: usize,
    /// Numbers of a state, and how many states there are.
    pub state: usize,
    pub states: usize,
    /// Elements of the table of a model that begins with one.
    pub table: usize,
}

impl Kept {
    /// Those of a graph whose optimizer has a number of states.
    pub fn of(graph: &Graph, states: usize) -> Self {
        Kept {
            parameters: graph.all_length() + graph.statistic_length(),
            gradients: graph.length,
            state: graph.all_length(),
            states,
            table: graph.all_length() - graph.length,
        }
    }
}

/// The plan of a batch on an engine.
#[derive(Debug)]
pub(crate) struct BatchPlan {
    pub plan: Plan,
    pub sizes: BatchRows,
    /// Numbers of contributions to gradients before they are added.
    pub contributions: u64,
}

impl BatchPlan {
    fn slots(&self) -> impl Iterator<Item = u64> + '_ {
        let BatchRows { rows, chunk } = self.sizes;
        self.plan.slots.iter().map(move |slot: &Slot| slot.elements(rows, chunk) as u64)
    }

    /// Numbers in all buffers.
    fn total(&self) -> u64 {
        self.slots().fold(0, u64::saturating_add)
    }

    /// Numbers in the largest buffer.
    fn largest(&self) -> u64 {
        self.slots().max().unwrap_or(0)
    }

    /// Numbers that are kept for the backward pass.
    fn kept(&self) -> u64 {
        self.plan.kept.elements(self.sizes.rows, self.sizes.chunk) as u64
    }
}

/// Numbers of buffers that a walk takes beside those that others have left. On a GPU each value takes
/// the smallest buffer that it fits into, as [`Pool`](crate::nn::graph::gpu::Pool) hands them out; on
/// the CPU the buffer of its number, which grows.
fn beside(held: &mut Vec<u64>, wanted: impl Iterator<Item = u64>, is_pooled: bool) -> u64 {
    let mut wanted: Vec<u64> = wanted.collect();
    if !is_pooled {
        held.resize(held.len().max(wanted.len()), 0);
        let grown = held.iter_mut().zip(wanted).map(|(held, wanted)| {
            let more = wanted.saturating_sub(*held);
            *held += more;
            more
        });
        return grown.fold(0, u64::saturating_add);
    }
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    let (mut free, mut more) = (held.clone(), 0_u64);
    for numbers in wanted {
        let fitting = free.iter().enumerate().filter(|(_, size)| **size >= numbers);
        match fitting.min_by_key(|(_, size)| **size).map(|(place, _)| place) {
            Some(place) => drop(free.swap_remove(place)),
            None => {
                held.push(numbers);
                more = more.saturating_add(numbers);
            }
        }
    }
    more
}

/// The plans of a training step, of measuring and of a prediction.
#[derive(Debug)]
pub(crate) struct Walks {
    pub training: BatchPlan,
    pub evaluation: BatchPlan,
    pub prediction: BatchPlan,
    /// Numbers of the targets of the training step.
    pub targets: usize,
}

impl Memory {
    pub(crate) fn new(device: &Device, kept: Kept, walks: Option<&Walks>) -> Self {
        let size = number_bytes(device);
        let bytes = |numbers: u64| numbers.saturating_mul(size);
        let of_walk = |numbers: fn(&Walks) -> u64| bytes(walks.map_or(0, numbers));
        let state = match device {
            Device::Gpu(_) => state_stride(kept.state),
            Device::Cpu | Device::Reference => kept.state,
        };
        let (parameters, states) =
            (bytes(kept.parameters as u64), bytes((state * kept.states) as u64));
        let mut memory = Memory {
            batch_size: walks.map_or(0, |walks| walks.training.sizes.rows),
            parameters,
            gradients: bytes(kept.gradients as u64),
            optimizer: states,
            snapshot: walks.map_or(0, |_| parameters.saturating_add(states)),
            activations: of_walk(|walks| walks.training.kept()),
            working: of_walk(|walks| {
                let rest = walks.training.total().saturating_sub(walks.training.kept());
                rest.saturating_add(walks.targets as u64)
            }),
            contributions: of_walk(|walks| walks.training.contributions),
            evaluation: bytes(walks.map_or(0, |walks| {
                let is_pooled = matches!(device, Device::Gpu(_));
                let mut held: Vec<u64> = walks.training.slots().collect();
                let more = [&walks.evaluation, &walks.prediction]
                    .map(|plan| beside(&mut held, plan.slots(), is_pooled));
                more[0].saturating_add(more[1])
            })),
            saving: {
                let numbers = kept.parameters + kept.state * kept.states;
                (numbers as u64).saturating_mul(8 + size)
            },
            prediction: of_walk(|walks| walks.prediction.total()),
            prediction_batch: walks.map_or(0, |walks| walks.prediction.sizes.rows),
            largest_buffer: "the parameters",
            largest: 0,
            buffer_limit: buffer_limit(device),
            whole_buffer_limit: match device {
                Device::Gpu(gpu) => Some(gpu.limits().max_buffer_size),
                Device::Cpu | Device::Reference => None,
            },
            available: available(device),
        };
        let buffers = [
            ("the parameters", bytes(kept.gradients as u64)),
            ("the embedding table", bytes(kept.table as u64)),
            ("a state of the optimizer", bytes((state * kept.states.min(1)) as u64)),
            ("the activations of a batch", of_walk(|walks| walks.training.largest())),
        ];
        // The first of equals.
        for (name, bytes) in buffers {
            if bytes > memory.largest {
                (memory.largest_buffer, memory.largest) = (name, bytes);
            }
        }
        memory
    }

    /// Bytes of a training step: all but `prediction`.
    pub fn training(&self) -> u64 {
        let of_batch = self.activations.saturating_add(self.working);
        self.whatever_the_batch().saturating_add(of_batch)
    }

    /// Bytes that a training with validation and checkpoints takes at most, with those of a step.
    pub fn peak(&self) -> u64 {
        let more = [self.contributions, self.evaluation, self.saving];
        more.into_iter().fold(self.training(), u64::saturating_add)
    }

    /// Bytes of a prediction with the model as it is, optimizer included.
    pub fn predicting(&self) -> u64 {
        let kept = self.parameters.saturating_add(self.gradients).saturating_add(self.optimizer);
        kept.saturating_add(self.prediction)
    }

    fn whatever_the_batch(&self) -> u64 {
        let numbers = [self.parameters, self.gradients, self.optimizer, self.snapshot];
        numbers.into_iter().fold(0, u64::saturating_add)
    }

    /// Rejects what the device cannot hold.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the largest buffer or the whole training step is over the limit.
    pub(crate) fn check(&self) -> Result<()> {
        let of_batch = |name: &str| match self.batch_size {
            0 => name.to_string(),
            rows => format!("{name} in a training step of {rows} rows"),
        };
        if let Some(limit) = self.buffer_limit.filter(|limit| self.largest > *limit) {
            let is_of_batch = self.largest_buffer == "the activations of a batch";
            let (name, advice) = match is_of_batch {
                true => (of_batch("the largest buffer"), SMALLER_BATCH),
                false => (format!("one buffer for {}", self.largest_buffer), SMALLER_NETWORK),
            };
            let advice = format!("{advice}; or take the device `cpu`");
            return Err(Error::TooLarge { name, bytes: self.largest, limit, advice });
        }
        // The states of the optimizer are one buffer, each of them a binding.
        if let Some(limit) = self.whole_buffer_limit.filter(|limit| self.optimizer > *limit) {
            let name = "one buffer for the states of the optimizer".to_string();
            let advice = format!("{SMALLER_NETWORK}; or take the device `cpu`");
            return Err(Error::TooLarge { name, bytes: self.optimizer, limit, advice });
        }
        let (bytes, kept) = (self.training(), self.whatever_the_batch());
        match self.available.filter(|available| bytes > *available) {
            None => Ok(()),
            Some(limit) => {
                let advice = if kept > limit { SMALLER_NETWORK } else { SMALLER_BATCH };
                let name = of_batch("the model");
                Err(Error::TooLarge { name, bytes, limit, advice: advice.into() })
            }
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: u64| text::bytes(bytes as f64);
        write!(
            f,
            "a training step of {} rows takes {}: parameters {}, gradients {}, optimizer {}, copy to fall back on {}, \
             activations for backward {}, working memory {}; with validation and checkpoints up to {} beside data and program; \
             a prediction of {} rows {}",
            self.batch_size,
            bytes(self.training()),
            bytes(self.parameters),
            bytes(self.gradients),
            bytes(self.optimizer),
            bytes(self.snapshot),
            bytes(self.activations),
            bytes(self.working),
            bytes(self.peak()),
            self.prediction_batch,
            bytes(self.predicting()),
        )?;
        if let Some(limit) = self.buffer_limit {
            let (name, largest) = (self.largest_buffer, bytes(self.largest));
            write!(f, "; largest buffer {largest} ({name}) of {} allowed", bytes(limit))?;
        }
        match self.available {
            Some(available) => write!(f, "; {} of memory in the machine", bytes(available)),
            None => Ok(()),
        }
    }
}

/// Bytes of a number on a device.
fn number_bytes(device: &Device) -> u64 {
    match device {
        Device::Reference => 8,
        Device::Cpu | Device::Gpu(_) => 4,
    }
}

/// Bytes that a buffer may have: kernels bind the buffers of a model whole.
fn buffer_limit(device: &Device) -> Option<u64> {
    let Device::Gpu(gpu) = device else { return None };
    let limits = gpu.limits();
    Some(limits.max_buffer_size.min(limits.max_storage_buffer_binding_size))
}

/// Memory of a device, where it is known. wgpu does not tell that of a card.
fn available(device: &Device) -> Option<u64> {
    let shares_memory =
        |kind| matches!(kind, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu);
    match device {
        Device::Gpu(gpu) if !shares_memory(gpu.info().device_type) => None,
        _ => memory::physical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory {
            batch_size: 10,
            parameters: 400,
            gradients: 400,
            optimizer: 800,
            snapshot: 1200,
            activations: 4000,
            working: 2000,
            contributions: 100,
            evaluation: 300,
            saving: 2400,
            prediction: 1500,
            prediction_batch: 1024,
            largest_buffer: "the activations of a batch",
            largest: 2000,
            buffer_limit: None,
            whole_buffer_limit: None,
            available: None,
        }
    }

    #[test]
    fn sums_are_of_what_a_step_and_a_prediction_hold() {
        assert_eq!((memory().training(), memory().predicting()), (8800, 3100));
        assert_eq!(memory().peak(), 8800 + 2800);
    }

    #[test]
    fn buffers_of_another_walk_are_those_that_do_not_fit() {
        let of = |wanted: &[u64], is_pooled| {
            let mut held = vec![10, 40, 20];
            let more = beside(&mut held, wanted.iter().copied(), is_pooled);
            (more, held)
        };
        // The smallest that fits: 15 takes 20, 9 takes 10, 35 takes 40; a second 35 takes its own.
        assert_eq!(of(&[15, 9, 35], true), (0, vec![10, 40, 20]));
        assert_eq!(of(&[35, 35], true), (35, vec![10, 40, 20, 35]));
        assert_eq!(of(&[5, 45, 20, 7], false), (12, vec![10, 45, 20, 7]));
        assert_eq!(of(&[], false).0 + of(&[], true).0, 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_sizes_and_advice() {
        let refused = |memory: Memory, parts: &[&str]| {
            let message = memory.check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        };
        assert!(memory().check().is_ok());
        assert!(
            Memory { available: Some(8800), buffer_limit: Some(2000), ..memory() }.check().is_ok()
        );
        let limited = Memory { buffer_limit: Some(1999), ..memory() };
        refused(
            limited,
            &["10 rows", "2000 bytes", "allows 1999", "batch size", "accumulate", "cpu"],
        );
        let wide = Memory { largest_buffer: "the parameters", ..memory() };
        refused(Memory { buffer_limit: Some(1999), ..wide }, &["the parameters", "narrower"]);
        let small = Memory { available: Some(8799), ..memory() };
        refused(small, &["10 rows", "8800 bytes", "allows 8799", "batch size"]);
        refused(Memory { available: Some(2799), ..memory() }, &["8800 bytes", "narrower"]);
        // Sums saturate: sizes beyond 2⁶⁴ are refused too.
        let endless = Memory { working: u64::MAX, available: Some(u64::MAX - 1), ..memory() };
        refused(endless, &["18446744073709551615 bytes"]);
    }
}
