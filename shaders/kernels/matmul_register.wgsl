// Matrix product for adapters that run on the CPU: one subgroup per workgroup, no workgroup memory, no barrier.
//
// Such a driver reads storage one lane and one number at a time, which costs far more than the arithmetic, even where all
// lanes read the same place. So no lane reads what another lane reads: together the lanes of a subgroup read a block of the left
// matrix, each a part of its own, and hand each other its values by shuffles, which are single instructions.
// A lane owns TILE_ROWS rows × TILE_COLUMNS / LANES columns of the output. All loops but the one over k have few, fixed
// turns: the driver unrolls them, and `sums` lives in registers.
//
// From the header: LANES (4 or 8, at most the subgroup's size), TILE_ROWS (a multiple of LANES), TILE_COLUMNS (of 4 · LANES).

const ROW_GROUPS: u32 = TILE_ROWS / LANES;
const COLUMN_BLOCKS: u32 = TILE_COLUMNS / (4u * LANES);

// This lane's part of the block of LANES rows × 4 values of k that begins at (row, k).
fn share_of_left(row: u32, k: u32, lane: u32) -> vec4<f32> {
    if (LEFT_ALONG_K) {
        return load_left(row + lane, k);
    }
    let own_k = k + lane / (LANES / 4u);
    if (!ALIGNED && own_k >= params.k) {
        return vec4<f32>(0.0);
    }
    return load_left(row + lane % (LANES / 4u) * 4u, own_k);
}

// From all shares of a block: the value of its `row`-th row at its `step`-th k.
fn left_value(share: vec4<f32>, row: u32, step: u32) -> f32 {
    if (LEFT_ALONG_K) {
        return subgroupShuffle(share[step], row);
    }
    return subgroupShuffle(share[row % 4u], step * (LANES / 4u) + row / 4u);
}

// The values of four neighbouring columns at k … k + 3: right[step][column].
fn right_values(k: u32, column: u32) -> mat4x4<f32> {
    if (RIGHT_ALONG_K) {
        return transpose(mat4x4<f32>(load_right(k, column), load_right(k, column + 1u),
                                     load_right(k, column + 2u), load_right(k, column + 3u)));
    }
    return mat4x4<f32>(right_row(k, column), right_row(k + 1u, column), right_row(k + 2u, column), right_row(k + 3u, column));
}

// Zero behind the end of k, where the left values are zero too: 0 · infinity would be NaN.
fn right_row(k: u32, column: u32) -> vec4<f32> {
    if (!ALIGNED && k >= params.k) {
        return vec4<f32>(0.0);
    }
    return load_right(k, column);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Down the rows first: the panel of the right matrix that these tiles have in common stays in the cache.
    let tile = group.y * groups.x + group.x;
    let row_tiles = (params.m + TILE_ROWS - 1u) / TILE_ROWS;
    let first_row = tile % row_tiles * TILE_ROWS;
    let first_column = tile / row_tiles * TILE_COLUMNS + lane * 4u;

    var sums: array<array<vec4<f32>, COLUMN_BLOCKS>, TILE_ROWS>;
    for (var k = 0u; k < params.k; k += 4u) {
        var shares: array<vec4<f32>, ROW_GROUPS>;
        for (var i = 0u; i < ROW_GROUPS; i += 1u) {
            shares[i] = share_of_left(first_row + i * LANES, k, lane);
        }
        var rights: array<mat4x4<f32>, COLUMN_BLOCKS>;
        for (var i = 0u; i < COLUMN_BLOCKS; i += 1u) {
            rights[i] = right_values(k, first_column + i * 4u * LANES);
        }
        for (var step = 0u; step < 4u; step += 1u) {
            for (var r = 0u; r < TILE_ROWS; r += 1u) {
                let value = vec4<f32>(left_value(shares[r / LANES], r % LANES, step));
                for (var c = 0u; c < COLUMN_BLOCKS; c += 1u) {
                    sums[r][c] = fma(value, rights[c][step], sums[r][c]);
                }
            }
        }
    }

    // A copy, for the last loop is not unrolled (that halves the time to compile), and indexing `sums` itself by its counter
    // would drive it out of the registers above: seen as 12 times slower.
    var results: array<array<vec4<f32>, COLUMN_BLOCKS>, TILE_ROWS>;
    for (var r = 0u; r < TILE_ROWS; r += 1u) {
        for (var c = 0u; c < COLUMN_BLOCKS; c += 1u) {
            results[r][c] = sums[r][c];
        }
    }
    let rows = min(TILE_ROWS, params.m - min(first_row, params.m));
    for (var r = 0u; r < rows; r += 1u) {
        for (var c = 0u; c < COLUMN_BLOCKS; c += 1u) {
            finish_row(first_row + r, first_column + c * 4u * LANES, results[r][c]);
        }
    }
}
