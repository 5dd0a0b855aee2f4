// Proxy-Anchor of cosines s, for one proxy:
//     share ln(1 + sum of e^(-ALPHA (s - MARGIN)) over its embeddings)
//           + ln(1 + sum of e^(ALPHA (s + MARGIN)) over the others)
override PROXY_ANCHOR_ALPHA: f32 = 32.0;
override PROXY_ANCHOR_MARGIN: f32 = 0.1;

const PROXY_ANCHOR_BY_PROXY: bool = true;

fn proxy_anchor_exponent(score: f32, positive: bool) -> vec2<f32> {
    let sign = select(PROXY_ANCHOR_ALPHA, -PROXY_ANCHOR_ALPHA, positive);
    return sign * vec2<f32>(score + select(PROXY_ANCHOR_MARGIN, -PROXY_ANCHOR_MARGIN, positive), 1.0);
}

fn proxy_anchor_finish(lse: vec2<f32>, share: f32) -> vec3<f32> {
    return vec3<f32>(share * softplus(lse.x) + softplus(lse.y), share * sigmoid(lse.x), sigmoid(lse.y));
}
