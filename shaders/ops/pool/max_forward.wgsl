// The maximum of each window, and where in the window it is: the first of equal ones in row-major
// order, the last NaN if there is one. Linked with pool and a cell. One thread per output cell.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read_write> outputs: array<Cell>;
@group(0) @binding(3) var<storage, read_write> winners: array<u32>;

const NAN_KEY: i32 = 0x7fffffff;

// Integers in the order of the numbers, with equal ones for both zeros: compilers may assume that
// there is no NaN, which is the largest here.
fn keys_of(x: Cell) -> Keys {
    let bits = bitcast<Keys>(x);
    let magnitude = bits & Keys(0x7fffffff);
    let key = select(magnitude, -magnitude, bits < Keys(0));
    return select(key, Keys(NAN_KEY), magnitude > Keys(0x7f800000));
}

@compute @workgroup_size(WORKGROUP)
fn max_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let cell = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if cell >= params.cells {
        return;
    }
    let place = place_of(cell, params.output_height, params.output_width);
    let rows = inputs_of(vertical(), place.y);
    let columns = inputs_of(horizontal(), place.x);
    let first_column = tap_of(horizontal(), place.x, columns.first);
    var best = inputs[input_cell(place.row, rows.first, columns.first, place.channel)];
    var best_keys = keys_of(best);
    var taps =
        Taps(tap_of(vertical(), place.y, rows.first) * params.kernel_width + first_column);
    for (var y = rows.first; y < rows.end; y += 1u) {
        var tap = tap_of(vertical(), place.y, y) * params.kernel_width + first_column;
        var source = input_cell(place.row, y, columns.first, place.channel);
        for (var x = columns.first; x < columns.end; x += 1u) {
            let value = inputs[source];
            let keys = keys_of(value);
            // One below NaN, so that a later NaN still wins.
            let wins = keys > min(best_keys, Keys(NAN_KEY - 1));
            best = select(best, value, wins);
            best_keys = select(best_keys, keys, wins);
            taps = select(taps, Taps(tap), wins);
            tap += 1u;
            source += params.channels;
        }
    }
    outputs[cell] = best;
    winners[cell] = pack(taps);
}
