//! Matrix product: its shapes, uniform and shader files.
//!
//! A product's shader is parameters + access + layout + core + epilogue, and an activation if the
//! epilogue calls one. Nothing here uses wgpu. For a dense layer with weights W [inputs, outputs]
//! and bias b, flat as [W | b]:
//!
//! | pass | layout | left | right | m, n, k | epilogue |
//! |---|---|---|---|---|---|
//! | output | NN | X | W | batch, outputs, inputs | forward |
//! | gradient of the input | NT | dZ | W | batch, inputs, outputs | input gradient |
//! | gradient of W and b | TN, `ones` | X | dZ | inputs + 1, outputs, batch | weight gradient |

pub(crate) mod cooperative;
pub(crate) mod half;
pub(crate) mod kind;
pub(crate) mod product;
pub(crate) mod shape;
pub(crate) mod tile;
pub(crate) mod tune;

use std::fmt::Write as _;

use crate::nn::ops::matmul::shape::Shape;
use crate::runtime::wgsl::{File, shader};

pub(crate) use crate::nn::ops::matmul::tile::*;

/// Memory layout of the two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// left [m, k], right [k, n].
    NN,
    /// left [m, k], right stored as [n, k].
    NT,
    /// left stored as [k, m], right [k, n].
    TN,
}

/// Epilogue applied to the finished product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Epilogue {
    /// `activate(product + bias)`. Bindings: 3 bias, 4 output, 5 saved input (written if
    /// `KEEP_INPUT`). Calls an activation.
    Forward,
    /// `product * derivative(x, y)`. Bindings: 4 output, 5 saved x (read if `KEEP_INPUT`), 6 y.
    /// Calls an activation.
    InputGradient,
    /// Stored, or added to the output. Binding: 4 output.
    WeightGradient,
}

/// The uniform of the kernels (`Params` in shaders/ops/matmul/matmul_params.wgsl). Offsets count
/// elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// 1: the left matrix of TN has m − 1 stored columns and an implicit last column of ones.
    pub ones: u32,
    /// 1: a weight gradient is added to the output.
    pub accumulate: u32,
    pub left_offset: u32,
    pub right_offset: u32,
    pub bias_offset: u32,
    pub output_offset: u32,
    /// Depth of a partial sum with split k: see `split`.
    pub part_k: u32,
    /// The size of a uniform is a multiple of 16 bytes.
    pub padding: [u32; 2],
}

/// A tile, the memory access width, and whether k is split. With a layout and an epilogue it
/// determines one shader.
///
/// **Every variant sums in the same order**: an output has one accumulator, which starts at zero
/// and runs over ascending k by fused multiply-adds (with split k: one per partial sum, added in
/// order). Therefore the choice of tile, by rule or by autotuning, changes no bit of a result. The
/// number of partial sums, which would, depends only on the shape. Only the sign of a zero may
/// differ: tiles pad k by products 0 · 0 to different lengths, and −0 + 0 is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub tile: Tile,
    /// True to access four elements at a time: all lengths and offsets are multiples of four.
    pub vec4: bool,
    /// True if each workgroup sums a range of k; `matmul_join.wgsl` adds the partial sums.
    pub split: bool,
}

impl Params {
    /// A product of matrices that begin at element 0.
    pub(crate) fn new(shape: Shape) -> Self {
        Params { m: shape.m, n: shape.n, k: shape.k, ..Params::default() }
    }

    /// The sizes of the product.
    pub(crate) fn shape(&self) -> Shape {
        Shape { m: self.m, n: self.n, k: self.k }
    }

    /// True if aligned groups of four elements cross no row end of any matrix and all offsets are
    /// multiples of four.
    pub(crate) fn is_aligned(&self, layout: Layout) -> bool {
        let stored_rows = if layout == Layout::TN { self.m - self.ones } else { 0 };
        [
            self.n,
            self.k,
            stored_rows,
            self.left_offset,
            self.right_offset,
            self.bias_offset,
            self.output_offset,
        ]
        .iter()
        .all(|length| length % 4 == 0)
    }
}

/// The variant for a product on an adapter, by rule. Every adapter has one: the smallest tile fits
/// WebGPU's minimum limits.
pub(crate) fn variant(params: &Params, layout: Layout, adapter: &Adapter) -> Variant {
    Variant {
        tile: best_tile(params.shape(), adapter),
        vec4: params.is_aligned(layout),
        split: false,
    }
}

impl Variant {
    /// The `const`s required by the core's text.
    pub(crate) fn header(&self) -> String {
        let Tile { core, rows, columns, k, lanes, eight_by_eight, buffers } = self.tile;
        let mut header = String::new();
        for (name, value) in [("LANES", lanes), ("TILE_ROWS", rows), ("TILE_COLUMNS", columns)] {
            let _ = writeln!(header, "const {name}: u32 = {value}u;");
        }
        if core == Core::Tiled {
            let _ = writeln!(header, "const TILE_K: u32 = {k}u;\nconst BUFFERS: u32 = {buffers}u;");
            let _ = writeln!(header, "const EIGHT_BY_EIGHT: bool = {eight_by_eight};");
        }
        header
    }

    /// The shader files, except the activation that the epilogue may call.
    pub(crate) fn sources(&self, layout: Layout, epilogue: Epilogue) -> Vec<File> {
        let mut files = vec![
            shader!("ops/matmul/matmul_params.wgsl"),
            if self.vec4 {
                shader!("ops/matmul/matmul_vec4.wgsl")
            } else {
                shader!("ops/matmul/matmul_scalar.wgsl")
            },
            if self.split {
                shader!("ops/matmul/matmul_part.wgsl")
            } else {
                shader!("ops/matmul/matmul_whole.wgsl")
            },
            match layout {
                Layout::NN => shader!("ops/matmul/matmul_nn.wgsl"),
                Layout::NT => shader!("ops/matmul/matmul_nt.wgsl"),
                Layout::TN => shader!("ops/matmul/matmul_tn.wgsl"),
            },
            match self.tile.core {
                Core::Register => shader!("ops/matmul/matmul_register.wgsl"),
                Core::Tiled => shader!("ops/matmul/matmul_tiled.wgsl"),
            },
            epilogue.source(),
        ];
        if epilogue != Epilogue::WeightGradient {
            files.push(if self.vec4 {
                shader!("ops/matmul/activation_vec4.wgsl")
            } else {
                shader!("ops/matmul/activation_scalar.wgsl")
            });
        }
        files
    }

    /// Workgroups that cover the product, per range of k.
    pub(crate) fn workgroups(&self, shape: Shape) -> u32 {
        self.tile.workgroups(shape)
    }
}

impl Epilogue {
    pub(super) fn source(self) -> File {
        match self {
            Epilogue::Forward => shader!("ops/matmul/epilogue_forward.wgsl"),
            Epilogue::InputGradient => shader!("ops/matmul/epilogue_input_gradient.wgsl"),
            Epilogue::WeightGradient => shader!("ops/matmul/epilogue_weight_gradient.wgsl"),
        }
    }
}

/// The shader files of the pass that adds the partial sums of a split k, except the activation that
/// the epilogue may call.
pub(crate) fn join_sources(epilogue: Epilogue) -> Vec<File> {
    let mut files = vec![
        shader!("ops/matmul/matmul_params.wgsl"),
        shader!("ops/matmul/matmul_join.wgsl"),
        epilogue.source(),
    ];
    if epilogue != Epilogue::WeightGradient {
        files.push(shader!("ops/matmul/activation_scalar.wgsl"));
    }
    files
}

#[cfg(test)]
mod tests;
