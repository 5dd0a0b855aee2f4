// Joins the partial sums of templates/optimizer/tensor_norms. With FACTORS it writes the factor
// that limits each tensor's gradient norm to params.limit, after the factor of the global norm.
// Otherwise it writes the norms of each tensor's parameters and direction. One thread per tensor.
// Linked with templates/optimizer/optimizer_step, templates/optimizer/optimizer_params and
// templates/optimizer/clip.

override WORKGROUP: u32 = 64u;
override FACTORS: bool = false;
const BLOCKS: u32 = 64u;

@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> joined: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn tensor_norms_join(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let tensor = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if tensor >= params.spans {
        return;
    }
    var total = vec4<f32>();
    for (var block = 0u; block < BLOCKS; block += 1u) {
        total += partials[tensor * BLOCKS + block];
    }
    if FACTORS {
        joined[1u + tensor] = clip_factor(total.yz, params.limit, 0.0);
    } else {
        joined[2u * tensor] = sqrt(total.x);
        joined[2u * tensor + 1u] = norm_of(total.yz);
    }
}
