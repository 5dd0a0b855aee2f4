// Hinge embedding of a distance x: x for y = +1, [MARGIN - x]+ for y = -1; derivative 1, or -1 up to the margin and at it.
// LABELS_ZERO_ONE says that 0 stands for -1: whatever is not above 0 is apart either way.
override HINGE_EMBEDDING_MARGIN: f32 = 1.0;
override HINGE_EMBEDDING_LABELS_ZERO_ONE: bool = false;

fn hinge_embedding_loss(prediction: f32, truth: f32) -> Loss {
    let rest = HINGE_EMBEDDING_MARGIN - prediction;
    if truth > 0.0 {
        return Loss(prediction, 1.0);
    }
    return Loss(max(rest, 0.0), select(0.0, -1.0, rest >= 0.0));
}
