// y = (x - mean) scale weight + bias of each row, with scale = 1/sqrt(mean((x - mean)^2) +
// EPSILON), in two passes. Linked with row_params, a cell and a frame; a unit is a row.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read> parameters: array<Cell>;
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> outputs: array<Cell>;

fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

@compute @workgroup_size(WORKGROUP)
fn row_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let at = unit_of(workgroup.y * count.x + workgroup.x, local_index);
    let row = min(at, params.rows - 1u);
    let cells = params.width / CELL;
    let first = row * cells;
    let n = f32(params.width);
    var mean = 0.0;
    if has(CENTRED) {
        // Distances from the first number: a constant row has exactly its own mean.
        let origin = first_number(inputs[first]);
        var sum = Cell();
        for (var i = first_of(local_index); i < cells; i += stride()) {
            sum += inputs[first + i] - Cell(origin);
        }
        mean = origin + joined(vec4<f32>(total(sum), 0.0, 0.0, 0.0), local_index).x / n;
    }
    var squares = Cell();
    for (var i = first_of(local_index); i < cells; i += stride()) {
        let distance = inputs[first + i] - Cell(mean);
        squares += distance * distance;
    }
    let variance = joined(vec4<f32>(total(squares), 0.0, 0.0, 0.0), local_index).x / n;
    let scale = 1.0 / sqrt(variance + params.epsilon);
    if at >= params.rows {
        return;
    }
    if first_of(local_index) == 0u {
        statistics[2u * row] = mean;
        statistics[2u * row + 1u] = scale;
    }
    for (var i = first_of(local_index); i < cells; i += stride()) {
        var y = (inputs[first + i] - Cell(mean)) * scale;
        if has(WEIGHT) {
            y *= parameters[params.weight / CELL + i];
        }
        if has(BIAS) {
            y += parameters[params.bias / CELL + i];
        }
        outputs[first + i] = y;
    }
}
