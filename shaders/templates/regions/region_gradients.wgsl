// Value of an item and gradient of a region of it, from the sums over its regions:
//
//     w       = weight(sum of t) of each region; where there is no t the largest of the others
//     outcome = finish(sum of w found, sum of w apart): the value, and the derivatives where t is 0
//               and where it is 1, both by w
//
// Requires from shaders/losses/*.wgsl, through an adaptor, `weight` and `finish`. Linked with
// templates/regions/regions, lib/lanes and lib/numbers.

override HAS_WEIGHT: bool = false;
override REDUCTION_NONE: bool = false;

@group(0) @binding(3) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> upstreams: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;

// The weight of a region; 0 without a t.
fn own_weight(region: u32) -> f32 {
    let total = sums[region].z;
    return select(0.0, weight(max(total, 1e-18)), total > 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn region_gradients(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let region = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if region >= params.batch * params.classes {
        return;
    }
    let item = region / params.classes;
    let begin = item * params.classes;
    var factor = params.factor;
    var counts = true;
    if HAS_WEIGHT {
        let bits = weights[item];
        counts = bits != MASKED;
        factor *= bitcast<f32>(bits);
    }
    var scale = factor * params.upstream;
    if REDUCTION_NONE {
        scale *= upstreams[item];
    }
    var largest = 0.0;
    var has_nan = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        largest = max(largest, own_weight(begin + c));
        has_nan = max(has_nan, sums[begin + c].w);
    }
    largest = largest_of(largest, local_index);
    has_nan = largest_of(has_nan, local_index);
    var found = 0.0;
    var apart = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        let all = sums[begin + c];
        let w = select(largest, own_weight(begin + c), all.z > 0.0);
        found += w * all.x;
        apart += w * all.y;
    }
    found = sum_of(found, local_index);
    apart = sum_of(apart, local_index);
    let outcome = finish(found, apart);
    let own = scale * select(largest, own_weight(region), sums[region].z > 0.0);
    let nan = not_a_number(largest);
    let first = region * params.places;
    for (var place = local_index; place < params.places; place += WORKGROUP) {
        let t = targets[first + place];
        let derivative = own * ((1.0 - t) * outcome.y + t * outcome.z);
        gradients[first + place] = select(0.0, select(derivative, nan, has_nan > 0.0), counts);
    }
    if local_index == 0u && region == begin {
        values[item] = select(0.0, select(factor * outcome.x, nan, has_nan > 0.0), counts);
    }
}
