// Triplets mined in the batch: distances of unit vectors, d^2 = 2 - 2 s of their product s.
override MARGIN: f32 = 0.3;
override SEMI_HARD: bool = false;

fn distance(score: f32) -> f32 {
    return sqrt(max(2.0 - 2.0 * score, 0.0));
}
