// Gradient of a mean of the first tokens of each row:
//
//     grad_x[r, t, c] = grad_output[r, c] / n for t < n, 0 behind, n = saved[r]
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell of the gradient.

struct Params {
    rows: u32,
    tokens: u32, // per row
    cells: u32,  // per token
    reserved: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad_output: array<Cell>;
@group(0) @binding(2) var<storage, read> saved: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_x: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn masked_mean_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.rows * params.tokens * params.cells {
        return;
    }
    let place = index / params.cells;
    let row = place / params.tokens;
    let length = saved[row];
    var gradient = Cell();
    if f32(place % params.tokens) < length {
        gradient = grad_output[row * params.cells + index % params.cells] / length;
    }
    grad_x[index] = gradient;
}
