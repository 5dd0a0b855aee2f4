//! Direct preference optimization and its variants over the same four log-probabilities.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::losses::prelude::{require, *};

/// Loss variant of [`Dpo`], named as TRL's `loss_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpoType {
    /// ln(1 + e^−h) + s h: DPO, with label smoothing s cDPO.
    #[default]
    Sigmoid,
    /// Unbiased under labels that are wrong with probability s: ln(1 + e^−h) − s h/(1 − 2s).
    Robust,
    /// [1 − h]₊: SLiC.
    Hinge,
    /// (d − 1/(2β))²: IPO, over mean log-probabilities.
    Ipo,
    /// σ(−βa) + σ(βb): APO-zero, which raises the chosen and lowers the rejected.
    ApoZero,
    /// σ(βa) + σ(−h): APO-down, which lowers both, the rejected more.
    ApoDown,
    /// ln(1 + e^−βa) + ½ ln(1 + e^βa) + ½ ln(1 + e^βb): NCA.
    NcaPair,
    /// (a − 1/(2β))² + (b + 1/(2β))²: SPPO with hard preferences.
    SppoHard,
}

options! {
    /// Direct preference optimization: the log-probability of the chosen completion should gain
    /// more over a reference model than that of the rejected one.
    ///
    /// Inputs of one shape, `[pairs]`: the log-probabilities of whole completions `policy_chosen`
    /// and `policy_rejected`, which get gradients, and `reference_chosen` and `reference_rejected`,
    /// which do not and default to 0. With a = policy_chosen − reference_chosen,
    /// b = policy_rejected − reference_rejected, d = a − b and h = β d the loss is ln(1 + e^−h) + s
    /// h, derivatives β(s − σ(−h)) for `policy_chosen` and its negative for `policy_rejected`;
    /// `loss_type` selects another function of the four ([`DpoType`]).
    ///
    /// TRL `DPOTrainer` (`loss_type`), Liger `LigerFusedLinearDPOLoss`.
    /// Source: R. Rafailov et al., Direct preference optimization: your language model is secretly
    /// a reward model, 2023. Others: Y. Zhao et al., SLiC-HF, 2023; M. G. Azar et al., A general
    /// theoretical paradigm to understand learning from human preferences, 2023 (IPO); S. Ray
    /// Chowdhury et al., Provably robust DPO, 2024; K. D'Oosterlinck et al., Anchored preference
    /// optimization, 2024; H. Chen et al., Noise contrastive alignment, 2024; Y. Wu et al.,
    /// Self-play preference optimization, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Dpo, Loss}};
    /// use ndarray::array;
    ///
    /// let (chosen, rejected) = (array![-10.0], array![-12.0]);
    /// let (reference_chosen, reference_rejected) = (array![-11.0], array![-13.0]);
    /// let inputs = Inputs::named("policy_chosen", &chosen).input("policy_rejected", &rejected);
    /// let inputs = inputs.input("reference_chosen", &reference_chosen).input("reference_rejected", &reference_rejected);
    /// let step = Dpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // both gained 1
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.05]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Dpo of "dpo" {
        /// Strength β of the regularisation towards the reference.
        beta: f64 = 0.1, "> 0" if |beta| beta > 0.0 && beta.is_finite();
        /// Function of the log-probabilities.
        loss_type: DpoType = DpoType::Sigmoid, "one of sigmoid, robust, hinge, ipo, apo_zero, apo_down, nca_pair, sppo_hard" if |_| true;
        /// Fraction s of pairs assumed to be mislabelled; only for sigmoid and robust.
        label_smoothing: f64 = 0.0, "in [0, 0.5)" if |s| (0.0..0.5).contains(&s);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "dpo",
    summary: "language models from preferences: the chosen completion above the rejected one",
    formula: "ln(1 + e^−β((x⁺ − r⁺) − (x⁻ − r⁻)))",
    options: Dpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "R. Rafailov et al., Direct preference optimization: your language model is secretly a reward model, 2023",
    variants: &[
        r#"{"beta": 0.5, "label_smoothing": 0.1}"#,
        r#"{"loss_type": "robust", "label_smoothing": 0.2}"#,
        r#"{"loss_type": "hinge"}"#,
        r#"{"loss_type": "ipo"}"#,
        r#"{"loss_type": "apo_zero"}"#,
        r#"{"loss_type": "apo_down"}"#,
        r#"{"loss_type": "nca_pair"}"#,
        r#"{"loss_type": "sppo_hard"}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/dpo.wgsl"),
    make: make::<Dpo>,
};

impl Dpo {
    /// Coefficient of h added to ln(1 + e^−h).
    fn tilt(&self) -> f64 {
        match self.loss_type {
            DpoType::Robust => -self.label_smoothing / (1.0 - 2.0 * self.label_smoothing),
            _ => self.label_smoothing,
        }
    }
}

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "policy_chosen",
        shape: "[pairs]: log-probabilities",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "policy_rejected",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "reference_chosen",
        shape: "of the same shape",
        role: Role::Optional,
        domain: Domain::Real,
    },
    Argument {
        name: "reference_rejected",
        shape: "of the same shape",
        role: Role::Optional,
        domain: Domain::Real,
    },
];

