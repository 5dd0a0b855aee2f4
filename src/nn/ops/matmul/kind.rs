//! A matrix product as it is asked for: layout, epilogue and options.

use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::tile::Adapter;
use crate::nn::ops::matmul::{Epilogue, Layout, Variant};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::File;

pub(super) const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");

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

/// What the choice of a product's variant must know of this device.
pub(crate) fn adapter(gpu: &Gpu) -> Adapter {
    Adapter {
        software: gpu.is_software(),
        subgroup: gpu.subgroup(),
        lanes: gpu.limits().max_compute_invocations_per_workgroup,
        workgroup_memory: gpu.limits().max_compute_workgroup_storage_size,
    }
}
