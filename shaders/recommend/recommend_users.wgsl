// The users' rows of a batch, each by its hits in the order of their places:
//
//     g = step (q(negative) - q(positive)), without a negative item -step q(positive); of the bias BIAS step
//
// The items are still as they were at the batch's start. A thread for each cell of each place of `sorted`, (user, place) by user: those
// where a user's run begins do the row, all others go. With side features rows are features, which take their share of g. Linked with
// recommend/recommend, recommend/recommend_move and recommend/recommend_own or recommend/recommend_shares.

override BIAS: f32 = 0.0;

@group(0) @binding(3) var<storage, read> items: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> squares: array<vec4<f32>>;

fn gradient(record: vec4<u32>, cell: u32) -> vec4<f32> {
    let step = bitcast<f32>(record.w);
    if cell + 1u == params.cells {
        return vec4<f32>(BIAS * step, 0.0, 0.0, 0.0);
    }
    let positive = items[record.x * params.cells + cell];
    if LOSS == LOGISTIC {
        return -step * positive;
    }
    return step * (items[record.y * params.cells + cell] - positive);
}

@compute @workgroup_size(WORKGROUP)
fn move_users(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let first = index / params.cells;
    if first >= places_of(params.length) {
        return;
    }
    let row = sorted[first].x;
    if row >= params.user_rows {
        return;
    }
    if first > 0u {
        if sorted[first - 1u].x == row {
            return;
        }
    }
    let cell = index % params.cells;
    let at = row * params.cells + cell;
    var moving = Moving(rows[at], squares[at]);
    for (var place = first; place < places_of(params.length); place++) {
        let pair = sorted[place];
        if pair.x != row {
            break;
        }
        moving = hit(moving, share_at(pair.y) * gradient(records[hit_at(pair.y)], cell), params.user_alpha);
    }
    rows[at] = moving.x;
    squares[at] = moving.squares;
}
