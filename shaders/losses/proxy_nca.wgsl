// Proxy-NCA of cosines s, d^2 = 2 - 2 s: -ln softmax(-SCALE d^2) at the own proxy,
//     ln(1 + e^(L - 2 SCALE s_own)),  L = ln of the sum of e^(2 SCALE s) over the other proxies
override PROXY_NCA_SCALE: f32 = 1.0;

const PROXY_NCA_BY_PROXY: bool = false;

fn proxy_nca_exponent(score: f32, positive: bool) -> vec2<f32> {
    return 2.0 * PROXY_NCA_SCALE * vec2<f32>(score, 1.0);
}

fn proxy_nca_finish(lse: vec2<f32>, share: f32) -> vec3<f32> {
    let lag = lse.y - lse.x;
    return vec3<f32>(softplus(lag), -sigmoid(lag), sigmoid(lag));
}
