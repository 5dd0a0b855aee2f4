//! Tiles of the matrix product: the list, the selection by adapter and shape, and the split of k.

use crate::nn::ops::matmul::shape::Shape;

/// The adapter properties that select a variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adapter {
    /// True for an adapter that runs on the CPU's own cores.
    pub software: bool,
    /// The adapter's smallest subgroup; 0 without subgroups.
    pub subgroup: u32,
    /// Maximum threads per workgroup.
    pub lanes: u32,
    /// Maximum bytes of workgroup memory.
    pub workgroup_memory: u32,
}

/// Storage of the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Core {
    /// Registers and shuffles only.
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
    /// True if a thread computes 8 × 8 outputs instead of 4 × 4 (tiled), or `rows` × 4 (register).
    pub eight_by_eight: bool,
    /// Number of alternating buffers per matrix in workgroup memory; two save a barrier.
    pub buffers: u32,
}

const fn register(rows: u32) -> Tile {
    Tile {
        core: Core::Register,
        rows,
        columns: 32,
        k: 4,
        lanes: 8,
        eight_by_eight: false,
        buffers: 0,
    }
}

const fn tiled(side: u32, k: u32, lanes: u32, buffers: u32) -> Tile {
    Tile {
        core: Core::Tiled,
        rows: side,
        columns: side,
        k,
        lanes,
        eight_by_eight: side * side == 64 * lanes,
        buffers,
    }
}

/// All tiles, from the largest of each kind down. Register tiles: milliseconds on lavapipe (Mesa
/// 22.3, two cores) for 512×512 at k = 784, and until the first result, including the pipeline's
/// compilation.
///
/// | tile | a product | first | for |
/// |---|---|---|---|
/// | 32×32, 8 threads | 10–11 | 180–195 | software, large products |
/// | 16×32, 8 threads | 12.5–14 | 125–135 | software |
/// | 8×32, 8 threads | 19–22 | 100–110 | software, small products: the first step of a model waits for its pipelines |
/// | 128×128×16, 256 threads | | | hardware, large products; with one and with two buffers |
/// | 64×64×8, 64 threads | | | hardware, medium products |
/// | 64×64×32, 256 threads | | | hardware, medium products: a quarter of the registers, twice the workgroup memory |
/// | 32×32×16, 64 threads | | | hardware, small products; software without subgroups of eight |
///
/// No hardware tile has been timed on hardware yet: the rules below are first guesses, which the
/// tuner corrects. A variant in which each thread read its own operands from storage (8 × 16
/// outputs each, no shuffles) took twice as long as 32×32. Register tiles for subgroups of four
/// threads are not worthwhile: SwiftShader, which has subgroups of that size, did not finish
/// compiling one.
pub(crate) const REGISTER_LARGE: Tile = register(32);
pub(crate) const REGISTER: Tile = register(16);
pub(crate) const REGISTER_SMALL: Tile = register(8);
pub(crate) const TILED_LARGE: Tile = tiled(128, 16, 256, 1);
pub(crate) const TILED_LARGE_DOUBLE: Tile = tiled(128, 16, 256, 2);
pub(crate) const TILED: Tile = tiled(64, 8, 64, 2);
pub(crate) const TILED_MANY_LANES: Tile = tiled(64, 32, 256, 1);
pub(crate) const TILED_SMALL: Tile = tiled(32, 16, 64, 1);

/// All tiles, for building and testing each.
pub(crate) const TILES: [Tile; 8] = [
    REGISTER_LARGE,
    REGISTER,
    REGISTER_SMALL,
    TILED_LARGE,
    TILED_LARGE_DOUBLE,
    TILED,
    TILED_MANY_LANES,
    TILED_SMALL,
];

/// From this number of multiplications on, the large register tile recovers its longer compilation
/// within a hundred calls.
const LARGE_PRODUCT: u64 = 1 << 26;

/// Below this number of multiplications a product takes less than its pipeline's compilation in a
/// whole training: the tile that compiles fastest is selected.
const SMALL_PRODUCT: u64 = 1 << 18;

/// With fewer tiles than this some cores of a GPU are idle: a smaller tile is selected.
const TILES_TO_FILL_A_CARD: u32 = 64;

