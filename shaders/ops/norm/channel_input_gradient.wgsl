// dL/dx = scale (g weight - mean(g weight) - x' mean(g weight x')), the means from channel_totals,
// and the gradient g of the residual. One thread per cell. Linked with channel_params, channel_relu
// and a cell.

@group(0) @binding(1) var<storage, read> gradients: array<Cell>;
@group(0) @binding(2) var<storage, read> inputs: array<Cell>;
@group(0) @binding(3) var<storage, read> outputs: array<Cell>;
@group(0) @binding(4) var<storage, read> statistics: array<Cell>;
@group(0) @binding(5) var<storage, read> parameters: array<Cell>;
@group(0) @binding(6) var<storage, read> totals: array<Cell>;
@group(0) @binding(7) var<storage, read_write> input_gradients: array<Cell>;
@group(0) @binding(8) var<storage, read_write> residual_gradients: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn channel_input_gradient(
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
    var g = through_relu(gradients[index], outputs[index]);
    if has(RESIDUAL) {
        residual_gradients[index] = g;
    }
    if has(INPUT) {
        if has(AFFINE) {
            g *= parameters[params.weight / CELL + cell];
        }
        let scale = statistics[of_segment + cells];
        let x = (inputs[index] - statistics[of_segment]) * scale;
        let rest = (g - totals[of_segment]) - x * totals[of_segment + cells];
        input_gradients[index] = scale * rest;
    }
}
