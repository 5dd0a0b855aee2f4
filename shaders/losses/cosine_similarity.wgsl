// Cosine distance: 1 - cos, cos = x·y/(|x| |y|), each length at least EPSILON. The derivative of a length is x/|x| below EPSILON
// too, and 0 at 0, as in PyTorch.
override EPSILON: f32 = 1e-8;

fn peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    return vec3<f32>();
}

fn fold(peaks: vec3<f32>, cells: Cells) -> Sums {
    return Sums(cells.first * cells.second, cells.first * cells.first, cells.second * cells.second);
}

// The factors: of the other vector, of the first and of the second itself.
fn finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let lengths = sqrt(sums.yz);
    let divisors = max(lengths, vec2<f32>(EPSILON));
    // One division after the other: the product of two lengths may leave f32.
    let cosine = sums.x / divisors.x / divisors.y;
    let own = select(vec2<f32>(), cosine / divisors / lengths, lengths > vec2<f32>());
    return Outcome(1.0 - cosine, vec3<f32>(-1.0 / divisors.x / divisors.y, own));
}

fn slopes(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells {
    let f = outcome.factors;
    return Cells(f.x * cells.second + f.y * cells.first, f.x * cells.first + f.z * cells.second, vec4<f32>());
}
