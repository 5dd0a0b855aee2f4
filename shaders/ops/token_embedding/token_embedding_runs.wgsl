// Sums over runs of equal ids, for ops/token_embedding/token_embedding_parts and
// ops/token_embedding/token_embedding_gradient.
//
// `sorted` holds (id, position) by id and, for equal ids, by position; the places of row r are
// starts[r] ... starts[r + 1]. A run is split at the end of each block of BLOCK places: the
// gradient of a row is the sum of its partial sums in order, each summed in the order of positions.
// The order depends only on the ids, and an id that occurs everywhere does not become a chain of
// millions of additions in one thread.

const BLOCK: u32 = 256u;
override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,      // ids
    cells: u32,      // per row
    rows: u32,       // of the table
    offset: u32,     // of the table's gradient, in cells
    accumulate: u32, // 1: added to the gradient
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> upstream: array<Cell>;

// One cell's sum over places.
fn piece(first: u32, end: u32, cell: u32) -> Cell {
    var sum = upstream[sorted[first].y * params.cells + cell];
    for (var at = first + 1u; at < end; at++) {
        sum += upstream[sorted[at].y * params.cells + cell];
    }
    return sum;
}
