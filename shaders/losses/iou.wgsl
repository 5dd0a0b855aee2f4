// IoU of two boxes: 1 - I/(U + e), I the area of the intersection, U of the union, e = EPSILON.
override IOU_EPSILON: f32 = 1e-7;

fn iou_loss(pair: BoxPair) -> BoxTerms {
    let joined = pair.joined + pair.epsilon;
    let ratio = pair.overlap / joined;
    return BoxTerms(1.0 - ratio, -1.0 / joined, ratio / joined, vec2<f32>(), vec2<f32>(), vec2<f32>());
}
