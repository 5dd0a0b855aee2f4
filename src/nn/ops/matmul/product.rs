//! One matrix product as commands: the tile chosen, k split where the rule says so, the epilogue's
//! program linked.

use crate::Result;
use crate::nn::activations;
use crate::nn::activations::Activation;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::tile::{Adapter, Tile};
use crate::nn::ops::matmul::{Epilogue, Layout, Params, Variant};
use crate::runtime::device::Gpu;
use crate::runtime::launch::lanes_of;
use crate::runtime::pipeline::{Command, Program, Slice};
use crate::runtime::recorder::Recorder;
use crate::runtime::tune;
use crate::runtime::wgsl::File;

const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");

/// What a product's program is made of, but for the tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    pub layout: Layout,
    pub epilogue: Epilogue,
    /// What the epilogue calls: none in a weight gradient.
    pub activation: Option<&'a dyn Activation>,
    /// The epilogue's own `override`s.
    pub constants: &'a [(&'static str, f64)],
}

impl Kind<'_> {
    /// The product as it is, stored or added to what is there.
    pub(crate) fn plain(layout: Layout) -> Kind<'static> {
        Kind { layout, epilogue: Epilogue::WeightGradient, activation: None, constants: &[] }
    }

    /// The program that multiplies.
    pub(crate) fn program(&self, variant: &Variant) -> Program {
        let files = variant.sources(self.layout, self.epilogue);
        self.linked(
            format!("matmul {:?}, {}", self.layout, variant.tile.name()),
            variant.header(),
            files,
        )
    }

    /// The program that sums the parts of a split k.
    pub(crate) fn join_program(&self, lanes: u32) -> Program {
        let mut program = self.linked(
            "matmul, its parts".into(),
            String::new(),
            matmul::join_sources(self.epilogue),
        );
        program.constants.push(("WORKGROUP", lanes.into()));
        program
    }

    fn linked(&self, label: String, header: String, mut files: Vec<File>) -> Program {
        if self.activation.is_some() {
            files.push(NUMBERS);
        }
        let mut program = Program { label, header, files, constants: self.constants.to_vec() };
        if let Some(activation) = self.activation {
            program.label = format!("{} ({})", program.label, activation.name());
            activations::link(&mut program, activation);
        }
        program
    }
}

/// What the choice of a product's variant must know of this device.
pub(crate) fn adapter(gpu: &Gpu) -> Adapter {
    Adapter {
        software: gpu.is_software(),
        subgroup: gpu.subgroup(),
        lanes: gpu.limits().max_compute_invocations_per_workgroup,
        workgroup_memory: gpu.limits().max_compute_workgroup_storage_size,
    }
}

/// The commands of a product: [`record`].
pub(crate) fn product(
    gpu: &Gpu,
    kind: &Kind,
    params: &Params,
    storage: &[Slice],
) -> Result<Vec<Command>> {
    Recorder::commands_of(gpu, |recorder| record(recorder, kind, params, storage))
}

/// Records a product. `storage` is what the epilogue's bindings hold, in their order: left, right,
/// then bias, output, kept (forward), or output, kept, y (input gradient), or output (weight
/// gradient).
pub(crate) fn record(
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

/// Records a product whose k is split into parts so deep: all parts at once, then their sum and the
/// epilogue.
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

/// The programs that join the parts of a product: for the checks of the shaders.
pub(crate) fn join_programs(activation: &dyn Activation) -> Vec<Program> {
    let kind =
        |epilogue, activation| Kind { layout: Layout::NN, epilogue, activation, constants: &[] };
    let kinds = [
        kind(Epilogue::Forward, Some(activation)),
        kind(Epilogue::InputGradient, Some(activation)),
        kind(Epilogue::WeightGradient, None),
    ];
    kinds.iter().flat_map(|kind| [8, 64].map(|lanes| kind.join_program(lanes))).collect()
}
