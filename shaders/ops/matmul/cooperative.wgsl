// Matrix product of f16 matrices on matrix units, summed in f32. Linked with matmul_params,
// cooperative_units, an epilogue, half/unscaled or half/not_scaled, and, if the epilogue calls one,
// activation_scalar and an activation.
//
// A workgroup computes a tile of 4 · SIDE × 4 · SIDE outputs. Its subgroups share four quarters of it,
// each of four matrices of SIDE × SIDE: four subgroups of the least size, or fewer of a larger one,
// which the driver may choose. The operands are copies with zeros up to whole tiles (half/pack.wgsl), so that every
// load lies inside. The units give no access to their elements: the sums pass through workgroup
// memory to the epilogue.
//
// From the header: SIDE, 16 or 8; LANES, four subgroups of the least size; LEFT_BY_ROW, RIGHT_BY_ROW: whether adjacent numbers of
// the operand lie in a row or, transposed, in a column.

// One stored element is one number.
alias Element = f32;

const TILE: u32 = 4u * SIDE;

var<workgroup> finished: array<f32, TILE * TILE>;

fn up_to(length: u32, multiple: u32) -> u32 {
    return (length + multiple - 1u) / multiple * multiple;
}

// The left matrix of SIDE rows from `row` and as many values of k.
fn left_at(row: u32, k: u32) -> Left {
    if LEFT_BY_ROW {
        let stride = up_to(params.k, SIDE);
        return load_left(row * stride + k, stride);
    }
    let stride = up_to(params.m, TILE);
    return load_left(k * stride + row, stride);
}

// The right matrix of SIDE values of k and as many columns from `column`.
fn right_at(k: u32, column: u32) -> Right {
    if RIGHT_BY_ROW {
        let stride = up_to(params.n, TILE);
        return load_right(k * stride + column, stride);
    }
    let stride = up_to(params.k, SIDE);
    return load_right(column * stride + k, stride);
}

@compute @workgroup_size(LANES)
fn matmul_cooperative(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tile = group.y * groups.x + group.x;
    let row_tiles = up_to(params.m, TILE) / TILE;
    if tile >= row_tiles * (up_to(params.n, TILE) / TILE) {
        return;
    }
    let origin = vec2<u32>(tile % row_tiles, tile / row_tiles) * TILE;
    for (var quarter = subgroup; quarter < 4u; quarter += subgroups) {
        let inside = vec2<u32>(quarter / 2u, quarter % 2u) * (2u * SIDE);
        let row = origin.x + inside.x;
        let column = origin.y + inside.y;
        var upper_left = Sum();
        var upper_right = Sum();
        var lower_left = Sum();
        var lower_right = Sum();
        for (var k = 0u; k < params.k; k += SIDE) {
            let above = left_at(row, k);
            let below = left_at(row + SIDE, k);
            let before = right_at(k, column);
            let behind = right_at(k, column + SIDE);
            upper_left = multiply_add(above, before, upper_left);
            upper_right = multiply_add(above, behind, upper_right);
            lower_left = multiply_add(below, before, lower_left);
            lower_right = multiply_add(below, behind, lower_right);
        }
        let place = inside.x * TILE + inside.y;
        store_sum(upper_left, place);
        store_sum(upper_right, place + SIDE);
        store_sum(lower_left, place + SIDE * TILE);
        store_sum(lower_right, place + SIDE * TILE + SIDE);
    }
    // All sums are in workgroup memory.
    workgroupBarrier();
    for (var i = local_index; i < TILE * TILE; i += LANES) {
        let at = origin + vec2<u32>(i / TILE, i % TILE);
        if at.x < params.m && at.y < params.n {
            epilogue(at.x * params.n + at.y, at.y, params.output_offset, params.bias_offset, unscaled(finished[i]));
        }
    }
}
