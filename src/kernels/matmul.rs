//! The matrix product: which core and tile fit an adapter and a shape, and the shader files that make it up.
//!
//! A product's shader is parameters + access + layout + core + epilogue, and an activation where the epilogue calls one.
//! Nothing here touches wgpu. Of a dense layer with weights W [inputs, outputs] and bias b, flat as [W | b]:
//!
//! | pass | layout | left | right | m, n, k | epilogue |
//! |---|---|---|---|---|---|
//! | output | NN | X | W | batch, outputs, inputs | forward |
//! | gradient of the input | NT | dZ | W | batch, inputs, outputs | input gradient |
//! | gradient of W and b | TN, `ones` | X | dZ | inputs + 1, outputs, batch | weight gradient |

use std::fmt::Write as _;

use crate::wgsl::File;
use crate::wgsl::shader;

/// How the two operands lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// left [m, k], right [k, n].
    NN,
    /// left [m, k], right stored as [n, k].
    NT,
    /// left stored as [k, m], right [k, n].
    TN,
}

/// What becomes of the finished product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Epilogue {
    /// `activate(product + bias)`. Bindings: 3 bias, 4 output, 5 kept (written if `KEEP_INPUT`). Calls an activation.
    Forward,
    /// `product * derivative(x, y)`. Bindings: 4 output, 5 kept x (read if `KEEP_INPUT`), 6 y. Calls an activation.
    InputGradient,
    /// Stored, or added to what is there. Binding: 4 output.
    WeightGradient,
}

/// output[m, n] = left[m, k] · right[k, n].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub m: u32,
    pub n: u32,
    pub k: u32,
}

/// The uniform of the kernels (`Params` in shaders/kernels/matmul_params.wgsl). Offsets count elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// 1: the left matrix of TN has m − 1 stored columns and counts as having one more, of ones.
    pub ones: u32,
    /// 1: a weight gradient is added to the output.
    pub accumulate: u32,
    pub left_offset: u32,
    pub right_offset: u32,
    pub bias_offset: u32,
    pub output_offset: u32,
    /// The size of a uniform is a multiple of 16 bytes.
    pub padding: [u32; 3],
}

/// What the choice of a variant must know of an adapter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adapter {
    /// It runs on the CPU's own cores.
    pub software: bool,
    /// Its smallest subgroup; 0 where there are none.
    pub subgroup: u32,
    /// Lanes that a workgroup may have.
    pub lanes: u32,
    /// Bytes of memory that a workgroup may have.
    pub workgroup_memory: u32,
}

/// Where the tiles live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Core {
    /// Registers and shuffles alone.
    Register,
    /// Workgroup memory.
    Tiled,
}

/// One row of the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    pub core: Core,
    pub rows: u32,
    pub columns: u32,
    /// Depth of the tiles in workgroup memory.
    pub k: u32,
    pub lanes: u32,
    /// A lane owns 8 × 8 outputs instead of 4 × 4 (tiled), or `rows` × 4 (register).
    pub eight_by_eight: bool,
}

const fn tile(core: Core, rows: u32, columns: u32, k: u32, lanes: u32, eight_by_eight: bool) -> Tile {
    Tile { core, rows, columns, k, lanes, eight_by_eight }
}

/// All tiles there are, from the largest of each kind down. Register tiles: milliseconds on lavapipe (Mesa 22.3, two
/// cores) for 512×512 at k = 784, and until the first result is there, the pipeline's compilation included.
///
/// | tile | a product | first | for |
/// |---|---|---|---|
/// | 32×32, 8 lanes | 10–11 | 180–195 | software, large products |
/// | 16×32, 8 lanes | 12.5–14 | 125–135 | software |
/// | 8×32, 8 lanes | 19–22 | 100–110 | software, small products: the first step of a model waits for its pipelines |
/// | 16×16, 4 lanes | 20–24 | 140–150 | software whose subgroups have four lanes |
/// | 128×128×16, 256 lanes | | | hardware, large products (not timed on hardware yet, as the next two) |
/// | 64×64×8, 64 lanes | | | hardware, medium products |
/// | 32×32×16, 64 lanes | | | hardware, small products; software without subgroups |
///
/// A lane that read its own operands from storage (8 × 16 outputs each, no shuffles) took twice as long as 32×32.
const REGISTER_LARGE: Tile = tile(Core::Register, 32, 32, 4, 8, false);
const REGISTER: Tile = tile(Core::Register, 16, 32, 4, 8, false);
const REGISTER_SMALL: Tile = tile(Core::Register, 8, 32, 4, 8, false);
const REGISTER_NARROW: Tile = tile(Core::Register, 16, 16, 4, 4, false);
const TILED_LARGE: Tile = tile(Core::Tiled, 128, 128, 16, 256, true);
const TILED: Tile = tile(Core::Tiled, 64, 64, 8, 64, true);
const TILED_SMALL: Tile = tile(Core::Tiled, 32, 32, 16, 64, false);

/// All of them, for whoever builds or judges each.
pub(crate) const TILES: [Tile; 7] =
    [REGISTER_LARGE, REGISTER, REGISTER_SMALL, REGISTER_NARROW, TILED_LARGE, TILED, TILED_SMALL];

