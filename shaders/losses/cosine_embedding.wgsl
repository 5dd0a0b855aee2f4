// Cosine embedding: 1 - cos where the two shall be alike (y = 1), else [cos - MARGIN]+, with 1e-12 added to both squared lengths.
// The gradient passes at the margin, as in PyTorch.
override MARGIN: f32 = 0.0;

fn peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    return vec3<f32>();
}

fn fold(peaks: vec3<f32>, cells: Cells) -> Sums {
    return Sums(cells.first * cells.second, cells.first * cells.first, cells.second * cells.second);
}

// The factors: of the other vector, of the first and of the second itself.
fn finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let squares = sums.yz + 1e-12;
    let lengths = sqrt(squares);
    let cosine = sums.x / lengths.x / lengths.y;
    let alike = truth > 0.0;
    let slope = select(select(0.0, 1.0, cosine >= MARGIN), -1.0, alike);
    let value = select(max(cosine - MARGIN, 0.0), 1.0 - cosine, alike);
    return Outcome(value, slope * vec3<f32>(1.0 / lengths.x / lengths.y, -cosine / squares));
}

fn slopes(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells {
    let f = outcome.factors;
    return Cells(f.x * cells.second + f.y * cells.first, f.x * cells.first + f.z * cells.second, vec4<f32>());
}
