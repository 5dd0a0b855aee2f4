// Scores and targets of lists in f16, two per word.

@group(0) @binding(1) var<storage, read> predictions: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> gradients: array<u32>;

fn score_at(place: u32) -> f32 {
    if IN_PLACE {
        return unpack2x16float(gradients[place / 2u])[place % 2u];
    }
    return unpack2x16float(predictions[place / 2u])[place % 2u];
}

fn truth_at(place: u32) -> f32 {
    return unpack2x16float(targets[place / 2u])[place % 2u];
}
