// Writes the gradient of add_mask for two inputs.

@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> others: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn add_mask_two(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.vectors {
        let gradient = masked(i);
        gradients[i] = gradient;
        others[i] = gradient;
    }
}
