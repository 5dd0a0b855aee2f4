// Expands updates of entities into updates of their features: for slot s of update h
//
//     rows[most h + s] = the entity's feature s,  feature_weights[most h + s] = its weight
//
// A slot behind the entity's last feature, and every slot of an update without an entity, updates
// nothing. One thread per slot. Linked with recommend/recommend_parts.

const NONE: u32 = 0xffffffffu;

@group(0) @binding(2) var<storage, read> hits: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;
@group(0) @binding(4) var<storage, read_write> feature_weights: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn share(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if place >= params.hits * params.most {
        return;
    }
    let entity = hits[place / params.most];
    var row = NONE;
    var weight = 0.0;
    if entity < params.entities {
        let entry = parts[entity] + place % params.most;
        if entry < parts[entity + 1u] {
            row = feature_at(entry);
            weight = weight_at(entry);
        }
    }
    rows[place] = row;
    feature_weights[place] = weight;
}
