// Scores and targets of lists in f32.

@group(0) @binding(1) var<storage, read> predictions: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradients: array<f32>;

fn score_at(place: u32) -> f32 {
    if IN_PLACE {
        return gradients[place];
    }
    return predictions[place];
}

fn truth_at(place: u32) -> f32 {
    return targets[place];
}
