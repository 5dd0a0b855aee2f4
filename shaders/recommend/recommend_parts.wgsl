// Features of entities: `parts` holds where each entity's features begin, and the end,
// [entities + 1], then the features and then the bits of their weights, `entries` of each.

override WORKGROUP: u32 = 64u;

struct Params {
    entities: u32,
    entries: u32,
    cells: u32, // vectors of four in a row
    hits: u32,  // some may name no entity
    most: u32,  // most features of one entity
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<u32>;

fn feature_at(entry: u32) -> u32 {
    return parts[params.entities + 1u + entry];
}

fn weight_at(entry: u32) -> f32 {
    return bitcast<f32>(parts[params.entities + 1u + params.entries + entry]);
}
