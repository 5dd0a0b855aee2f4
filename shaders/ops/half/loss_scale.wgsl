// The loss scale behind a step: halved if the gradient was not finite, doubled after a number of
// finite steps. Linked with lib/numbers. The CPU implementation is `nn::loss_scale`.

struct Params {
    growth_interval: f32,
    least: f32,
    most: f32,
    reserved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// The factor of the gradient's norm: NaN if that is not finite.
@group(0) @binding(1) var<storage, read> clip: array<f32>;
// The scale, 1 / scale, and the finite steps since it changed.
@group(0) @binding(2) var<storage, read_write> loss_scale: array<f32>;

@compute @workgroup_size(1)
fn update_loss_scale() {
    var scale = loss_scale[0];
    var steps = loss_scale[2] + 1.0;
    if is_nan(clip[0]) {
        scale = max(scale * 0.5, params.least);
        steps = 0.0;
    } else if steps >= params.growth_interval {
        scale = min(scale * 2.0, params.most);
        steps = 0.0;
    }
    loss_scale[0] = scale;
    // 1 / scale of a power of two, by its exponent: a division may be off by some ulp.
    loss_scale[1] = bitcast<f32>(0x7f000000u - bitcast<u32>(scale));
    loss_scale[2] = steps;
}
