//! Margin ranking loss.

use crate::losses::prelude::*;

options! {
    /// Margin ranking loss: the first of two scores should be larger than the second by a margin
    /// where the target is +1, and smaller where it is −1.
    ///
    /// [m − y(x₁ − x₂)]₊; derivatives −y for `first` and y for `second` where m − y(x₁ − x₂) ≥ 0
    /// (at 0 too, as in PyTorch).
    /// `first`, `second` and `targets` have the same shape.
    ///
    /// PyTorch `MarginRankingLoss`, burn `MarginRankingLoss`.
    /// Source: T. Joachims, Optimizing search engines using clickthrough data, 2002.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, MarginRanking}};
    /// use ndarray::array;
    ///
    /// let (first, second, targets) = (array![1.0, 2.0], array![3.0, 0.0], array![1.0, 1.0]);
    /// let inputs = Inputs::named("first", &first).input("second", &second).input("targets", &targets);
    /// let step = MarginRanking::new().margin(1.0).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert_eq!(step.value(), 1.5); // ½(3 + 0)
    /// assert_eq!(step.gradient_of("second").unwrap().as_slice().unwrap(), [0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MarginRanking of "margin_ranking" {
        /// Margin m between the two scores.
        margin: f64 = 0.0, "finite" if |margin| f64::is_finite(margin);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "margin_ranking",
    summary: "which of two scores is the larger",
    formula: "[m − y(x₁ − x₂)]₊",
    options: MarginRanking::OPTIONS,
    torch: "MarginRankingLoss",
    keras: "",
    optax: "",
    source: "T. Joachims, Optimizing search engines using clickthrough data, 2002",
    variants: &[r#"{"margin": 0.7}"#],
    shader: crate::runtime::wgsl::shader!("losses/margin_ranking.wgsl"),
    make: make::<MarginRanking>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "first",
        shape: "any: scores",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "second",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "of the same shape",
        role: Role::Fixed,
        domain: Domain::Sign,
    },
];

impl LossDefinition for MarginRanking {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::two_input(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("MARGIN", self.margin)]
    }
}

impl TwoInput for MarginRanking {
    #[inline(always)]
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> TwoInputTerms<R> {
        let short = R::new(self.margin) - truth * (first - second);
        let derivative = R::select(short >= R::ZERO, truth, R::ZERO);
        TwoInputTerms { value: short.max(R::ZERO), first: -derivative, second: derivative }
    }
}
