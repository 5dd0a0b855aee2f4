// Matrix product for hardware: tiles of both matrices pass through workgroup memory; a block of the
// output stays in each thread's registers. After Goto & van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication", 2008, adapted to GPUs.
//
// The left tile is transposed, so that both operands of an outer product are vec4 reads. Each
// thread loads whole 4 × 4 blocks and transposes them in registers. The next tiles are loaded while
// these are multiplied. A thread owns one 4 × 4 block of the output, or (EIGHT_BY_EIGHT) four of
// them, half a tile apart so that adjacent threads read adjacent memory. The blocks are named, not
// indexed: an array that a driver does not unroll would leave the registers.
//
// Workgroup memory has 32 banks of 4 bytes, 8 of a vec4, and serves 8 threads' vec4s at a time:
// * 32 threads that execute together are arranged 8 across and 4 down, so that a read covers 8
//   adjacent vec4s of the right tile and 4 of the left, each bank line once for all threads that
//   need it; 16 across and 2 down would need half as many reads again;
// * threads that each write a block of four k in a column would conflict in one bank: each four
//   lines of k are rotated by a different number of vec4s (an exclusive or, which keeps 8 adjacent
//   ones together), so no line needs padding.
// With BUFFERS = 2 a tile is written beside the one still being read, which saves one of the two
// barriers per iteration.
//
// From the header: LANES, TILE_ROWS, TILE_COLUMNS (multiples of 32), TILE_K (8, 16 or 32),
// EIGHT_BY_EIGHT, BUFFERS.

// Rows of tiles that run concurrently.
const BAND: u32 = 8u;
const LANE_SIDE: u32 = select(4u, 8u, EIGHT_BY_EIGHT);
// Groups of 8 threads across the tile.
const GROUPS_ACROSS: u32 = TILE_COLUMNS / LANE_SIDE / 8u;
const LEFT_LINE: u32 = TILE_ROWS / 4u;
const RIGHT_LINE: u32 = TILE_COLUMNS / 4u;
const STEPS: u32 = TILE_K / 4u;
const LEFT_BLOCKS: u32 = LEFT_LINE * STEPS;
const RIGHT_BLOCKS: u32 = RIGHT_LINE * STEPS;
const LEFT_SIZE: u32 = TILE_K * LEFT_LINE;
const RIGHT_SIZE: u32 = TILE_K * RIGHT_LINE;
// Rotation, in vec4s, of each four lines of k relative to those before them.
const TURN: u32 = 8u / STEPS;

var<workgroup> left_tile: array<vec4<f32>, BUFFERS * LEFT_SIZE>;
var<workgroup> right_tile: array<vec4<f32>, BUFFERS * RIGHT_SIZE>;

// The left block at rows row … row + 3, k … k + 3 as block[step][row]; zero behind the end of k.
fn left_block(row: u32, k: u32) -> mat4x4<f32> {
    if LEFT_ALONG_K {
        if k >= params.k {
            return mat4x4<f32>();
        }
        return transpose(mat4x4<f32>(load_left(row, k), load_left(row + 1u, k), load_left(row + 2u, k), load_left(row + 3u, k)));
    }
    return mat4x4<f32>(left_line(row, k), left_line(row, k + 1u), left_line(row, k + 2u), left_line(row, k + 3u));
}

fn left_line(row: u32, k: u32) -> vec4<f32> {
    if k >= params.k {
        return vec4<f32>(0.0);
    }
    return load_left(row, k);
}

// The right block at k … k + 3, columns column … column + 3 as block[step][column]; zero behind the
// end of k.
fn right_block(k: u32, column: u32) -> mat4x4<f32> {
    if RIGHT_ALONG_K {
        if k >= params.k {
            return mat4x4<f32>();
        }
        return transpose(mat4x4<f32>(load_right(k, column), load_right(k, column + 1u), load_right(k, column + 2u), load_right(k, column + 3u)));
    }
    return mat4x4<f32>(right_line(k, column), right_line(k + 1u, column), right_line(k + 2u, column), right_line(k + 3u, column));
}

fn right_line(k: u32, column: u32) -> vec4<f32> {
    if k >= params.k {
        return vec4<f32>(0.0);
    }
    return load_right(k, column);
}

// Position of a block in its tile: (step, block across), ordered so that adjacent threads read
// adjacent memory.
fn block_place(block: u32, along_k: bool, across: u32) -> vec2<u32> {
    if along_k {
        return vec2<u32>(block % STEPS, block / STEPS);
    }
    return vec2<u32>(block / across, block % across);
}

// Loads the `index`-th of the blocks that make up the tiles beginning at k.
fn fetch_block(index: u32, first_row: u32, first_column: u32, k: u32) -> mat4x4<f32> {
    if index < LEFT_BLOCKS {
        let place = block_place(index, LEFT_ALONG_K, LEFT_LINE);
        return left_block(first_row + place.y * 4u, k + place.x * 4u);
    }
    let place = block_place(index - LEFT_BLOCKS, RIGHT_ALONG_K, RIGHT_LINE);
    return right_block(k + place.x * 4u, first_column + place.y * 4u);
}

