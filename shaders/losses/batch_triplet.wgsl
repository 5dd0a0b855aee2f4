// Triplets mined in the batch: distances of unit vectors, d^2 = 2 - 2 s with s their dot product.
override BATCH_TRIPLET_MARGIN: f32 = 0.3;
override BATCH_TRIPLET_SEMI_HARD: bool = false;

fn batch_triplet_distance(score: f32) -> f32 {
    return sqrt(max(2.0 - 2.0 * score, 0.0));
}
