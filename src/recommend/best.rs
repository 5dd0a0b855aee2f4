//! The best of a list of scores: what a device without a way of its own does, and the judge of those that have one.

/// An item and its score, or its similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The item.
    pub item: u32,
    /// What it is sorted by, descending.
    pub score: f32,
}

fn order(a: &Scored, b: &Scored) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.item.cmp(&b.item))
}

/// By score, the highest first; of equal ones by item.
pub(super) fn in_order(mut list: Vec<Scored>) -> Vec<Scored> {
    list.sort_unstable_by(order);
    list
}

/// The `n` highest of those that are not left out (ascending), the first of equals first.
pub(super) fn best(scores: &[f32], n: usize, left_out: &[u32]) -> Vec<Scored> {
    let mut all: Vec<Scored> = (0..scores.len() as u32)
        .filter(|item| left_out.binary_search(item).is_err())
        .map(|item| Scored { item, score: scores[item as usize] })
        .collect();
    if n < all.len() {
        all.select_nth_unstable_by(n, order);
        all.truncate(n);
    }
    in_order(all)
}

/// The cosines of one of the rows with each: 0 where one of the two is 0.
pub(super) fn cosines(vectors: &[f32], components: usize, item: u32) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let own = &vectors[item as usize * components..][..components];
    let own_norm = dot(own, own).sqrt();
    let cosine = |other: &[f32]| {
        let norms = own_norm * dot(other, other).sqrt();
        if norms > 0.0 { (dot(own, other) / norms) as f32 } else { 0.0 }
    };
    vectors.chunks(components).map(cosine).collect()
}
