// Rows whose length is a multiple of four: adjacent cells in one vector, one load per four cells.

@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> gradients: array<vec4<f32>>;

fn logits_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    let index = (row.first + columns.x) / 4u;
    if IN_PLACE {
        return gradients[index];
    }
    return logits[index];
}

fn truths_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    if HAS_LABELS {
        return vec4<f32>();
    }
    return bitcast<vec4<f32>>(targets[(row.first + columns.x) / 4u]);
}

fn write_gradients(row: Row, columns: vec4<u32>, d_logits: vec4<f32>) {
    gradients[(row.first + columns.x) / 4u] = d_logits;
}

fn logit_at(index: u32) -> f32 {
    if IN_PLACE {
        return gradients[index / 4u][index % 4u];
    }
    return logits[index / 4u][index % 4u];
}

fn label_of(row: u32) -> i32 {
    return bitcast<i32>(targets[row / 4u][row % 4u]);
}
