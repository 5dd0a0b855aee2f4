// Cosine embedding: 1 - cos for a similar pair (y = 1), else [cos - MARGIN]+, with 1e-12 added to
// both squared lengths. At the margin the gradient is that of the active side, as in PyTorch.
override COSINE_EMBEDDING_MARGIN: f32 = 0.0;

fn cosine_embedding_is_scaled() -> bool {
    return false;
}

fn cosine_embedding_leaves_range(sums: vec3<f32>) -> bool {
    // Small squares need no rescaling: they vanish beside the added 1e-12.
    return is_too_large(sums.y) || is_too_large(sums.z);
}

fn cosine_embedding_peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    // At least 1: the scales are for large numbers only; rescaling a small side beside a large one
    // would make the 1e-12 overflow f32.
    let one = vec4<f32>(1.0);
    return vec3<f32>(
        most(select(one, max(abs(cells.first), one), kept)),
        most(select(one, max(abs(cells.second), one), kept)),
        0.0,
    );
}

fn cosine_embedding_fold(scales: vec3<f32>, cells: Cells) -> Sums {
    let first = scales.x * cells.first;
    let second = scales.y * cells.second;
    return Sums(first * second, first * first, second * second);
}

// Chain factors of the product x·y, and of the first and the second vector.
fn cosine_embedding_finish(scales: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let squares = sums.yz + scales.xy * (scales.xy * 1e-12);
    let lengths = sqrt(squares);
    let cosine = sums.x / lengths.x / lengths.y;
    let alike = truth > 0.0;
    let gradient = select(select(0.0, 1.0, cosine >= COSINE_EMBEDDING_MARGIN), -1.0, alike);
    let value = select(max(cosine - COSINE_EMBEDDING_MARGIN, 0.0), 1.0 - cosine, alike);
    return Outcome(value, vec4<f32>(gradient / lengths.x, 1.0 / lengths.y, cosine / lengths.x, gradient * cosine / lengths.y));
}

fn cosine_embedding_gradients(outcome: Outcome, scales: vec3<f32>, cells: Cells) -> Cells {
    let f = outcome.factors;
    let first = scales.x * cells.first;
    let second = scales.y * cells.second;
    return Cells(
        scales.x * f.x * (f.y * second - f.z * first),
        scales.y * f.y * (f.x * first - f.w * second),
        vec4<f32>(),
    );
}
