//! XE-NDCG.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::listwise::cpu::{gain, softmax_against};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// XE-NDCG: the cross-entropy of softmax(s) against the gains 2^y of a list, less a noise: a
    /// convex bound of NDCG.
    ///
    /// Σ q (lse − s) with q ∝ 2^y − γ, γ the input `noise`; derivative p − q, p = softmax(s). The
    /// paper and LightGBM draw γ uniformly from [0, 1] in each pass; here it is an input, so that
    /// the same inputs give the same result: `noise` is `[items]`, one number from 0 to 1 for each
    /// place of a list (larger and smaller ones count as 1 and 0), which all lists of a call share.
    /// Without it γ = 1: the gain 2^y − 1 of NDCG. Predictions and targets are [lists, items]; an
    /// item whose target is below 0 is padding: its score is ignored and its derivative is 0. `mean`
    /// divides by the number of lists with at least one item. A list whose 2^y − γ are all 0 has
    /// value and derivative 0; a score of −∞ whose q is above 0 makes the value ∞. Targets are at
    /// most 100.
    ///
    /// LightGBM `objective="rank_xendcg"`.
    /// Source: S. Bruch, An alternative cross entropy loss for learning-to-rank, 2021.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, RankXendcg}};
    /// use ndarray::array;
    ///
    /// let (scores, grades, noise) = (array![[1.0, 1.0, 7.0]], array![[1.0, 0.0, -1.0]], array![0.5, 0.5, 0.5]);
    /// let inputs = Inputs::new(&scores, &grades).input("noise", &noise);
    /// let step = RankXendcg::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // q = (¾, ¼)
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct RankXendcg of "rank_xendcg" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "rank_xendcg",
    summary: "XE-NDCG: the scores' softmax towards the gains of the list",
    formula: "−Σ q ln softmax(s), q ∝ 2^y − γ",
    options: RankXendcg::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "S. Bruch, An alternative cross entropy loss for learning-to-rank, 2021",
    variants: &[],
    shader: shader!("losses/rank_xendcg.wgsl"),
    make: make::<RankXendcg>,
};

impl LossDefinition for RankXendcg {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Grade,
            inputs: &[NOISE],
            helpers: const { &[shader!("templates/listwise/gains.wgsl")] },
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for RankXendcg {
    const TARGETS_ARE_PADDED: bool = true;

    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let dense = row.target;
        gradient.fill(R::ZERO);
        let kept: Vec<usize> = (0..dense.len()).filter(|&item| row.keeps(item)).collect();
        let scores: Vec<R> = kept.iter().map(|&item| row.logits[item]).collect();
        let gains: Vec<f64> = kept
            .iter()
            .map(|&item| {
                let noise = row.class_weight(item).to_f64().clamp(0.0, 1.0);
                gain(dense[item].to_f64()) + (1.0 - noise)
            })
            .collect();
        let mass: f64 = gains.iter().sum();
        if mass == 0.0 {
            return R::ZERO;
        }
        let weights: Vec<R> = gains.iter().map(|gain| R::new(gain / mass)).collect();
        let mut derivatives = vec![R::ZERO; kept.len()];
        let value = softmax_against(&scores, &weights, None, &mut derivatives);
        kept.iter().zip(derivatives).for_each(|(&item, partial)| gradient[item] = scale * partial);
        value
    }
}
