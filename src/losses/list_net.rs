//! ListNet.

use crate::losses::prelude::*;
use crate::templates::listwise::cpu::{kept_items, softmax, softmax_against};
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// ListNet with its top-one probabilities: the cross-entropy of softmax(s) against softmax(y).
    ///
    /// Derivative softmax(s) − softmax(y). Predictions and targets are [lists, items]; an item
    /// whose target is below 0 is padding: its score is ignored and its derivative is 0. `mean`
    /// divides by the number of lists with at least one item. A score of −∞ makes the value ∞.
    ///
    /// TF-Ranking: `SoftmaxLoss` of softmaxed targets. Source: Z. Cao et al., Learning to rank:
    /// from pairwise approach to listwise approach, 2007.
    ///
    /// ```
    /// use gradus::{Device, losses::{ListNet, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = ListNet::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 1.0, 7.0]], &array![[2.0, 2.0, -1.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, 0.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ListNet of "list_net" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "list_net",
    summary: "ListNet: the scores' top-one probabilities towards those of the targets",
    formula: "−Σ softmax(y) ln softmax(s)",
    options: ListNet::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Z. Cao et al., Learning to rank: from pairwise approach to listwise approach, 2007",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/list_net.wgsl"),
    make: make::<ListNet>,
};

impl LossDefinition for ListNet {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Relevance, ..Spec::rowwise(self) }
    }
}

impl Rowwise for ListNet {
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
        kept_items(
            row,
            scale,
            gradient,
            #[inline(always)]
            |scores, truths, derivatives| {
                let mut weights = truths.to_vec();
                softmax(&mut weights);
                softmax_against(scores, &weights, None, derivatives)
            },
        )
    }
}
