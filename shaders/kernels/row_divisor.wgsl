// The divisor of a mean over labels that live on the device: the sum of the class weights of the rows kept, or of the
// rows' own weights. Linked with kernels/rows, whose bindings and rules it shares; it writes one number for each row to
// `values`, and the sum kernel adds them up.

const TEAM: u32 = 1u;

override BY_ROW_WEIGHT: bool = false;

@compute @workgroup_size(WORKGROUP)
fn row_divisor(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + lane;
    if index >= params.rows {
        return;
    }
    let row = begin_row(index);
    var share = 0.0;
    if row.state == KEPT {
        share = 1.0;
        if BY_ROW_WEIGHT && HAS_WEIGHT {
            share = bitcast<f32>(weights[index]);
        } else if HAS_CLASS_WEIGHT && HAS_LABELS {
            share = class_weight(row.label);
        }
    }
    values[params.first_row + index] = share;
}
