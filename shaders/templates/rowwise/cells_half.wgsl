// f16 rows whose length is a multiple of four: one load of two words per four cells. Linked with
// lib/half.

@group(0) @binding(1) var<storage, read> logits: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read_write> gradients: array<vec2<u32>>;

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

fn write_gradients(row: Row, columns: vec4<u32>, d_logits: vec4<f32>) {
    gradients[(row.first + columns.x) / 4u] = narrowed(d_logits);
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
