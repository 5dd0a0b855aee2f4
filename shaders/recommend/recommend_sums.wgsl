// Entities as sums of their features: entities[e] = sum of weight * features[f] over the entity's
// features in order, the bias like a component. One thread per vector of four. Linked with
// recommend/recommend_parts.

@group(0) @binding(2) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> entities: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn add_up(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let entity = index / params.cells;
    if entity >= params.entities {
        return;
    }
    var sum = vec4<f32>();
    for (var entry = parts[entity]; entry < parts[entity + 1u]; entry++) {
        sum += weight_at(entry) * features[feature_at(entry) * params.cells + index % params.cells];
    }
    entities[index] = sum;
}
