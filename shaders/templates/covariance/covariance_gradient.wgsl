// Kernel 3 of 3 over covariances: from the derivatives d by the centred columns those by the
// embeddings,
//
//     g[i, j] = d[i, j] - mean_j(d);  with CORRELATES
//               (d[i, j] - mean_j(d) - centred[i, j] mean_j(d centred)) / deviations[j]
//     gradients[i, j] = factor * weight * upstream * (g[i, j]
//                       + deviation(deviations[j])' over centred[i, j] / deviations[j]
//                       + apart(x[i, j] - other[i, j])')
//     values[first_value + j] = factor * weight * (deviation(deviations[j])
//                               + sum over i of apart(x[i, j] - other[i, j]), with FIRST)
//
// One thread per column, which loops over the rows twice. Requires from shaders/losses/*.wgsl,
// through an adaptor: `deviation` and `apart`. Linked with templates/covariance/covariance and
// lib/numbers.

// The first of the two matrices.
override FIRST: bool = false;

@group(0) @binding(1) var<storage, read> embeddings: array<f32>;
@group(0) @binding(2) var<storage, read> others: array<f32>;
@group(0) @binding(3) var<storage, read> centred: array<f32>;
@group(0) @binding(4) var<storage, read> deviations: array<f32>;
@group(0) @binding(5) var<storage, read> packed: array<u32>;
// Holds the derivatives by the centred columns.
@group(0) @binding(6) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn covariance_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let column = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if column >= params.columns {
        return;
    }
    let bits = packed[0];
    let counts = bits != MASKED;
    let weight = params.factor * bitcast<f32>(bits);
    let scale = weight * params.upstream * bitcast<f32>(packed[1]);
    var sum = RunningSum();
    var sum_along = RunningSum();
    for (var i = 0u; i < params.rows; i += 1u) {
        let place = i * params.columns + column;
        add_to(&sum, gradients[place]);
        add_to(&sum_along, gradients[place] * centred[place]);
    }
    let mean = total_of(sum) / f32(params.rows);
    let along = total_of(sum_along) / f32(params.rows);
    let own = deviations[column];
    let width = f32(params.columns);
    // A comparison in the loss would hide NaN.
    let spread = select(deviation(own, width), vec2<f32>(not_a_number(own)), is_nan(own));
    let per_unit = spread.y * params.over / own;
    var value = RunningSum();
    for (var i = 0u; i < params.rows; i += 1u) {
        let place = i * params.columns + column;
        var gradient = gradients[place] - mean;
        if CORRELATES {
            gradient = (gradient - centred[place] * along) / own;
        }
        let found = apart(embeddings[place] - others[place], f32(params.rows) * width);
        add_to(&value, found.x);
        gradient += per_unit * centred[place] + found.y;
        gradients[place] = select(0.0, scale * gradient, counts);
    }
    let total = spread.x + select(0.0, total_of(value), FIRST);
    values[params.first_value + column] = select(0.0, weight * total, counts);
}
