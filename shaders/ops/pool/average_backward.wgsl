// The gradient of each input: the parts of dL/dy of the windows that contain it, in order. Linked
// with pool and a cell. One thread per input cell.

@group(0) @binding(1) var<storage, read> upstream: array<Cell>;
@group(0) @binding(2) var<storage, read_write> gradients: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn average_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let cell = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if cell >= params.cells {
        return;
    }
    let place = place_of(cell, params.input_height, params.input_width);
    let rows = windows_of(vertical(), place.y);
    let columns = windows_of(horizontal(), place.x);
    var total = Cell(0.0);
    for (var y = rows.first; y < rows.end; y += 1u) {
        let height = inputs_of(vertical(), y).count;
        for (var x = columns.first; x < columns.end; x += 1u) {
            let size = f32(height * inputs_of(horizontal(), x).count);
            total += upstream[output_cell(place.row, y, x, place.channel)] / size;
        }
    }
    gradients[cell] = total;
}
