// The average of each window: sums of its rows, added. Linked with pool and a cell. One thread per
// output cell.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read_write> outputs: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn average_forward(
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
    var total = Cell(0.0);
    for (var y = rows.first; y < rows.end; y += 1u) {
        var source = input_cell(place.row, y, columns.first, place.channel);
        var sum = Cell(0.0);
        for (var x = columns.first; x < columns.end; x += 1u) {
            sum += inputs[source];
            source += params.channels;
        }
        total += sum;
    }
    outputs[cell] = total / f32(rows.count * columns.count);
}
