//! An embedding's backward pass and step: on the rows that were hit, or with a dense gradient.

use crate::nn::embedding::kernels::{RowStep, Sizes, Workspace};
use crate::nn::optimizers::update::Runner;
use crate::nn::optimizers::update::job::Update;
use crate::nn::optimizers::{Adagrad, GradientTransform, MOST_STATES, Optimizer, Sgd};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::testing::bench::case::{Case, normal};
use crate::testing::bench::gpu::common::{Made, arrived};
use crate::{Error, Result};

/// The commands of the case; the ceilings copy the table.
pub(crate) fn commands(case: &Case, dense: bool, gpu: &Gpu) -> Result<Made> {
    let &[ids, rows, width] = &case.shape[..] else {
        return Err(Error::option(
            "bench",
            "embedding",
            format!("{:?}", case.shape),
            "[ids, rows, width]",
        ));
    };
    let sizes = Sizes { ids, rows, width };
    let table = gpu.upload("an embedding", &normal(rows * width, 1))?;
    let gradients = gpu.upload("a gradient", &normal(ids * width, 2))?;
    let named = gpu.upload("ids", &case.ids())?;
    let dummy = gpu.buffer("no state", 64 * MOST_STATES)?;
    let copied = gpu.buffer("a copy", rows * width)?;
    let start = arrived(gpu)?;
    let workspace = Workspace::new(gpu, &sizes)?;
    let adagrad = Adagrad::new();
    let optimizer: &dyn Optimizer = &adagrad;
    let step = optimizer.step(10, optimizer.initial_learning_rate());
    let commands = if dense {
        let length = rows * width;
        // A sum is an SGD step of rate -1 from zeros: the rows that are hit, after zeroing the
        // gradient.
        let (zeros, sums) = (gpu.buffer("zeros", length)?, gpu.buffer("a dense gradient", length)?);
        let sgd = Sgd::new();
        let job = RowStep { sizes, optimizer: &sgd, table: &sums, states: &[], dummy: &dummy };
        workspace.set(gpu, &sizes, &(&sgd as &dyn Optimizer).step(1, -1.0));
        let size = 4 * length as u64;
        let mut commands = vec![Command::Copy {
            from: zeros,
            from_offset: 0,
            to: sums.clone(),
            to_offset: 0,
            size,
        }];
        commands.extend(workspace.update(gpu, &job, &named, &gradients)?.0);
        let update = Update {
            optimizer,
            length,
            gradient_transform: GradientTransform::default(),
            average: None,
        };
        let runner = Runner::new(gpu, &update, &table, &sums)?;
        runner.set(&step);
        commands.extend_from_slice(runner.commands());
        commands
    } else {
        let states = [gpu.buffer("optimizer states", rows * width)?];
        let job = RowStep { sizes, optimizer, table: &table, states: &states, dummy: &dummy };
        workspace.set(gpu, &sizes, &step);
        workspace.update(gpu, &job, &named, &gradients)?.0
    };
    Ok(Made { start, commands, inner: 1, pair: Some([table, copied]) })
}