impl LossDefinition for Dpo {
    catalogued!(entry, options);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn check(&self) -> Result<()> {
        self.check_domains()?;
        let takes_smoothing = matches!(self.loss_type, DpoType::Sigmoid | DpoType::Robust);
        if !takes_smoothing && self.label_smoothing != 0.0 {
            let allowed = "0 unless loss_type is sigmoid or robust";
            return Err(Error::option(
                ENTRY.name,
                "label_smoothing",
                self.label_smoothing,
                allowed,
            ));
        }
        require(self.tilt().is_finite(), &ENTRY, "label_smoothing", self.label_smoothing)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA", self.beta),
            ("LOSS_TYPE", f64::from(self.loss_type as u8)),
            ("TILT", self.tilt()),
        ]
    }
}

/// σ′(x) − σ′(y) from x, y and their difference and sum, because the direct form cancels if |x| is
/// near |y|. With e = e^−|x| and f = e^−|y| it is
/// ∓ max(e, f) (1 − e^−|x − y|)(1 − e^−|x + y|)/((1 + e)²(1 + f)²), with the sign − if |x| is the
/// larger.
fn difference_of_derivatives<R: Real>(x: R, y: R, apart: R, sum: R) -> R {
    let (near, far) = (Real::min(x.abs(), y.abs()), Real::max(x.abs(), y.abs()));
    let (e, f) = ((-near).exp(), (-far).exp());
    let risen = e * (-apart.abs()).exp_m1() * (-sum.abs()).exp_m1();
    let difference = risen / ((R::ONE + e) * (R::ONE + e) * (R::ONE + f) * (R::ONE + f));
    R::select(x.abs() <= y.abs(), difference, -difference)
}

impl Preference for Dpo {
    fn terms<R: Real>(
        &self,
        [chosen, rejected, reference_chosen, reference_rejected]: [R; 4],
    ) -> PreferenceTerms<R> {
        let beta = R::new(self.beta);
        let (a, b) = (chosen - reference_chosen, rejected - reference_rejected);
        let d = (chosen - rejected) - (reference_chosen - reference_rejected);
        let h = beta * d;
        let middle = R::new(0.5) / beta;
        let half = R::new(0.5);
        let undefined = match self.loss_type {
            DpoType::ApoZero | DpoType::NcaPair | DpoType::SppoHard => a.is_nan() || b.is_nan(),
            DpoType::ApoDown => d.is_nan() || a.is_nan(),
            _ => d.is_nan(),
        };
        // ∞ − ∞, which a comparison below would hide.
        if undefined {
            return PreferenceTerms { value: R::NAN, derivatives: [R::NAN; 2] };
        }
        let apart = |value: R, derivative: R| PreferenceTerms {
            value,
            derivatives: [derivative, -derivative],
        };
        match self.loss_type {
            DpoType::Sigmoid | DpoType::Robust => {
                let tilt = R::new(self.tilt());
                apart(
                    (-h).softplus() + R::select(tilt == R::ZERO, R::ZERO, tilt * h),
                    beta * (tilt - (-h).sigmoid()),
                )
            }
            DpoType::Hinge => {
                apart((R::ONE - h).max(R::ZERO), R::select(h < R::ONE, -beta, R::ZERO))
            }
            DpoType::Ipo => apart((d - middle) * (d - middle), R::new(2.0) * (d - middle)),
            DpoType::ApoZero => {
                let derivative = |x: R| beta * x.sigmoid() * (-x).sigmoid();
                let value = (-beta * a).sigmoid() + (beta * b).sigmoid();
                PreferenceTerms {
                    value,
                    derivatives: [-derivative(beta * a), derivative(beta * b)],
                }
            }
            DpoType::ApoDown => {
                let value = (beta * a).sigmoid() + (-h).sigmoid();
                let rejected = beta * h.sigmoid() * (-h).sigmoid();
                PreferenceTerms {
                    value,
                    derivatives: [
                        beta * difference_of_derivatives(beta * a, h, beta * b, beta * (a + d)),
                        rejected,
                    ],
                }
            }
            DpoType::NcaPair => {
                let value =
                    (-beta * a).softplus() + half * ((beta * a).softplus() + (beta * b).softplus());
                let chosen = half * (beta * a).sigmoid() - (-beta * a).sigmoid();
                PreferenceTerms {
                    value,
                    derivatives: [beta * chosen, beta * half * (beta * b).sigmoid()],
                }
            }
            DpoType::SppoHard => {
                let (up, down) = (a - middle, b + middle);
                PreferenceTerms {
                    value: up * up + down * down,
                    derivatives: [R::new(2.0) * up, R::new(2.0) * down],
                }
            }
        }
    }
}
