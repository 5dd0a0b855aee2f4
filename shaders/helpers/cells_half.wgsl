// Rows in f16 whose length is a multiple of four: one load of two words for four cells. Linked with helpers/half.

@group(0) @binding(1) var<storage, read> logits: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> class_weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> class_mask: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> gradients: array<vec2<u32>>;

fn columns_of(row: Row, group: u32, lane: u32) -> vec4<u32> {
    return 4u * (group * TEAM + lane) + vec4<u32>(0u, 1u, 2u, 3u);
}

// Whether any cell of a group is inside the row.
fn reaches(columns: vec4<u32>) -> bool {
    return columns.x < row_length();
}

// Where the first is inside the row, so are its three neighbours.
fn inside_of(columns: vec4<u32>) -> vec4<bool> {
    return vec4<bool>(true);
}

fn logits_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    let index = (row.first + columns.x) / 4u;
    if IN_PLACE {
        return widened(gradients[index]);
    }
    return widened(logits[index]);
}

fn truths_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    if HAS_LABELS {
        return vec4<f32>();
    }
    return widened(targets[(row.first + columns.x) / 4u]);
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

fn write_gradients(row: Row, columns: vec4<u32>, slopes: vec4<f32>) {
    gradients[(row.first + columns.x) / 4u] = narrowed(slopes);
}

fn logit_at(index: u32) -> f32 {
    if IN_PLACE {
        return widened(gradients[index / 4u])[index % 4u];
    }
    return widened(logits[index / 4u])[index % 4u];
}

fn label_of(row: u32) -> i32 {
    return bitcast<i32>(targets[row / 2u][row % 2u]);
}

fn class_weight_at(column: u32) -> f32 {
    return class_weights[column / 4u][column % 4u];
}

fn class_mask_at(index: u32) -> u32 {
    return class_mask[index / 4u][index % 4u];
}
