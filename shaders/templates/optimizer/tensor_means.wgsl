// Running means of g^2 over each row and over each column of every matrix, for optimizers that
// store these means instead of one state per element:
//
//     first_states[start + row] += weight (mean over the row - it),
//     second_states[start + column] likewise
//
// The weight is step.own.x. One workgroup per row, then per column, of each matrix in order. Linked
// with templates/optimizer/optimizer_step, templates/optimizer/optimizer_params,
// templates/optimizer/penalty, templates/optimizer/gradient_transform and lib/numbers.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_states: array<f32>;
@group(0) @binding(6) var<storage, read> clip: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn tensor_means(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let line = workgroup.y * count.x + workgroup.x;
    var number = 0u;
    var before = 0u;
    while number < params.spans && spans[number].lines <= line {
        before = spans[number].lines;
        number += 1u;
    }
    if number >= params.spans || is_skipped(clip[0]) || is_frozen(number) {
        return;
    }
    let matrix = spans[number];
    let is_row = line - before < matrix.rows;
    let place = select(line - before - matrix.rows, line - before, is_row);
    let length = select(matrix.rows, matrix.columns, is_row);
    let first = matrix.start + place * select(1u, matrix.columns, is_row);
    let stride = select(matrix.columns, 1u, is_row);
    var total = 0.0;
    for (var i = local_index; i < length; i += WORKGROUP) {
        let gradient = gradients[first + i * stride];
        total += gradient * gradient;
    }
    sums[local_index] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u {
        let mean = sums[0] / f32(length);
        let at = matrix.start + place;
        if is_row {
            first_states[at] += params.step.own.x * (mean - first_states[at]);
        } else {
            second_states[at] += params.step.own.x * (mean - second_states[at]);
        }
    }
}
