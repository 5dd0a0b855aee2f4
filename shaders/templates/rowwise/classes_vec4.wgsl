// Groups of four cells of rows whose length is a multiple of four, and their class weights and
// masks. Linked with templates/rowwise/cells_vec4 and templates/rowwise/cells_half.

@group(0) @binding(3) var<storage, read> class_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> class_mask: array<vec4<u32>>;

fn columns_of(row: Row, group: u32, local_index: u32) -> vec4<u32> {
    return 4u * (group * THREADS_PER_ROW + local_index) + vec4<u32>(0u, 1u, 2u, 3u);
}

// True if any cell of a group is inside the row.
fn reaches(columns: vec4<u32>) -> bool {
    return columns.x < row_length();
}

// If the first is inside the row, so are the next three.
fn inside_of(columns: vec4<u32>) -> vec4<bool> {
    return vec4<bool>(true);
}

fn is_label_of(row: Row, columns: vec4<u32>) -> vec4<bool> {
    return vec4<u32>(row.label - columns.x) == vec4<u32>(0u, 1u, 2u, 3u);
}

fn class_weights_of(columns: vec4<u32>) -> vec4<f32> {
    return class_weights[columns.x / 4u];
}

fn pos_weights_of(columns: vec4<u32>) -> vec4<f32> {
    return class_weights[(row_length() + columns.x) / 4u];
}

fn class_mask_of(first: u32, columns: vec4<u32>) -> vec4<bool> {
    return class_mask[(first + columns.x) / 4u] != vec4<u32>();
}

fn class_weight_at(column: u32) -> f32 {
    return class_weights[column / 4u][column % 4u];
}

fn class_mask_at(index: u32) -> u32 {
    return class_mask[index / 4u][index % 4u];
}
