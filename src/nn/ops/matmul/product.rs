//! Commands of a matrix product: selects the tile, splits k if the rule requires it, links the
//! epilogue's program.

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::cooperative;
use crate::nn::ops::matmul::kind::{Kind, adapter};
use crate::nn::ops::matmul::tile::Tile;
use crate::nn::ops::matmul::{Epilogue, Layout, Params, Variant, tune};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;

/// The commands of a product: [`record`].
pub(crate) fn product(
    gpu: &Gpu,
    kind: &Kind,
    params: &Params,
    storage: &[Slice],
) -> Result<Vec<Command>> {
    Recorder::commands_of(gpu, |recorder| record(recorder, kind, params, storage))
}

/// Records a product. `storage` holds the buffers of the epilogue's bindings, in order: left,
/// right, then bias, output, saved input (forward), or output, saved x, y (input gradient), or
/// output (weight gradient).
pub(crate) fn record(
    recorder: &mut Recorder,
    kind: &Kind,
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    let Some(half) = kind.half else { return record_single(recorder, kind, params, storage) };
    if cooperative::runs(&recorder.gpu(), kind.layout, params) {
        return cooperative::record(recorder, kind, half, params, storage);
    }
    recorder.scope(|recorder| {
        let ([left, right], params) = half.operands(recorder, kind.layout, params, storage)?;
        let operands = [Slice::from(&left), (&right).into()];
        let storage: Vec<Slice> =
            operands.into_iter().chain(storage[2..].iter().copied()).collect();
        record_single(recorder, kind, &params, &storage)
    })
}

/// Records a product of operands as they are.
fn record_single(
    recorder: &mut Recorder,
    kind: &Kind,
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    let gpu = recorder.gpu();
    if let Some(part_k) = matmul::split(params.shape(), &adapter(&gpu)) {
        let tile = matmul::variant(params, kind.layout, &adapter(&gpu)).tile;
        return record_in_parts(recorder, kind, &tile, params, part_k, storage);
    }
    let variant = tune::variant(&gpu, kind, params)?;
    let kernel = gpu.kernel(&kind.program(&variant))?;
    recorder.dispatch(&kernel, params, storage, variant.workgroups(params.shape()))
}

/// Records a product with k split into ranges of the given depth: all partial sums at once, then
/// their sum and the epilogue.
pub(crate) fn record_in_parts(
    recorder: &mut Recorder,
    kind: &Kind,
    tile: &Tile,
    params: &Params,
    part_k: u32,
    storage: &[Slice],
) -> Result<()> {
    let (gpu, shape) = (recorder.gpu(), params.shape());
    let parts = shape.k.div_ceil(part_k);
    let length = shape.m * shape.n;
    recorder.scope(|recorder| {
        let products = recorder.scratch("the parts of a product", (parts * length) as usize)?;
        let variant = Variant { tile: *tile, vec4: params.is_aligned(kind.layout), split: true };
        let each = Params { accumulate: 0, output_offset: 0, part_k, ..*params };
        let kernel = gpu.kernel(&Kind::plain(kind.layout).program(&variant))?;
        let operands = [storage[0], storage[1], (&products).into()];
        recorder.dispatch(&kernel, &each, &operands, parts * variant.workgroups(shape))?;
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&kind.join_program(lanes))?;
        let joined: Vec<Slice> =
            std::iter::once((&products).into()).chain(storage[2..].iter().copied()).collect();
        recorder.dispatch(&kernel, &Params { part_k, ..*params }, &joined, length.div_ceil(lanes))
    })
}

/// The programs that add the partial sums of a product: for the shader checks.
pub(crate) fn join_programs(activation: &dyn Activation) -> Vec<Program> {
    let kind = |epilogue, activation| Kind { epilogue, activation, ..Kind::plain(Layout::NN) };
    let kinds = [
        kind(Epilogue::Forward, Some(activation)),
        kind(Epilogue::InputGradient, Some(activation)),
        kind(Epilogue::WeightGradient, None),
    ];
    kinds.iter().flat_map(|kind| [8, 64].map(|lanes| kind.join_program(lanes))).collect()
}
