//! The engines of several models of one shape on a device.

use crate::Result;
use crate::nn::graph::nodes::Graph;
use crate::nn::train::batched_engine::{BatchedEngine, Several};
use crate::nn::train::gpu::state::GpuEngine;
use crate::nn::train::gpu::{SideBySide, most_parameters};
use crate::nn::train::host::CpuEngine;
use crate::runtime::device::Device;

/// An engine whose members run in the same dispatches; none off a GPU, and for a graph that the
/// fused kernel does not know or that is too large for it.
pub(crate) fn side_by_side(
    graph: &Graph,
    device: &Device,
    members: usize,
) -> Result<Option<Box<dyn BatchedEngine>>> {
    let Device::Gpu(gpu) = device else { return Ok(None) };
    let chain = graph.as_dense_chain().filter(|chain| chain.length <= most_parameters(gpu));
    chain
        .map(|chain| Ok(Box::new(SideBySide::new(gpu, &chain, members)?) as Box<dyn BatchedEngine>))
        .transpose()
}

/// An engine per member.
pub(crate) fn several(
    graph: &Graph,
    device: &Device,
    members: usize,
) -> Result<Box<dyn BatchedEngine>> {
    let each = 0..members;
    Ok(match device {
        Device::Gpu(gpu) => Box::new(Several::new(
            each.map(|_| GpuEngine::new(gpu, graph.clone())).collect::<Result<_>>()?,
        )),
        Device::Cpu => {
            Box::new(Several::new(each.map(|_| CpuEngine::<f32>::new(graph.clone())).collect()))
        }
        Device::Reference => {
            Box::new(Several::new(each.map(|_| CpuEngine::<f64>::new(graph.clone())).collect()))
        }
    })
}
