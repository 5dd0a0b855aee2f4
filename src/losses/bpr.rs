//! Bayesian personalized ranking.

use crate::losses::prelude::*;

options! {
    /// Bayesian personalized ranking: the score of an item chosen by a user should exceed that of
    /// an item not chosen.
    ///
    /// ln(1 + e^−d), d = positive − negative; derivatives −σ(−d) for `positive` and σ(−d) for
    /// `negative`. Both have the same shape; there are no targets.
    ///
    /// LightFM `loss="bpr"`, whose update weight 1 − σ(d) is this derivative.
    /// Source: S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme, BPR: Bayesian
    /// personalized ranking from implicit feedback, 2009.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Bpr, Loss}};
    /// use ndarray::array;
    ///
    /// let (positive, negative) = (array![1.0], array![1.0]);
    /// let inputs = Inputs::named("positive", &positive).input("negative", &negative);
    /// let step = Bpr::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Bpr of "bpr" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "bpr",
    summary: "recommenders: a chosen item above one that was not",
    formula: "ln(1 + e^−(s⁺ − s⁻))",
    options: Bpr::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "S. Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, 2009",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/bpr.wgsl"),
    make: make::<Bpr>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "positive",
        shape: "any: scores",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "negative",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
];

impl LossDefinition for Bpr {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::two_input(self, ARGUMENTS)
    }
}

impl TwoInput for Bpr {
    #[inline(always)]
    fn pair<R: Real>(&self, first: R, second: R, _truth: R) -> TwoInputTerms<R> {
        let difference = first - second;
        let derivative = (-difference).sigmoid();
        TwoInputTerms { value: (-difference).softplus(), first: -derivative, second: derivative }
    }
}
