//! Kernel template of losses of embeddings against learned proxies of the classes.

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over proxies. Pairs of numbers belong to the positives of a row and
/// to its other scores.
pub trait Proxies: Clone + Send + Sync {
    /// True if there is a value for each proxy, false if there is one for each embedding.
    fn by_proxy(&self) -> bool;

    /// The exponent of a score, and its derivative.
    fn exponent(&self, score: f64, is_positive: bool) -> [f64; 2];

    /// The value of a row and its derivatives by the logarithms of the two sums of exponentials;
    /// `share` is the number of proxies over that of proxies with an embedding.
    fn finish(&self, lse: [f64; 2], share: f64) -> (f64, [f64; 2]);
}