/// From so many multiplications on, the large register tile wins back its longer compilation within a hundred calls.
const LARGE_PRODUCT: u64 = 1 << 26;

/// Below so many multiplications a product takes less than its pipeline's compilation in a whole training: the tile that
/// compiles fastest is taken.
const SMALL_PRODUCT: u64 = 1 << 18;

/// Fewer tiles than this leave the cores of a card without work: a smaller tile is taken.
const TILES_TO_FILL_A_CARD: u32 = 64;

/// A tile and the width of memory access: with a layout and an epilogue, one shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub tile: Tile,
    /// Four elements at a time: all lengths and offsets are multiples of four.
    pub vec4: bool,
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

    /// Whether no run of four neighbours crosses the end of a row of any of the matrices, nor begins off a multiple of four.
    fn is_aligned(&self, layout: Layout) -> bool {
        let stored_rows = if layout == Layout::TN { self.m - self.ones } else { 0 };
        [self.n, self.k, stored_rows, self.left_offset, self.right_offset, self.bias_offset, self.output_offset]
            .iter()
            .all(|length| length % 4 == 0)
    }
}

/// The variant for a product on an adapter. Every adapter has one: the smallest tile fits the least that WebGPU allows.
pub(crate) fn variant(params: &Params, layout: Layout, adapter: &Adapter) -> Variant {
    Variant { tile: best_tile(params.shape(), adapter), vec4: params.is_aligned(layout) }
}

fn best_tile(shape: Shape, adapter: &Adapter) -> Tile {
    if adapter.software && adapter.subgroup >= 4 {
        return match adapter.subgroup {
            4..8 => REGISTER_NARROW,
            _ if shape.products() >= LARGE_PRODUCT => REGISTER_LARGE,
            _ if shape.products() < SMALL_PRODUCT => REGISTER_SMALL,
            _ => REGISTER,
        };
    }
    if adapter.software {
        return TILED_SMALL;
    }
    let fits = |tile: &Tile| tile.lanes <= adapter.lanes && tile.workgroup_memory() <= adapter.workgroup_memory;
    let fills = |tile: &Tile| tile.workgroups(shape) >= TILES_TO_FILL_A_CARD;
    [TILED_LARGE, TILED].into_iter().find(|tile| fits(tile) && fills(tile)).unwrap_or(TILED_SMALL)
}

impl Shape {
    /// Multiplications in the product.
    fn products(self) -> u64 {
        u64::from(self.m) * u64::from(self.n) * u64::from(self.k)
    }
}

impl Tile {
    fn workgroups(&self, shape: Shape) -> u32 {
        shape.m.div_ceil(self.rows) * shape.n.div_ceil(self.columns)
    }

    /// Bytes: both tiles, each line with one vec4 of padding.
    fn workgroup_memory(&self) -> u32 {
        match self.core {
            Core::Register => 0,
            Core::Tiled => 16 * self.k * (self.rows / 4 + 1 + self.columns / 4 + 1),
        }
    }
}

impl Variant {
    /// The `const`s that the core's text leaves open.
    pub(crate) fn header(&self) -> String {
        let Tile { core, rows, columns, k, lanes, eight_by_eight } = self.tile;
        let mut header = String::new();
        for (name, value) in [("LANES", lanes), ("TILE_ROWS", rows), ("TILE_COLUMNS", columns)] {
            let _ = writeln!(header, "const {name}: u32 = {value}u;");
        }
        if core == Core::Tiled {
            let _ = writeln!(header, "const TILE_K: u32 = {k}u;\nconst EIGHT_BY_EIGHT: bool = {eight_by_eight};");
        }
        header
    }

    /// The shader files, but for the activation that the epilogue may call.
    pub(crate) fn sources(&self, layout: Layout, epilogue: Epilogue) -> Vec<File> {
        let mut files = vec![
            shader!("kernels/matmul_params.wgsl"),
            if self.vec4 { shader!("kernels/matmul_vec4.wgsl") } else { shader!("kernels/matmul_scalar.wgsl") },
            match layout {
                Layout::NN => shader!("kernels/matmul_nn.wgsl"),
                Layout::NT => shader!("kernels/matmul_nt.wgsl"),
                Layout::TN => shader!("kernels/matmul_tn.wgsl"),
            },
            match self.tile.core {
                Core::Register => shader!("kernels/matmul_register.wgsl"),
                Core::Tiled => shader!("kernels/matmul_tiled.wgsl"),
            },
            match epilogue {
                Epilogue::Forward => shader!("kernels/epilogue_forward.wgsl"),
                Epilogue::InputGradient => shader!("kernels/epilogue_input_gradient.wgsl"),
                Epilogue::WeightGradient => shader!("kernels/epilogue_weight_gradient.wgsl"),
            },
        ];
        if epilogue != Epilogue::WeightGradient {
            files.push(if self.vec4 {
                shader!("kernels/activation_vec4.wgsl")
            } else {
                shader!("kernels/activation_scalar.wgsl")
            });
        }
        files
    }

    /// Workgroups that cover the product.
    pub(crate) fn workgroups(&self, shape: Shape) -> u32 {
        self.tile.workgroups(shape)
    }
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
mod tests;
