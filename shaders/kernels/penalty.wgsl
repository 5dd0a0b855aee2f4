// Regularisation R(w) = l1 |w| + l2 w^2 by segments of the flat parameters (no 1/2 before l2, as Keras). Linked with
// a frame whose `params.segments` counts the segments that cover the parameters, 0 where nothing is regularised.

// Consecutive parameters with the same regularisation, a layer's weights for one; they end before `end`.
struct Segment {
    end: u32,
    l1: f32,
    l2: f32,
    reserved: u32,
}

@group(0) @binding(1) var<storage, read> segments: array<Segment>;

// dR/dw of one parameter: the first segment that ends behind the index is its own.
fn regularization(index: u32, parameter: f32) -> f32 {
    if params.segments == 0u {
        return 0.0;
    }
    var low = 0u;
    var high = params.segments - 1u;
    while low < high {
        let middle = (low + high) / 2u;
        if segments[middle].end <= index {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return segments[low].l1 * sign(parameter) + 2.0 * segments[low].l2 * parameter;
}
