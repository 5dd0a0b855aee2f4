// Divisor of a mean over labels on the device: the sum of the class weights, or of the row weights,
// of the unmasked rows. Linked with templates/rowwise/rows, whose bindings and masking rules it
// shares, and with one of lib/partials_*. The sum kernel adds up its `values`.

const THREADS_PER_ROW: u32 = 1u;

override BY_ROW_WEIGHT: bool = false;

@compute @workgroup_size(WORKGROUP)
fn row_divisor(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    var sum = RunningSum();
    for (var index = begin + local_index; index < end; index += WORKGROUP) {
        let row = begin_row(index);
        var share = 1.0;
        if BY_ROW_WEIGHT && HAS_WEIGHT {
            share = bitcast<f32>(weights[index]);
        } else if HAS_CLASS_WEIGHT && HAS_LABELS {
            share = class_weight(min(row.label, row_length() - 1u));
        }
        add_to(&sum, select(0.0, share, row.state == KEPT));
    }
    write_partial(block, local_index, total_of(sum), begin < end);
}
