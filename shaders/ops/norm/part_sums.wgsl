// Sum of each column of partial sums, `chunk` rows of them at a time. Linked with a frame; a unit
// is a column of a chunk.
//
//     sums[offset + chunk c, column j] = sum over rows r of the chunk of cells[r, j]

struct Params {
    rows: u32,
    stride: u32,     // numbers from row to row
    columns: u32,    // of them summed
    chunk: u32,
    chunks: u32,
    offset: u32,
    accumulate: u32, // 1: added to the output
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cells: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

@compute @workgroup_size(WORKGROUP)
fn part_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let at = unit_of(workgroup.y * count.x + workgroup.x, local_index);
    let units = params.columns * params.chunks;
    let unit = min(at, units - 1u);
    let first = unit / params.columns * params.chunk;
    let length = min(params.chunk, params.rows - first);
    var part = vec4<f32>();
    for (var i = first_of(local_index); i < length; i += stride()) {
        part.x += cells[(first + i) * params.stride + unit % params.columns];
    }
    let sum = joined(part, local_index).x;
    if at < units && first_of(local_index) == 0u {
        let before = select(0.0, sums[params.offset + unit], params.accumulate != 0u);
        sums[params.offset + unit] = before + sum;
    }
}
