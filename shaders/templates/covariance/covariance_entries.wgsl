// Kernel 2 of 3 over covariances: the entries of a matrix of sums of products over the rows,
//
//     values[first_value + i] = factor * weight * sum over j of entry(over * products[i, j])
//     products[i, j]          = over * derivative of that entry
//
// One workgroup per row of the matrix. Requires from shaders/losses/*.wgsl, through an adaptor:
// `entry`. Linked with templates/covariance/covariance, lib/lanes and lib/numbers.

@group(0) @binding(1) var<storage, read_write> products: array<f32>;
// The weight of the value, then its upstream gradient.
@group(0) @binding(2) var<storage, read> packed: array<u32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn covariance_entries(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if row >= params.columns {
        return;
    }
    var sum = RunningSum();
    for (var column = local_index; column < params.columns; column += WORKGROUP) {
        let place = row * params.columns + column;
        let found = entry(params.over * products[place], row == column, f32(params.columns));
        add_to(&sum, found.x);
        products[place] = params.over * found.y;
    }
    let total = sum_of(total_of(sum), local_index);
    if local_index == 0u {
        let bits = packed[0];
        values[params.first_value + row] = select(params.factor * bitcast<f32>(bits) * total, 0.0, bits == MASKED);
    }
}
