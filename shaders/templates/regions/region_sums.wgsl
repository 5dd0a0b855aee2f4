// Sums over a region, probabilities p and truths t: (sum of p t, sum of p (1 - t) + t (1 - p), sum of
// t, 1 where a number is NaN). Linked with templates/regions/regions, lib/lanes and lib/numbers.

@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn region_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let region = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if region >= params.batch * params.classes {
        return;
    }
    let first = region * params.places;
    var found = RunningSum();
    var apart = RunningSum();
    var total = RunningSum();
    var has_nan = 0.0;
    for (var place = local_index; place < params.places; place += WORKGROUP) {
        let p = predictions[first + place];
        let t = targets[first + place];
        add_to(&found, p * t);
        add_to(&apart, p * (1.0 - t) + t * (1.0 - p));
        add_to(&total, t);
        has_nan = select(has_nan, 1.0, is_nan(p) || is_nan(t));
    }
    let all = vec4<f32>(
        sum_of(total_of(found), local_index),
        sum_of(total_of(apart), local_index),
        sum_of(total_of(total), local_index),
        largest_of(has_nan, local_index),
    );
    if local_index == 0u {
        sums[region] = all;
    }
}
