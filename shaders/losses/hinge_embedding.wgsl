// Hinge embedding of a distance x: x for y = +1, [MARGIN - x]+ for y = -1; derivative 1, or -1 up
// to the margin and at it. With LABELS_ZERO_ONE a label of 0 means -1; either way every label not
// above 0 is a dissimilar pair.
override HINGE_EMBEDDING_MARGIN: f32 = 1.0;
override HINGE_EMBEDDING_LABELS_ZERO_ONE: bool = false;

fn hinge_embedding_loss(prediction: f32, truth: f32) -> Loss {
    let rest = HINGE_EMBEDDING_MARGIN - prediction;
    if truth > 0.0 {
        return Loss(prediction, 1.0);
    }
    return Loss(max(rest, 0.0), select(0.0, -1.0, rest >= 0.0));
}
