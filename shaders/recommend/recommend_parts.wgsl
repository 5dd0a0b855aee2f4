// The features of entities: `parts` is where each entity's begin, and the end, [entities + 1], then the features and then the bits of
// their weights, `entries` of each.

override WORKGROUP: u32 = 64u;

struct Params {
    entities: u32,
    entries: u32,
    cells: u32, // vectors of four in a row
    hits: u32,  // that may be of no entity
    most: u32,  // features of an entity
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
