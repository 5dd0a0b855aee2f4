// Updates of entities that are sums of features: place MOST h + s is feature number s of the entity
// of update h; it gets the gradient times its weight, `feature_weights`, from
// recommend/recommend_share.

override MOST: u32 = 1u; // most features of one entity

@group(0) @binding(6) var<storage, read> feature_weights: array<f32>;

fn places_of(hits: u32) -> u32 {
    return hits * MOST;
}

fn hit_at(place: u32) -> u32 {
    return place / MOST;
}

fn share_at(place: u32) -> f32 {
    return feature_weights[place];
}
