// Softmax of each row, in place: y = e^(x - max) / sum. Linked with lib/numbers. One thread per
// row.

struct Params {
    rows: u32,
    columns: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> outputs: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn softmax_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let end = first + params.columns;
    var maximum = LOWEST;
    // The maximum hides NaN, and a driver's exp may too, so NaN is tracked separately.
    var nan_value = 0.0;
    for (var i = first; i < end; i += 1u) {
        let x = outputs[i];
        maximum = max(maximum, x);
        nan_value = select(nan_value, x, is_nan(x));
    }
    var sum = 0.0;
    for (var i = first; i < end; i += 1u) {
        let e = exp(outputs[i] - maximum);
        outputs[i] = e;
        sum += e;
    }
    for (var i = first; i < end; i += 1u) {
        outputs[i] = select(outputs[i] / sum, nan_value, is_nan(nan_value));
    }
}
