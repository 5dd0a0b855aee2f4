// Matrix product for adapters that run on the CPU: one subgroup per workgroup, no workgroup memory,
// no barrier.
//
// Such a driver reads storage one thread and one number at a time, which costs far more than the
// arithmetic, even where all threads read the same address. So no two threads read the same value:
// the threads of a subgroup together read a block of the left matrix, each a distinct slice, and
// exchange values by shuffles, which are single instructions.
// A thread owns TILE_ROWS rows × 4 columns of the output. Loops over an array have as many
// iterations as the array has elements: the driver then unrolls them, and `sums` stays in
// registers.
//
// From the header: LANES (8, at most the subgroup's size), TILE_ROWS (a multiple of LANES),
// TILE_COLUMNS = 4 · LANES.

// A thread's loads from the left matrix per iteration.
const SHARES: u32 = TILE_ROWS / LANES;

// This thread's slice of the block of LANES rows × 4 values of k that begins at (row, k).
fn share_of_left(row: u32, k: u32, local_index: u32) -> vec4<f32> {
    if LEFT_ALONG_K {
        return load_left(row + local_index, k);
    }
    let own_k = k + local_index / (LANES / 4u);
    if !ALIGNED && own_k >= params.k {
        return vec4<f32>(0.0);
    }
    return load_left(row + local_index % (LANES / 4u) * 4u, own_k);
}

// From the slices of all threads: the block's value at row `row` and k `step`.
fn left_value(share: vec4<f32>, row: u32, step: u32) -> f32 {
    if LEFT_ALONG_K {
        return subgroupShuffle(share[step], row);
    }
    return subgroupShuffle(share[row % 4u], step * (LANES / 4u) + row / 4u);
}

// The values of four adjacent columns at k … k + 3: right[step][column].
fn right_values(k: u32, column: u32) -> mat4x4<f32> {
    if RIGHT_ALONG_K {
        return transpose(mat4x4<f32>(load_right(k, column), load_right(k, column + 1u),
                                     load_right(k, column + 2u), load_right(k, column + 3u)));
    }
    return mat4x4<f32>(right_row(k, column), right_row(k + 1u, column), right_row(k + 2u, column), right_row(k + 3u, column));
}

// Zero behind the end of k, where the left values are zero too, since 0 · infinity would be NaN.
fn right_row(k: u32, column: u32) -> vec4<f32> {
    if !ALIGNED && k >= params.k {
        return vec4<f32>(0.0);
    }
    return load_right(k, column);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) local_index: u32,
) {
    // Down the rows first: the panel of the right matrix that these tiles share stays in the cache.
    let work = work_of(group.y * groups.x + group.x);
    let row_tiles = (params.m + TILE_ROWS - 1u) / TILE_ROWS;
    let first_row = work.tile % row_tiles * TILE_ROWS;
    let column = work.tile / row_tiles * TILE_COLUMNS + local_index * 4u;

    var sums: array<vec4<f32>, TILE_ROWS>;
    for (var k = work.first_k; k < work.end_k; k += 4u) {
        var shares: array<vec4<f32>, SHARES>;
        for (var i = 0u; i < SHARES; i += 1u) {
            shares[i] = share_of_left(first_row + i * LANES, k, local_index);
        }
        let rights = right_values(k, column);
        for (var step = 0u; step < 4u; step += 1u) {
            for (var r = 0u; r < TILE_ROWS; r += 1u) {
                let value = left_value(shares[r / LANES], r % LANES, step);
                sums[r] = fma(vec4<f32>(value), rights[step], sums[r]);
            }
        }
    }

    // Four rows are written and the others move up, so that `sums` is never indexed by a value
    // known only at run time: that would move it out of the registers (measured 12 times slower),
    // and an indexed copy is written thread by thread, which was a third of the compile time. The
    // loop's length is not constant either: unrolled, it takes as long to compile as everything
    // else.
    let end = min(first_row + TILE_ROWS, params.m);
    for (var row = first_row; row < end; row += 4u) {
        finish_row(row, column, sums[0]);
        finish_row(row + 1u, column, sums[1]);
        finish_row(row + 2u, column, sums[2]);
        finish_row(row + 3u, column, sums[3]);
        for (var r = 0u; r < TILE_ROWS; r += 1u) {
            sums[r] = sums[min(r + 4u, TILE_ROWS - 1u)];
        }
    }
}
