// Sums of gradients over runs of equal ids, for ops/embedding/embedding_parts and ops/embedding/embedding_update.
//
// `sorted` holds (id, position) by id and, of equal ids, by position. A run is cut where a block of BLOCK places ends: the gradient of
// a row is the sum of its first piece, plus that of its second, and so on, each summed in the order of positions. The order follows from the
// ids alone, and an id that stands everywhere is no chain of millions of additions in one thread.

const BLOCK: u32 = 256u;
override WORKGROUP: u32 = 64u;

struct Params {
    count: u32, // ids
    cells: u32, // of a row
    rows: u32,  // of the table
    threads_per_row: u32,  // threads that share the cells of a place
    step: Step,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> gradients: array<Cell>;

// The place behind the piece that begins at a place: where its run or its block ends.
fn end_of_piece(first: u32, id: u32) -> u32 {
    let most = min((first / BLOCK + 1u) * BLOCK, params.count);
    var end = first + 1u;
    while end < most {
        if sorted[end].x != id {
            break;
        }
        end++;
    }
    return end;
}

// The sum of a cell's gradients over a piece.
fn piece(first: u32, end: u32, cell: u32) -> Cell {
    var sum = gradients[sorted[first].y * params.cells + cell];
    for (var at = first + 1u; at < end; at++) {
        sum += gradients[sorted[at].y * params.cells + cell];
    }
    return sum;
}
