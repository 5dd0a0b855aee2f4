// Operand of a product on matrix units: a matrix in f16, times the loss scale if it is a gradient,
// with zeros behind its rows and columns, up to whole tiles. Linked with lib/half. Four adjacent
// numbers, which are two words, per thread.

struct Params {
    rows: u32,
    columns: u32,
    // First number in `source`.
    offset: u32,
    // Of the copy: a multiple of 4.
    padded_columns: u32,
    padded_rows: u32,
    // 1: the column behind the last one is 1 in each row.
    ones: u32,
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 64u;
override IS_GRADIENT: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
// The scale and 1 / scale.
@group(0) @binding(2) var<storage, read> loss_scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> operand: array<vec2<u32>>;

fn number_at(row: u32, column: u32) -> f32 {
    if row >= params.rows || column >= params.columns {
        return select(0.0, 1.0, params.ones == 1u && row < params.rows && column == params.columns);
    }
    let x = source[params.offset + row * params.columns + column];
    if IS_GRADIENT {
        return x * loss_scale[0];
    }
    return x;
}

@compute @workgroup_size(WORKGROUP)
fn pack_operand(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let fours = params.padded_columns / 4u;
    let row = place / fours;
    if row >= params.padded_rows {
        return;
    }
    let column = place % fours * 4u;
    operand[place] = narrowed(vec4<f32>(
        number_at(row, column),
        number_at(row, column + 1u),
        number_at(row, column + 2u),
        number_at(row, column + 3u),
    ));
}