fn store_block(buffer: u32, index: u32, block: mat4x4<f32>) {
    if index < LEFT_BLOCKS {
        let place = block_place(index, LEFT_ALONG_K, LEFT_LINE);
        let start = buffer * LEFT_SIZE + place.x * 4u * LEFT_LINE + (place.y ^ (place.x * TURN));
        left_tile[start] = block[0];
        left_tile[start + LEFT_LINE] = block[1];
        left_tile[start + 2u * LEFT_LINE] = block[2];
        left_tile[start + 3u * LEFT_LINE] = block[3];
    } else {
        let place = block_place(index - LEFT_BLOCKS, RIGHT_ALONG_K, RIGHT_LINE);
        let start = buffer * RIGHT_SIZE + place.x * 4u * RIGHT_LINE + (place.y ^ (place.x * TURN));
        right_tile[start] = block[0];
        right_tile[start + RIGHT_LINE] = block[1];
        right_tile[start + 2u * RIGHT_LINE] = block[2];
        right_tile[start + 3u * RIGHT_LINE] = block[3];
    }
}

// First row and column of a tile. Bands of BAND rows of tiles, down the rows first within a band:
// tiles that run at the same time share rows of the left and columns of the right matrix in the
// cache.
fn tile_origin(tile: u32) -> vec2<u32> {
    let row_tiles = (params.m + TILE_ROWS - 1u) / TILE_ROWS;
    let column_tiles = (params.n + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    let band = tile / (BAND * column_tiles);
    let height = min(BAND, row_tiles - min(band * BAND, row_tiles - 1u));
    let rest = tile - band * BAND * column_tiles;
    return vec2<u32>((band * BAND + rest % height) * TILE_ROWS, rest / height * TILE_COLUMNS);
}

// Adds the outer product of four left values (rows) and four right values (columns) to a 4 × 4
// block of the output. Its rows are the WGSL matrix's columns: block[row][column].
fn add_outer(block: mat4x4<f32>, left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(left.x), right, block[0]),
        fma(vec4<f32>(left.y), right, block[1]),
        fma(vec4<f32>(left.z), right, block[2]),
        fma(vec4<f32>(left.w), right, block[3]),
    );
}

fn finish_block(row: u32, column: u32, block: mat4x4<f32>) {
    finish_row(row, column, block[0]);
    finish_row(row + 1u, column, block[1]);
    finish_row(row + 2u, column, block[2]);
    finish_row(row + 3u, column, block[3]);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let work = work_of(group.y * groups.x + group.x);
    let origin = tile_origin(work.tile);
    // Groups of 32 threads, 8 across and 4 down.
    let left_start = local_index / 32u / GROUPS_ACROSS * 4u + local_index % 32u / 8u;
    let right_start = local_index / 32u % GROUPS_ACROSS * 8u + local_index % 8u;
    var upper_left = mat4x4<f32>();
    var upper_right = mat4x4<f32>();
    var lower_left = mat4x4<f32>();
    var lower_right = mat4x4<f32>();

    // The tiles at k are loaded while those before them are multiplied. In one place, as the code of
    // a load is long where an operand is made of patches: the first turn multiplies nothing.
    var buffer = 0u;
    for (var k = work.first_k; ; k += TILE_K) {
        // Each thread loads exactly one block: LEFT_BLOCKS + RIGHT_BLOCKS = LANES.
        let next = fetch_block(local_index, origin.x, origin.y, k);
        if k > work.first_k {
            for (var block = 0u; block < STEPS; block += 1u) {
                let left_at = buffer * LEFT_SIZE + block * 4u * LEFT_LINE + (left_start ^ (block * TURN));
                let right_at = buffer * RIGHT_SIZE + block * 4u * RIGHT_LINE + (right_start ^ (block * TURN));
                for (var step = 0u; step < 4u; step += 1u) {
                    let above = left_tile[left_at + step * LEFT_LINE];
                    let before = right_tile[right_at + step * RIGHT_LINE];
                    upper_left = add_outer(upper_left, above, before);
                    if EIGHT_BY_EIGHT {
                        let below = left_tile[left_at + step * LEFT_LINE + LEFT_LINE / 2u];
                        let behind = right_tile[right_at + step * RIGHT_LINE + RIGHT_LINE / 2u];
                        upper_right = add_outer(upper_right, above, behind);
                        lower_left = add_outer(lower_left, below, before);
                        lower_right = add_outer(lower_right, below, behind);
                    }
                }
            }
        }
        if k >= work.end_k {
            break;
        }
        if BUFFERS == 1u {
            // All threads have read the tiles of the previous iteration. With two buffers the other
            // barrier ensures that for the iteration before it, whose buffer this is.
            workgroupBarrier();
        }
        buffer = BUFFERS - 1u - buffer;
        store_block(buffer, local_index, next);
        // The tiles are complete.
        workgroupBarrier();
    }

    let row = origin.x + left_start * 4u;
    let column = origin.y + right_start * 4u;
    finish_block(row, column, upper_left);
    if EIGHT_BY_EIGHT {
        finish_block(row, column + TILE_COLUMNS / 2u, upper_right);
        finish_block(row + TILE_ROWS / 2u, column, lower_left);
        finish_block(row + TILE_ROWS / 2u, column + TILE_COLUMNS / 2u, lower_right);
    }
}
