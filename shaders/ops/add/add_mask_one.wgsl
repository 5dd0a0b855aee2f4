// Writes the gradient of add_mask for one input.

@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn add_mask_one(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.vectors {
        gradients[i] = masked(i);
    }
}
