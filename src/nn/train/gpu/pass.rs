//! The buffers of a batch on its way through a network.

use crate::Result;
use crate::nn::layers::Network;
use crate::runtime::device::Gpu;

/// The buffers of one batch's way through the network.
pub(crate) struct Pass {
    /// The batch, then the output of each layer.
    pub outputs: Vec<wgpu::Buffer>,
    /// What each activation was given; 16 bytes of nothing where its derivative does not ask.
    pub kept: Vec<wgpu::Buffer>,
    /// dL/dx of each activation.
    pub gradients: Vec<wgpu::Buffer>,
    /// The gradient of what a table gave.
    pub of_input: Option<wgpu::Buffer>,
}

/// The values of a batch: partial sums of its loss, and behind them which rows are right.
pub(crate) struct Joined {
    pub values: wgpu::Buffer,
    pub parts: usize,
    /// Rows that are judged; 0 where there is no metric.
    pub checked: usize,
    pub rows: usize,
}

impl Pass {
    /// For a batch of so many rows, of which the last layer takes so many at a time.
    pub fn new(
        gpu: &Gpu,
        network: &Network,
        [rows, chunk]: [usize; 2],
        batch: wgpu::Buffer,
    ) -> Result<Self> {
        let mut pass =
            Pass { outputs: vec![batch], kept: Vec::new(), gradients: Vec::new(), of_input: None };
        if let Some(lookup) = &network.lookup {
            pass.of_input = Some(gpu.buffer("the gradient of rows", rows * lookup.outputs())?);
        }
        for (index, layer) in network.layers.iter().enumerate() {
            let length = layer.units * if index + 1 == network.layers.len() { chunk } else { rows };
            pass.outputs.push(gpu.buffer("a layer's output", length)?);
            pass.kept.push(gpu.buffer(
                "a layer's sums",
                if layer.activation.needs_input() { length } else { 4 },
            )?);
            pass.gradients.push(gpu.buffer("a layer's gradient", length)?);
        }
        Ok(pass)
    }
}
