// Kernel 1 of 3 over covariances: the columns of a matrix less their means,
//
//     centred[i, j] = x[i, j] - mean_j, divided by deviations[j] with CORRELATES
//     deviations[j] = sqrt(over * sum over i of (x[i, j] - mean_j)^2 + epsilon)
//
// One thread per column, which loops over the rows four times. Linked with
// templates/covariance/covariance and lib/numbers.

@group(0) @binding(1) var<storage, read> embeddings: array<f32>;
@group(0) @binding(2) var<storage, read_write> centred: array<f32>;
@group(0) @binding(3) var<storage, read_write> deviations: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn covariance_columns(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let column = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if column >= params.columns {
        return;
    }
    var sum = RunningSum();
    for (var i = 0u; i < params.rows; i += 1u) {
        add_to(&sum, embeddings[i * params.columns + column]);
    }
    let rough = total_of(sum) / f32(params.rows);
    // The mean of what is left takes away the rounding of the first one.
    var rest = RunningSum();
    var peak = 1.0;
    var max_bits = 0u;
    for (var i = 0u; i < params.rows; i += 1u) {
        let off = embeddings[i * params.columns + column] - rough;
        add_to(&rest, off);
        peak = max(peak, abs(off));
        max_bits = max(max_bits, bitcast<u32>(off) & 0x7fffffffu);
    }
    let left = total_of(rest) / f32(params.rows);
    // Of numbers of at most 1: squares of 1e20 would overflow.
    var squares = RunningSum();
    for (var i = 0u; i < params.rows; i += 1u) {
        let off = ((embeddings[i * params.columns + column] - rough) - left) / peak;
        add_to(&squares, off * off);
    }
    let deviation = peak * sqrt(params.over * total_of(squares) + params.epsilon / peak / peak);
    for (var i = 0u; i < params.rows; i += 1u) {
        let place = i * params.columns + column;
        let off = (embeddings[place] - rough) - left;
        centred[place] = select(off, off / deviation, CORRELATES);
    }
    // NaN and infinities, which max hides.
    deviations[column] = select(deviation, not_a_number(left), max_bits >= 0x7f800000u);
}
