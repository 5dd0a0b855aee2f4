// Mean of the first tokens of each row, 0 for a row without tokens:
//
//     output[r, c] = sum of x[r, t, c] over t < n / n, n = lengths[r]
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell of the output. n is kept for backward.

struct Params {
    rows: u32,
    tokens: u32, // per row
    cells: u32,  // per token
    reserved: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Cell>;
@group(0) @binding(2) var<storage, read> lengths: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<Cell>;
@group(0) @binding(4) var<storage, read_write> saved: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn masked_mean(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.rows * params.cells {
        return;
    }
    let row = index / params.cells;
    let cell = index % params.cells;
    let length = lengths[row];
    // NaN is no length.
    let tokens = select(0u, u32(min(length, f32(params.tokens))), length > 0.0);
    var sum = Cell();
    for (var token = 0u; token < tokens; token++) {
        sum += x[(row * params.tokens + token) * params.cells + cell];
    }
    output[index] = sum / f32(max(tokens, 1u));
    if cell == 0u {
        saved[row] = f32(tokens);
    }
}
