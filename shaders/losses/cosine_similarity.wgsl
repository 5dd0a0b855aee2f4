// Cosine distance: 1 - cos, cos = x·y/(|x| |y|), each length at least EPSILON. The derivative of a
// length is x/|x| also below EPSILON, and 0 at 0, as in PyTorch.
override COSINE_SIMILARITY_EPSILON: f32 = 1e-8;

fn cosine_similarity_is_scaled() -> bool {
    return false;
}

fn cosine_similarity_leaves_range(sums: vec3<f32>) -> bool {
    return is_too_large(sums.y) || is_too_large(sums.z) || is_too_small(sums.y) || is_too_small(sums.z);
}

fn cosine_similarity_peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    let none = vec4<f32>();
    return vec3<f32>(most(select(none, abs(cells.first), kept)), most(select(none, abs(cells.second), kept)), 0.0);
}

fn cosine_similarity_fold(scales: vec3<f32>, cells: Cells) -> Sums {
    let first = scales.x * cells.first;
    let second = scales.y * cells.second;
    return Sums(first * second, first * first, second * second);
}

// Chain factors of the product x·y, and of the first and the second vector. The lengths stay
// separate: the product of two small ones may underflow f32.
fn cosine_similarity_finish(scales: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let lengths = sqrt(sums.yz);
    let divisors = max(lengths, scales.xy * COSINE_SIMILARITY_EPSILON);
    // Two divisions: the product of two lengths may overflow or underflow f32.
    let cosine = sums.x / divisors.x / divisors.y;
    let own = select(vec2<f32>(), cosine / lengths, lengths > vec2<f32>());
    return Outcome(1.0 - cosine, vec4<f32>(1.0 / divisors, own));
}

fn cosine_similarity_gradients(outcome: Outcome, scales: vec3<f32>, cells: Cells) -> Cells {
    let f = outcome.factors;
    let first = scales.x * cells.first;
    let second = scales.y * cells.second;
    return Cells(
        scales.x * f.x * (f.z * first - f.y * second),
        scales.y * f.y * (f.w * second - f.x * first),
        vec4<f32>(),
    );
}
