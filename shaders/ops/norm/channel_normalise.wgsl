// y = (x - mean) scale weight + bias, then + residual and ReLU if there are any. One thread per
// cell. Linked with channel_params and a cell.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read> residuals: array<Cell>;
@group(0) @binding(3) var<storage, read> statistics: array<Cell>;
@group(0) @binding(4) var<storage, read> parameters: array<Cell>;
@group(0) @binding(5) var<storage, read_write> outputs: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn channel_normalise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let cells = params.channels / CELL;
    if index >= params.segments * params.pixels * cells {
        return;
    }
    let cell = index % cells;
    let of_segment = 2u * (index / (params.pixels * cells)) * cells + cell;
    var y = (inputs[index] - statistics[of_segment]) * statistics[of_segment + cells];
    if has(AFFINE) {
        y = y * parameters[params.weight / CELL + cell] + parameters[params.bias / CELL + cell];
    }
    if has(RESIDUAL) {
        y += residuals[index];
    }
    if has(RELU) {
        // max would turn NaN into 0.
        y = select(max(y, Cell()), y, nan_of(y));
    }
    outputs[index] = y;
}
