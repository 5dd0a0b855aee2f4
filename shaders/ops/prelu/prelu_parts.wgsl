// Partial sums of the gradient of prelu's weight: dL/da = sum of x dL/dy where x is not above 0.
//
//     parts[s * channels + c] = that sum over the rows of slab s, in order
//
// Linked with ops/prelu/prelu. One thread per slab and channel.

@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn prelu_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let slab = params.slab * params.channels;
    let begin = index / params.channels * slab;
    if begin >= params.length {
        return;
    }
    let end = min(begin + slab, params.length);
    var sum = 0.0;
    for (var i = begin + index % params.channels; i < end; i += params.channels) {
        let x = inputs[i];
        sum += select(x * gradients[i], 0.0, x > 0.0);
    }
    parts[index] = sum;
}
