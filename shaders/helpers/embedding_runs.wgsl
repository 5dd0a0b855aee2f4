// Sums of gradients over runs of equal ids, for kernels/embedding_parts and kernels/embedding_update.
//
// `sorted` holds (id, position) by id and, of equal ids, by position. A run is cut where a block of BLOCK places ends: the gradient of
// a row is the sum of its first piece, plus that of its second, and so on, each summed in the order of positions. The order follows from the
// ids alone, and an id that stands everywhere is no chain of millions of additions in one lane.

const BLOCK: u32 = 256u;
override WORKGROUP: u32 = 64u;

struct Params {
    count: u32, // ids
    cells: u32, // of a row
    rows: u32,  // of the table
    reserved: u32,
    step: Step,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> gradients: array<Cell>;

// The sum of a cell's gradients from a place on, to the end of its run or its block.
fn piece(first: u32, cell: u32) -> Cell {
    let id = sorted[first].x;
    let end = min((first / BLOCK + 1u) * BLOCK, params.count);
    var sum = gradients[sorted[first].y * params.cells + cell];
    for (var at = first + 1u; at < end; at++) {
        let pair = sorted[at];
        if pair.x != id {
            break;
        }
        sum += gradients[pair.y * params.cells + cell];
    }
    return sum;
}
