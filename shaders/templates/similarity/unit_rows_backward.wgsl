// Gradient of embeddings from that of their normalized rows, in place: (g - u (u·g))/length, where
// u is the normalized row. Below SHORTEST the row was divided by a constant: g/SHORTEST. Linked in
// the same way as templates/similarity/unit_rows.

struct Params {
    rows: u32,
    columns: u32,
    block: u32, // rows per workgroup
}

const IN_PLACE: bool = false;
const SHORTEST: f32 = 1e-12;

override WORKGROUP: u32 = 64u;
override COLUMNS: u32 = 0u;
override ROW_IN_REGISTERS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> units: array<f32>;
@group(0) @binding(2) var<storage, read> lengths: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;

fn take_rows(block: u32, local_index: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    for (var row = begin; row < end; row += 1u) {
        let first = row * params.columns;
        var along = 0.0;
        for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
            along += units[first + column] * gradients[first + column];
        }
        let length = lengths[row];
        let is_short = length < SHORTEST;
        along = select(row_group_sum(along), 0.0, is_short);
        let divisor = select(length, SHORTEST, is_short);
        for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
            // A thread writes only locations that no other thread reads.
            let place = first + column;
            gradients[place] = (gradients[place] - along * units[place]) / divisor;
        }
    }
}
