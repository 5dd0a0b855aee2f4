//! The kind of a matrix product: layout, epilogue and options.

use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::half::Half;
use crate::nn::ops::matmul::tile::Adapter;
use crate::nn::ops::matmul::{Epilogue, Layout, Variant};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::File;

pub(super) const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");

/// Everything that determines a product's program, except the tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    pub layout: Layout,
    pub epilogue: Epilogue,
    /// The activation called by the epilogue; `None` for a weight gradient.
    pub activation: Option<&'a dyn Activation>,
    /// The epilogue's own `override`s.
    pub constants: &'a [(&'static str, f64)],
    /// In mixed precision: the rounding of the operands.
    pub half: Option<Half<'a>>,
}

impl Kind<'_> {
    /// The plain product, stored or added to the output.
    pub(crate) fn plain(layout: Layout) -> Kind<'static> {
        let epilogue = Epilogue::WeightGradient;
        Kind { layout, epilogue, activation: None, constants: &[], half: None }
    }

    /// The program of the product.
    pub(crate) fn program(&self, variant: &Variant) -> Program {
        let files = variant.sources(self.layout, self.epilogue);
        self.linked(
            format!("matmul {:?}, {}", self.layout, variant.tile.name()),
            variant.header(),
            files,
        )
    }

    /// The program that adds the partial sums of a split k.
    pub(crate) fn join_program(&self, lanes: u32) -> Program {
        let mut program = self.linked(
            "matmul, its parts".into(),
            String::new(),
            matmul::join_sources(self.epilogue),
        );
        program.constants.push(("WORKGROUP", lanes.into()));
        program
    }

    pub(super) fn linked(&self, label: String, header: String, mut files: Vec<File>) -> Program {
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

/// The properties of this device that select a product's variant.
pub(crate) fn adapter(gpu: &Gpu) -> Adapter {
    Adapter {
        software: gpu.is_software(),
        subgroup: gpu.subgroup(),
        lanes: gpu.limits().max_compute_invocations_per_workgroup,
        workgroup_memory: gpu.limits().max_compute_workgroup_storage_size,
    }
}
