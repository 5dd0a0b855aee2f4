// Inputs of a pointwise loss in f16, two per word and four per vector. Linked with lib/half.

@group(0) @binding(1) var<storage, read> predictions: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> gradients: array<vec2<u32>>;

fn predictions_of(i: u32) -> vec4<f32> {
    if IN_PLACE {
        return widened(gradients[i]);
    }
    return widened(predictions[i]);
}

fn truths_of(i: u32) -> vec4<f32> {
    return widened(targets[i]);
}

fn write_gradients(i: u32, d_predictions: vec4<f32>) {
    gradients[i] = narrowed(d_predictions);
}
