// Rows of any length, cell by cell. The four cells of a group are THREADS_PER_ROW apart, so that
// adjacent threads of a row group read adjacent memory; a single thread reads four adjacent cells.

@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>;

fn columns_of(row: Row, group: u32, local_index: u32) -> vec4<u32> {
    return (4u * group + vec4<u32>(0u, 1u, 2u, 3u)) * THREADS_PER_ROW + local_index;
}

// True if any cell of a group is inside the row.
fn reaches(columns: vec4<u32>) -> bool {
    return columns.x < row_length();
}

fn inside_of(columns: vec4<u32>) -> vec4<bool> {
    return columns < vec4<u32>(row_length());
}

fn logits_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    var found = vec4<f32>();
    for (var k = 0u; k < 4u; k += 1u) {
        if columns[k] < row_length() {
            found[k] = logit_at(row.first + columns[k]);
        }
    }
    return found;
}

fn truths_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    var found = vec4<f32>();
    if !HAS_LABELS {
        for (var k = 0u; k < 4u; k += 1u) {
            if columns[k] < row_length() {
                found[k] = bitcast<f32>(targets[row.first + columns[k]]);
            }
        }
    }
    return found;
}

fn write_gradients(row: Row, columns: vec4<u32>, d_logits: vec4<f32>) {
    for (var k = 0u; k < 4u; k += 1u) {
        if columns[k] < row_length() {
            gradients[row.first + columns[k]] = d_logits[k];
        }
    }
}

fn logit_at(index: u32) -> f32 {
    if IN_PLACE {
        return gradients[index];
    }
    return logits[index];
}

fn label_of(row: u32) -> i32 {
    return bitcast<i32>(targets[row]);
}
