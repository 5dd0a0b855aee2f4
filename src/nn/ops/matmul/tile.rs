//! The tiles of the matrix product: which there are, which fits an adapter and a shape, and into what parts k is split.

use crate::nn::ops::matmul::shape::Shape;

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
    /// Two tiles of each matrix in workgroup memory by turns spare a barrier.
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

/// All tiles there are, from the largest of each kind down. Register tiles: milliseconds on lavapipe (Mesa 22.3, two
/// cores) for 512×512 at k = 784, and until the first result is there, the pipeline's compilation included.
///
/// | tile | a product | first | for |
/// |---|---|---|---|
/// | 32×32, 8 lanes | 10–11 | 180–195 | software, large products |
/// | 16×32, 8 lanes | 12.5–14 | 125–135 | software |
/// | 8×32, 8 lanes | 19–22 | 100–110 | software, small products: the first step of a model waits for its pipelines |
/// | 128×128×16, 256 lanes | | | hardware, large products; with one and with two buffers |
/// | 64×64×8, 64 lanes | | | hardware, medium products |
/// | 64×64×32, 256 lanes | | | hardware, medium products: a quarter of the registers, twice the workgroup memory |
/// | 32×32×16, 64 lanes | | | hardware, small products; software without subgroups of eight |
///
/// No tile for hardware has been timed on hardware yet: the rules below are first guesses, and the tuner's to correct.
/// A lane that read its own operands from storage (8 × 16 outputs each, no shuffles) took twice as long as 32×32. Register
/// tiles for subgroups of four lanes are not worth having: SwiftShader, which has those, did not finish compiling one.
pub(crate) const REGISTER_LARGE: Tile = register(32);
pub(crate) const REGISTER: Tile = register(16);
pub(crate) const REGISTER_SMALL: Tile = register(8);
pub(crate) const TILED_LARGE: Tile = tiled(128, 16, 256, 1);
pub(crate) const TILED_LARGE_DOUBLE: Tile = tiled(128, 16, 256, 2);
pub(crate) const TILED: Tile = tiled(64, 8, 64, 2);
pub(crate) const TILED_MANY_LANES: Tile = tiled(64, 32, 256, 1);
pub(crate) const TILED_SMALL: Tile = tiled(32, 16, 64, 1);

/// All of them, for whoever builds or judges each.
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

/// From so many multiplications on, the large register tile wins back its longer compilation within a hundred calls.
const LARGE_PRODUCT: u64 = 1 << 26;

/// Below so many multiplications a product takes less than its pipeline's compilation in a whole training: the tile that
/// compiles fastest is taken.
const SMALL_PRODUCT: u64 = 1 << 18;

/// Fewer tiles than this leave the cores of a card without work: a smaller tile is taken.
const TILES_TO_FILL_A_CARD: u32 = 64;

/// Outputs in tiles of 32 × 32 from which on a product fills a card without splitting k, and the workgroups to split it into.
const TILES_WITHOUT_SPLIT: u32 = 128;
const WORKGROUPS_OF_A_SPLIT: u32 = 256;
/// A part is at least so deep: below that the second pass costs more than the waiting it spares.
pub(crate) const LEAST_PART: u32 = 256;
pub(crate) const MOST_PARTS: u32 = 32;

/// So deep a sum is taken in one loop on a software adapter: Mesa's leaves the loops of an invocation, without a word, after
/// 65,535 turns in all, of which each four products and their unrolled parts take one at least.
const MOST_K_OF_A_LOOP: u32 = 1 << 15;

/// The depth of the parts into which k is split, if it is: a rule of the shape and the kind of adapter and of nothing else,
/// since it decides the order of the sum. A software adapter has few cores and splits only what its loops cannot hold.
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

/// The tiles worth trying for a product, the rule's first.
pub(crate) fn candidates(shape: Shape, adapter: &Adapter) -> Vec<Tile> {
    let rule = best_tile(shape, adapter);
    let others: &[Tile] = match (adapter.software, adapter.subgroup) {
        (true, 8..) => &[REGISTER_LARGE, REGISTER, REGISTER_SMALL],
        (true, _) => &[],
        // Those whose tiles would be few or would be thousands are no match for the others.
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
    /// The name under which the tuner remembers it.
    pub(crate) fn name(&self) -> String {
        let Tile { core, rows, columns, k, lanes, eight_by_eight: _, buffers } = self;
        format!("{core:?} {rows}x{columns}x{k}, {lanes} lanes, {buffers} buffers").to_lowercase()
    }

    pub(crate) fn workgroups(&self, shape: Shape) -> u32 {
        shape.m.div_ceil(self.rows) * shape.n.div_ceil(self.columns)
    }

    /// Bytes.
    pub(crate) fn workgroup_memory(&self) -> u32 {
        4 * self.buffers * self.k * (self.rows + self.columns)
    }
}
