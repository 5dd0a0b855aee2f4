// Normalizes embeddings row by row: units[r, c] = x[r, c] / max(|x[r]|, SHORTEST), and stores the
// norms in `lengths`. Linked with lib/scale and one of rowwise_subgroups and rowwise_memory: the
// group of threads that processes a row.

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
@group(0) @binding(1) var<storage, read> embeddings: array<f32>;
@group(0) @binding(2) var<storage, read_write> units: array<f32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<f32>;

fn take_rows(block: u32, local_index: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    for (var row = begin; row < end; row += 1u) {
        let first = row * params.columns;
        var square = 0.0;
        for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
            let x = embeddings[first + column];
            square += x * x;
        }
        square = row_group_sum(square);
        var scale = 1.0;
        if is_too_large(square) {
            var peak = 0.0;
            for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
                peak = max(peak, abs(embeddings[first + column]));
            }
            scale = scale_to_one(row_group_max(peak));
            square = 0.0;
            for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
                let x = scale * embeddings[first + column];
                square += x * x;
            }
            square = row_group_sum(square);
        }
        let root = sqrt(square);
        let length = root / scale;
        // NaN in, NaN out: a maximum would hide it.
        let divisor = select(root, SHORTEST, length < SHORTEST);
        for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
            units[first + column] = scale * embeddings[first + column] / divisor;
        }
        if local_index == 0u {
            lengths[row] = length;
        }
    }
}
