//! Attention of one head from its definition, in two passes: the f64 reference, and f32 on inputs
//! with NaN or infinity, since it reads nothing that a query does not see.

use crate::cpu::real::Real;
use crate::nn::ops::attention::head::{Gradient, Head, Third};

/// q, k and v of a head, [T, D] each; q and k rotated, q scaled.
fn gathered<R: Real>(head: &Head<R>) -> [Vec<R>; 3] {
    let (tokens, depth) = (head.tokens(), head.depth());
    let factor = R::new(head.attention.factor());
    let [mut q, mut k, mut v] = [(); 3].map(|()| Vec::with_capacity(tokens * depth));
    for token in 0..tokens {
        for (values, third) in [(&mut q, Third::Query), (&mut k, Third::Key)] {
            values.extend_from_slice(head.input(third, token));
            head.rotate(token, &mut values[token * depth..], R::ONE);
        }
        q[token * depth..].iter_mut().for_each(|q| *q *= factor);
        v.extend_from_slice(head.input(Third::Value, token));
    }
    [q, k, v]
}

fn dot<R: Real>(left: &[R], right: &[R]) -> R {
    left.iter().zip(right).map(|(&x, &y)| x * y).sum()
}

/// sum += factor · values.
fn add_multiple<R: Real>(sum: &mut [R], factor: R, values: &[R]) {
    sum.iter_mut().zip(values).for_each(|(sum, &x)| *sum += factor * x);
}

/// Output and lse of a head.
pub(super) fn forward<R: Real>(head: &Head<R>, output: &mut [&mut [R]], lse: &mut [R]) {
    let (depth, [q, k, v]) = (head.depth(), gathered(head));
    let mut p = Vec::new();
    for (query, (output, lse)) in output.iter_mut().zip(lse).enumerate() {
        output.fill(R::ZERO);
        *lse = R::ZERO;
        let visible = head.visible(query);
        if visible == 0 {
            continue;
        }
        p.clear();
        let q = &q[query * depth..][..depth];
        p.extend(k.chunks_exact(depth).take(visible).map(|k| dot(q, k)));
        let maximum = p.iter().fold(R::NEG_INFINITY, |found, &s| Real::max(s, found));
        p.iter_mut().for_each(|p| *p = Real::exp(*p - maximum));
        let sum: R = p.iter().copied().sum();
        for (&p, v) in p.iter().zip(v.chunks_exact(depth)) {
            add_multiple(output, p / sum, v);
        }
        *lse = maximum + Real::ln(sum);
    }
}

/// Gradients of q, k and v of a head.
pub(super) fn backward<R: Real>(of: &Gradient<R>, gradients: [&mut [&mut [R]]; 3]) {
    let (head, depth, [q, k, v]) = (&of.head, of.head.depth(), gathered(&of.head));
    let factor = R::new(head.attention.factor());
    let [dq, dk, dv] = gradients;
    [&mut *dq, &mut *dk, &mut *dv].into_iter().flatten().for_each(|token| token.fill(R::ZERO));
    for query in 0..head.tokens() {
        let (grad_output, delta) = (of.grad_output(query), of.delta(query));
        let q = &q[query * depth..][..depth];
        let pairs = k.chunks_exact(depth).zip(v.chunks_exact(depth)).take(head.visible(query));
        for (key, (k, v)) in pairs.enumerate() {
            let p = Real::exp(dot(q, k) - of.lse[query]);
            let ds = p * (dot(grad_output, v) - delta);
            add_multiple(dv[key], p, grad_output);
            add_multiple(dk[key], ds, q);
            add_multiple(dq[query], factor * ds, k);
        }
    }
    for (token, (dq, dk)) in dq.iter_mut().zip(dk).enumerate() {
        head.rotate(token, dq, -R::ONE);
        head.rotate(token, dk, -R::ONE);
    }
}
