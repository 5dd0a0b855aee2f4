// Marks the correctly predicted rows of a batch: 1 or 0 for each, behind the partial sums of the
// loss.
//
// With several columns the prediction is the argmax, the first of equals; with one column, whether
// it is above THRESHOLD.

struct Params {
    rows: u32,
    columns: u32,
    offset: u32, // index in `parts` of the first row's result
    ignored_count: u32,
    ignored: array<vec4<i32>, 4>, // labels whose rows are ignored
}

override WORKGROUP: u32 = 64u;
override HAS_LABELS: bool = false;
override THRESHOLD: f32 = 0.0;
override TRUTH_THRESHOLD: f32 = 0.0;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> predictions: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn correct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    var predicted = 0u;
    var truth = 0u;
    if params.columns == 1u {
        predicted = u32(predictions[first] > THRESHOLD);
        truth = u32(bitcast<f32>(targets[first]) > TRUTH_THRESHOLD);
    }
    for (var k = 1u; k < params.columns; k += 1u) {
        if predictions[first + k] > predictions[first + predicted] {
            predicted = k;
        }
        if !HAS_LABELS && bitcast<f32>(targets[first + k]) > bitcast<f32>(targets[first + truth]) {
            truth = k;
        }
    }
    var counts = true;
    if HAS_LABELS {
        truth = targets[row];
        for (var i = 0u; i < params.ignored_count; i += 1u) {
            counts = counts && params.ignored[i / 4u][i % 4u] != bitcast<i32>(truth);
        }
    }
    parts[params.offset + row] = select(0.0, 1.0, counts && predicted == truth);
}
