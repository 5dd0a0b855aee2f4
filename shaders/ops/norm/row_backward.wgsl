// dL/dx = scale (g - mean g - x' mean(g x')) of each row, with g = weight dL/dy and x' = (x - mean)
// scale; without mean g if the mean was not subtracted. Linked with row_params, a cell and a frame;
// a unit is a row.

@group(0) @binding(1) var<storage, read> gradients: array<Cell>;
@group(0) @binding(2) var<storage, read> inputs: array<Cell>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read> parameters: array<Cell>;
@group(0) @binding(5) var<storage, read_write> input_gradients: array<Cell>;

fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

fn weighted(row: u32, i: u32) -> Cell {
    let g = gradients[row * (params.width / CELL) + i];
    if has(WEIGHT) {
        return g * parameters[params.weight / CELL + i];
    }
    return g;
}

@compute @workgroup_size(WORKGROUP)
fn row_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let at = unit_of(workgroup.y * count.x + workgroup.x, local_index);
    let row = min(at, params.rows - 1u);
    let cells = params.width / CELL;
    let first = row * cells;
    let mean = statistics[2u * row];
    let scale = statistics[2u * row + 1u];
    var sum = Cell();
    var products = Cell();
    for (var i = first_of(local_index); i < cells; i += stride()) {
        let g = weighted(row, i);
        sum += g;
        products += g * (inputs[first + i] - Cell(mean));
    }
    let sums = joined(vec4<f32>(total(sum), total(products) * scale, 0.0, 0.0), local_index);
    if at >= params.rows {
        return;
    }
    let means = sums.xy / f32(params.width);
    let of_g = select(0.0, means.x, has(CENTRED));
    for (var i = first_of(local_index); i < cells; i += stride()) {
        let x = (inputs[first + i] - Cell(mean)) * scale;
        input_gradients[first + i] = scale * ((weighted(row, i) - Cell(of_g)) - x * means.y);
    }
}
