// y = x above 0, a x below and at 0. Linked with ops/prelu/prelu and ops/prelu/prelu_factor.

@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn prelu_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.length {
        outputs[i] = factor(i) * inputs[i];
    }
}