/// Number of 32 × 32 output tiles from which a product fills a GPU without splitting k, and the
/// target number of workgroups of a split.
const TILES_WITHOUT_SPLIT: u32 = 128;
const WORKGROUPS_OF_A_SPLIT: u32 = 256;
/// Minimum depth of a range of k: below that the second pass costs more than the idle time it
/// saves.
pub(crate) const LEAST_PART: u32 = 256;
pub(crate) const MOST_PARTS: u32 = 32;

/// Maximum depth of a sum in one loop on a software adapter: Mesa silently exits the loops of an
/// invocation after 65,535 iterations in total, and each four products and their unrolled section
/// take at least one.
const MOST_K_OF_A_LOOP: u32 = 1 << 15;

/// The depth of the ranges of a split k, if it is split: depends only on the shape and the kind of
/// adapter, since it determines the order of the sum. A software adapter has few cores and splits
/// only depths that its loops cannot run.
pub(crate) fn split(shape: Shape, adapter: &Adapter) -> Option<u32> {
    if adapter.software && shape.k > MOST_K_OF_A_LOOP {
        return Some(MOST_K_OF_A_LOOP);
    }
    let tiles = u64::from(shape.m.div_ceil(32)) * u64::from(shape.n.div_ceil(32));
    if adapter.software || tiles >= u64::from(TILES_WITHOUT_SPLIT) {
        return None;
    }
    let parts =
        (WORKGROUPS_OF_A_SPLIT / (tiles as u32).max(1)).min(shape.k / LEAST_PART).min(MOST_PARTS);
    (parts >= 2).then(|| shape.k.div_ceil(parts).next_multiple_of(32))
}

/// Candidate tiles for autotuning a product, the rule's first.
pub(crate) fn candidates(shape: Shape, adapter: &Adapter) -> Vec<Tile> {
    let rule = best_tile(shape, adapter);
    let others: &[Tile] = match (adapter.software, adapter.subgroup) {
        (true, 8..) => &[REGISTER_LARGE, REGISTER, REGISTER_SMALL],
        (true, _) => &[],
        // Tiles whose count would be very small or in the thousands cannot win.
        _ if TILED_LARGE.workgroups(shape) < TILES_TO_FILL_A_CARD / 4 => {
            &[TILED, TILED_MANY_LANES, TILED_SMALL]
        }
        _ if TILED.workgroups(shape) > 16 * TILES_TO_FILL_A_CARD => {
            &[TILED_LARGE, TILED_LARGE_DOUBLE, TILED, TILED_MANY_LANES]
        }
        _ => &[TILED_LARGE, TILED_LARGE_DOUBLE, TILED, TILED_MANY_LANES, TILED_SMALL],
    };
    let others = others
        .iter()
        .copied()
        .filter(|tile| *tile != rule && (adapter.software || adapter.has_room(tile)));
    std::iter::once(rule).chain(others).collect()
}

pub(crate) fn best_tile(shape: Shape, adapter: &Adapter) -> Tile {
    if adapter.software && adapter.subgroup >= 8 {
        return match shape.products() {
            LARGE_PRODUCT.. => REGISTER_LARGE,
            ..SMALL_PRODUCT => REGISTER_SMALL,
            _ => REGISTER,
        };
    }
    if adapter.software {
        return TILED_SMALL;
    }
    let fills = |tile: &Tile| tile.workgroups(shape) >= TILES_TO_FILL_A_CARD;
    [TILED_LARGE, TILED]
        .into_iter()
        .find(|tile| adapter.has_room(tile) && fills(tile))
        .unwrap_or(TILED_SMALL)
}

impl Adapter {
    fn has_room(&self, tile: &Tile) -> bool {
        tile.lanes <= self.lanes && tile.workgroup_memory() <= self.workgroup_memory
    }
}

impl Tile {
    /// The tile's name in the tuner's cache.
    pub(crate) fn name(&self) -> String {
        let Tile { core, rows, columns, k, lanes, eight_by_eight: _, buffers } = self;
        format!("{core:?} {rows}x{columns}x{k}, {lanes} lanes, {buffers} buffers").to_lowercase()
    }

    pub(crate) fn workgroups(&self, shape: Shape) -> u32 {
        shape.m.div_ceil(self.rows) * shape.n.div_ceil(self.columns)
    }

    /// Size in bytes.
    pub(crate) fn workgroup_memory(&self) -> u32 {
        4 * self.buffers * self.k * (self.rows + self.columns)
    }
}
