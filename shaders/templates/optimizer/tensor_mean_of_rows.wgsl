// Mean of the row means of a matrix, written to third_states[start]. Runs after
// templates/optimizer/tensor_means. One workgroup per tensor. Linked with
// templates/optimizer/optimizer_step, templates/optimizer/optimizer_params,
// templates/optimizer/penalty, templates/optimizer/gradient_transform and lib/numbers.

override WORKGROUP: u32 = 256u;

@group(0) @binding(4) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(5) var<storage, read_write> third_states: array<f32>;
@group(0) @binding(6) var<storage, read> clip: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn tensor_mean_of_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let number = workgroup.y * count.x + workgroup.x;
    if number >= params.spans || is_skipped(clip[0]) || is_frozen(number) {
        return;
    }
    let matrix = spans[number];
    var total = 0.0;
    if matrix.columns > 0u {
        for (var i = local_index; i < matrix.rows; i += WORKGROUP) {
            total += first_states[matrix.start + i];
        }
    }
    sums[local_index] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u && matrix.columns > 0u {
        third_states[matrix.start] = sums[0] / f32(matrix.rows);
    }
}
