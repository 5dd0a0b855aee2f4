// Class weights and masks of rows of any length, one class at a time. Linked with
// templates/rowwise/cells_scalar and templates/rowwise/cells_half_any.

@group(0) @binding(3) var<storage, read> class_weights: array<f32>;
@group(0) @binding(4) var<storage, read> class_mask: array<u32>;

fn is_label_of(row: Row, columns: vec4<u32>) -> vec4<bool> {
    return columns == vec4<u32>(row.label);
}

fn class_weights_of(columns: vec4<u32>) -> vec4<f32> {
    return column_weights_from(0u, columns);
}

fn pos_weights_of(columns: vec4<u32>) -> vec4<f32> {
    return column_weights_from(row_length(), columns);
}

fn column_weights_from(first: u32, columns: vec4<u32>) -> vec4<f32> {
    var found = vec4<f32>();
    for (var k = 0u; k < 4u; k += 1u) {
        if columns[k] < row_length() {
            found[k] = class_weights[first + columns[k]];
        }
    }
    return found;
}

fn class_mask_of(first: u32, columns: vec4<u32>) -> vec4<bool> {
    var found = vec4<bool>();
    for (var k = 0u; k < 4u; k += 1u) {
        if columns[k] < row_length() {
            found[k] = class_mask[first + columns[k]] != 0u;
        }
    }
    return found;
}

fn class_weight_at(column: u32) -> f32 {
    return class_weights[column];
}

fn class_mask_at(index: u32) -> u32 {
    return class_mask[index];
}
