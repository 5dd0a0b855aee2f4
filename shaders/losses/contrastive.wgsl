// Contrastive loss: d^2 for a similar pair (t = 1), [MARGIN - d]+^2 for a dissimilar one (t = 0),
// d = |x - y + EPSILON|.
override CONTRASTIVE_MARGIN: f32 = 1.0;
override CONTRASTIVE_EPSILON: f32 = 1e-6;

fn contrastive_is_scaled() -> bool {
    return false;
}

fn contrastive_leaves_range(sums: vec3<f32>) -> bool {
    return is_too_large(sums.x) || is_too_small(sums.x);
}

fn contrastive_gap_of(cells: Cells) -> vec4<f32> {
    return (cells.first - cells.second) + unknown(CONTRASTIVE_EPSILON);
}

fn contrastive_peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    return vec3<f32>(most(select(vec4<f32>(), abs(contrastive_gap_of(cells)), kept)), 0.0, 0.0);
}

fn contrastive_fold(scales: vec3<f32>, cells: Cells) -> Sums {
    let gap = scales.x * contrastive_gap_of(cells);
    return Sums(gap * gap, vec4<f32>(), vec4<f32>());
}

// Factors of the difference and of the scaled difference.
fn contrastive_finish(scales: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let scaled = sqrt(sums.x);
    let short = max(CONTRASTIVE_MARGIN - scaled / scales.x, 0.0);
    let apart = 1.0 - truth;
    let repulsion = select(0.0, short / scaled, scaled > 0.0);
    // For a dissimilar pair the squared distance, which may overflow, does not enter the value.
    let similar = select(truth * (sums.x / scales.x / scales.x), 0.0, truth == 0.0);
    return Outcome(similar + apart * short * short, vec4<f32>(2.0 * truth, 2.0 * (apart * repulsion), 0.0, 0.0));
}

fn contrastive_gradients(outcome: Outcome, scales: vec3<f32>, cells: Cells) -> Cells {
    let gap = contrastive_gap_of(cells);
    let f = outcome.factors;
    // An overflowing difference has derivative 0 where its factor is 0.
    let gradient = select(f.x * gap, vec4<f32>(), f.x == 0.0) - select(f.y * (scales.x * gap), vec4<f32>(), f.y == 0.0);
    return Cells(gradient, -gradient, vec4<f32>());
}
