// Normalizer term of each row of a similarity loss, from labels on the device: 0 without the
// required candidates, else 1 or the number of rows that share its label. Each thread processes one
// row and loops over all labels.

struct Params {
    rows: u32,
    needs_positives: u32,
    needs_negatives: u32,
    per_positive: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> normalizers: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn similarity_shares(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    let label = labels[row];
    var alike = 0u;
    for (var column = 0u; column < params.rows; column += 1u) {
        alike += select(0u, 1u, labels[column] == label);
    }
    let positives = alike - 1u;
    let negatives = params.rows - alike;
    var normalizer = select(1.0, f32(positives), params.per_positive != 0u);
    if (params.needs_positives != 0u && positives == 0u) || (params.needs_negatives != 0u && negatives == 0u) {
        normalizer = 0.0;
    }
    normalizers[row] = normalizer;
}
