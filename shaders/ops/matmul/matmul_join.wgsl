// Final step of a split-k product: adds the partial products in order, then applies the epilogue.
// One number per thread. Linked with matmul_params, an epilogue and, if that calls one,
// activation_scalar and an activation.

override WORKGROUP: u32 = 64u;

// One stored element is one number.
alias Element = f32;

@group(0) @binding(1) var<storage, read> parts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn matmul_join(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let size = params.m * params.n;
    if place >= size {
        return;
    }
    let last = (params.k - 1u) / params.part_k;
    var sum = 0.0;
    // Four loads are in flight at once; the order of summation does not depend on it.
    for (var part = 0u; part <= last; part += 4u) {
        let first = parts[part * size + place];
        let second = parts[min(part + 1u, last) * size + place];
        let third = parts[min(part + 2u, last) * size + place];
        let fourth = parts[min(part + 3u, last) * size + place];
        sum += first;
        sum += select(0.0, second, part + 1u <= last);
        sum += select(0.0, third, part + 2u <= last);
        sum += select(0.0, fourth, part + 3u <= last);
    }
    epilogue(place, place % params.n, params.output_offset, params.bias_offset, sum);
}
