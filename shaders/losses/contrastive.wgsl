// Contrastive loss: d^2 where the two are alike (t = 1), [MARGIN - d]+^2 where they are not (t = 0), d = |x - y + EPSILON|.
override MARGIN: f32 = 1.0;
override EPSILON: f32 = 1e-6;

fn peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32> {
    return vec3<f32>();
}

fn fold(peaks: vec3<f32>, cells: Cells) -> Sums {
    let gap = (cells.first - cells.second) + EPSILON;
    return Sums(gap * gap, vec4<f32>(), vec4<f32>());
}

// The factor of the gap.
fn finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome {
    let distance = sqrt(sums.x);
    let short = max(MARGIN - distance, 0.0);
    let apart = 1.0 - truth;
    let push = select(0.0, short / distance, distance > 0.0);
    return Outcome(truth * sums.x + apart * short * short, vec3<f32>(2.0 * (truth - apart * push), 0.0, 0.0));
}

fn slopes(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells {
    let slope = outcome.factors.x * ((cells.first - cells.second) + EPSILON);
    return Cells(slope, -slope, vec4<f32>());
}
