// Weights and bias of a convolution with the batch norm behind it folded in: w' = w s and
// b' = (b - mean) s + beta of each filter, with s = gamma / sqrt(var + epsilon). A thread per number.

struct Params {
    weights: u32,      // numbers of the weights; those of the bias follow
    filters: u32,
    weight: u32,       // offsets in the parameters
    bias: u32,
    gamma: u32,
    beta: u32,
    mean: u32,         // offsets in the running statistics
    var_start: u32,
    has_bias: u32,
    is_affine: u32,
    epsilon: f32,
    reserved: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read_write> folded: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn conv2d_fold(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if place >= params.weights + params.filters {
        return;
    }
    let filter_number = place % params.filters;
    var scale = 1.0 / sqrt(statistics[params.var_start + filter_number] + params.epsilon);
    if params.is_affine != 0u {
        scale *= parameters[params.gamma + filter_number];
    }
    if place < params.weights {
        folded[place] = parameters[params.weight + place] * scale;
        return;
    }
    var sum = -statistics[params.mean + filter_number];
    if params.has_bias != 0u {
        sum += parameters[params.bias + filter_number];
    }
    sum *= scale;
    if params.is_affine != 0u {
        sum += parameters[params.beta + filter_number];
    }
    folded[place] = sum;
}
