//! Kahneman-Tversky optimization of unpaired completions.

use crate::losses::prelude::*;

options! {
    /// KTO: completions labelled desirable or undesirable, without pairs, relative to a reference
    /// model and the mean divergence from it.
    ///
    /// Inputs of one shape, `[completions]`: the log-probability `policy`, which gets the gradient,
    /// and `reference`, which does not; `targets` +1 for a desirable completion and −1 for an
    /// undesirable one; and `kl`, the estimate of the divergence of policy and reference on the
    /// batch (usually one number repeated; clamped at 0; default 0), which gets no gradient. With
    /// z = β(policy − reference − kl) and y the target: w σ(−y z), w the weight of its class;
    /// derivative −y w β σ(z) σ(−z).
    ///
    /// TRL `KTOTrainer`, Liger `LigerFusedLinearKTOLoss`; without `kl` TRL's
    /// `loss_type="apo_zero_unpaired"`.
    /// Source: K. Ethayarajh et al., KTO: model alignment as prospect theoretic optimization, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Kto, Loss}};
    /// use ndarray::array;
    ///
    /// let (policy, reference, targets) = (array![-5.0], array![-6.0], array![1.0]);
    /// let kl = array![1.0];
    /// let inputs = Inputs::named("policy", &policy).input("reference", &reference);
    /// let step = Kto::new().on(&Device::reference())?.evaluate(&inputs.input("targets", &targets).input("kl", &kl))?;
    /// assert_eq!(step.value(), 0.5); // it gained as much as the batch moved
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.025]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Kto of "kto" {
        /// Strength β of the regularisation towards the reference.
        beta: f64 = 0.1, "> 0" if |beta| beta > 0.0 && beta.is_finite();
        /// Weight of desirable completions.
        desirable_weight: f64 = 1.0, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Weight of undesirable completions.
        undesirable_weight: f64 = 1.0, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "kto",
    summary: "language models from completions that are good or bad, without pairs",
    formula: "w σ(−yβ(x − r − kl))",
    options: Kto::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "K. Ethayarajh et al., KTO: model alignment as prospect theoretic optimization, 2024",
    variants: &[r#"{"beta": 0.5, "desirable_weight": 1.5, "undesirable_weight": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/kto.wgsl"),
    make: make::<Kto>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "policy",
        shape: "[completions]: log-probabilities",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "reference",
        shape: "of the same shape",
        role: Role::Fixed,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "of the same shape: +1 for a desirable completion, else -1",
        role: Role::Fixed,
        domain: Domain::Sign,
    },
    Argument { name: "kl", shape: "of the same shape", role: Role::Optional, domain: Domain::Real },
];

impl LossDefinition for Kto {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA", self.beta),
            ("DESIRABLE_WEIGHT", self.desirable_weight),
            ("UNDESIRABLE_WEIGHT", self.undesirable_weight),
        ]
    }
}

impl Preference for Kto {
    fn terms<R: Real>(&self, [policy, reference, sign, kl]: [R; 4]) -> PreferenceTerms<R> {
        let beta = R::new(self.beta);
        let z = beta * (policy - reference - kl.max(R::ZERO));
        let weight = R::select(
            sign > R::ZERO,
            R::new(self.desirable_weight),
            R::new(self.undesirable_weight),
        );
        let derivative = -sign * weight * beta * z.sigmoid() * (-z).sigmoid();
        PreferenceTerms {
            value: weight * (-sign * z).sigmoid(),
            derivatives: [derivative, R::ZERO],
        }
    }
}
