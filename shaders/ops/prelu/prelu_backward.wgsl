// dL/dx = dL/dy above 0, a dL/dy below and at 0, in place. Linked with ops/prelu/prelu and
// ops/prelu/prelu_factor.

@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn prelu_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.length {
        gradients[i] *= factor(i);
    }
}
