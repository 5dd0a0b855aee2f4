// Sums of gradients over runs of equal ids, for ops/embedding/embedding_parts and
// ops/embedding/embedding_update.
//
// `sorted` holds (id, position) by id and, for equal ids, by position. A run is split at the end of
// each block of BLOCK places: the gradient of a row is the sum of its partial sums in order, each
// summed in the order of positions. The order depends only on the ids, and an id that occurs
// everywhere does not become a chain of millions of additions in one thread.

const BLOCK: u32 = 256u;
override WORKGROUP: u32 = 64u;

struct Params {
    count: u32, // ids
    cells: u32, // per row
    rows: u32,  // rows of the table
    threads_per_row: u32,  // threads that process one place
    step: Step,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> gradients: array<Cell>;

// End (exclusive) of the partial sum that begins at a place: the end of its run or block.
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

// One cell's partial sum of gradients.
fn piece(first: u32, end: u32, cell: u32) -> Cell {
    var sum = gradients[sorted[first].y * params.cells + cell];
    for (var at = first + 1u; at < end; at++) {
        sum += gradients[sorted[at].y * params.cells + cell];
    }
    return sum;
}
