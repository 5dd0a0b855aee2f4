// Inputs of a pointwise loss in f32, four per vector.

@group(0) @binding(1) var<storage, read> predictions: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> gradients: array<vec4<f32>>;

fn predictions_of(i: u32) -> vec4<f32> {
    if IN_PLACE {
        return gradients[i];
    }
    return predictions[i];
}

fn truths_of(i: u32) -> vec4<f32> {
    return targets[i];
}

fn write_gradients(i: u32, d_predictions: vec4<f32>) {
    gradients[i] = d_predictions;
}
