// Complete IoU: distance IoU + a v, v = 4/pi^2 (atan(w'/h') - atan(w/h))^2 with w, h the sides of
// the predicted box, w', h' of the true one; a = v/(1 - I/(U + e) + v + e), with DETACH constant in
// the derivative, else d(a v)/dv = a (2 - a) and a v also falls by a^2 with 1 - I/(U + e). The
// difference of the angles is one angle, that of (w' h - w h', h' h + w' w): no digits are lost for
// similar shapes. d angle/dw = -h/(w^2 + h^2), d angle/dh = w/(w^2 + h^2), 0 where both are 0.
override CIOU_EPSILON: f32 = 1e-7;
override CIOU_DETACH: bool = true;

// atan(y/x) for y of any sign and x >= 0, 0 where both are 0. A driver's atan2 may be off by 4096
// ulp. With |z| <= tan(pi/8) the first term left out of the series is z^21/21 < 5e-10.
fn ciou_angle(y: f32, x: f32) -> f32 {
    let large = max(abs(y), x);
    let q = select(min(abs(y), x) / large, 0.0, large == 0.0);
    let is_far = q > 0.41421356;
    let z = select(q, (q - 1.0) / (q + 1.0), is_far);
    let s = z * z;
    let last = 0.11111111 + s * (-0.09090909 + s * (0.07692308 + s * (-0.06666667 + s * (0.05882353 - s * 0.05263158))));
    let tail = s * (-0.33333333 + s * (0.2 + s * (-0.14285714 + s * last)));
    let near = (z + z * tail) + select(0.0, 0.78539816, is_far);
    let angle = select(near, 1.5707963 - near, abs(y) > x);
    return select(angle, -angle, y < 0.0);
}

fn ciou_loss(pair: BoxPair) -> BoxTerms {
    let joined = pair.joined + pair.epsilon;
    let ratio = pair.overlap / joined;
    let diagonal = dot(pair.hull, pair.hull) + pair.epsilon;
    let distance = dot(pair.apart, pair.apart) / diagonal;
    let d_hull = (-2.0 * distance / diagonal) * pair.hull;
    let size = pair.size;
    let angle = ciou_angle(pair.true_size.x * size.y - size.x * pair.true_size.y, dot(pair.true_size, size));
    let v = 0.40528473 * angle * angle;
    let a = v / ((1.0 - ratio) + v + pair.epsilon);
    let square = dot(size, size);
    let by_v = select(a * (2.0 - a), a, CIOU_DETACH);
    let by_iou = select(1.0 - a * a, 1.0, CIOU_DETACH);
    let d_size = select(0.81056947 * by_v * angle / square * vec2<f32>(-size.y, size.x), vec2<f32>(), square == 0.0);
    return BoxTerms((1.0 - ratio) + distance + a * v, -by_iou / joined, by_iou * ratio / joined, d_hull, (2.0 / diagonal) * pair.apart, d_size);
}
