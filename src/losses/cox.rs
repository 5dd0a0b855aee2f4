//! Cox's partial likelihood of survival times.

use serde::{Deserialize, Serialize};

use crate::losses::prelude::*;
use crate::templates::survival::Survival;

/// What [`Cox`] does with events of the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// Each has the whole risk set.
    #[default]
    Breslow,
    /// The risk set of the l-th of d, l from 0, leaves out the share l/d of each.
    Efron,
}

options! {
    /// Cox's proportional hazards: the negative logarithm of the partial likelihood, Σ over the
    /// events i of ln Σ e^sⱼ − sᵢ, j over the items at risk, tⱼ ≥ tᵢ. The score is the logarithm of
    /// the relative hazard: the higher, the earlier the event.
    ///
    /// Derivative for item j: Σ e^(sⱼ − lseᵢ) over the events i with tᵢ ≤ tⱼ, less 1 if it is an
    /// event itself.
    ///
    /// `predictions`, `times` and `events` are [lists, items], or `[items]` for one list; each list
    /// (stratum, cohort) has risk sets of its own. `events` is 1 where the event was seen at `times`
    /// and 0 where the item was still at risk then (right-censored). An item whose time is below 0
    /// is padding: its score is ignored and its derivative is 0. One value per list; `mean` divides
    /// by the number of events of all lists, and lists without one are left out. A score of −∞ has
    /// derivative 0 and makes the value ∞ if it has the event, unless only −∞ is at risk; a score of
    /// +∞ makes the list NaN. The work on a GPU grows with the square of the items of a list.
    ///
    /// lifelines and R `coxph` (`ties = efron`), statsmodels `PHReg`, XGBoost `survival:cox`
    /// (Breslow).
    /// Sources: D. R. Cox, Regression models and life-tables, 1972; N. Breslow, Covariance analysis
    /// of censored survival data, 1974; B. Efron, The efficiency of Cox's likelihood function for
    /// censored data, 1977.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Cox, Loss}};
    /// use ndarray::array;
    ///
    /// let (scores, times) = (array![0.0, 0.0, 0.0], array![1.0, 2.0, 3.0]);
    /// let events = array![1.0, 0.0, 1.0]; // the second left the study at 2
    /// let inputs = Inputs::named("predictions", &scores).input("times", &times);
    /// let step = Cox::new().on(&Device::reference())?.evaluate(&inputs.input("events", &events))?;
    /// assert!((step.value() - 3.0_f64.ln() / 2.0).abs() < 1e-15); // (ln 3 + ln 1)/2
    /// assert!((step.gradient[0] + 1.0 / 3.0).abs() < 1e-7);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Cox of "cox" {
        /// What is done with events of the same time.
        ties: Ties = Ties::Breslow, "\"breslow\" or \"efron\"" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cox",
    summary: "survival: who has the event first, with censored times",
    formula: "Σ over events i of ln Σ_{tⱼ ≥ tᵢ} e^sⱼ − sᵢ",
    options: Cox::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "D. R. Cox, Regression models and life-tables, 1972",
    variants: &[r#"{"ties": "efron"}"#],
    shader: crate::runtime::wgsl::shader!("losses/cox.wgsl"),
    make: make::<Cox>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[lists, items] or [items]: logarithms of relative hazards",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "times",
        shape: "of the predictions' shape: of the event or of the last sight; below 0 for padding",
        role: Role::Fixed,
        domain: Domain::Time,
    },
    Argument {
        name: "events",
        shape: "of the predictions' shape: 1 if the event was seen, 0 if censored",
        role: Role::Fixed,
        domain: Domain::ZeroOne,
    },
];

impl LossDefinition for Cox {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::survival(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EFRON", f64::from(u8::from(self.ties == Ties::Efron)))]
    }
}

impl Survival for Cox {
    fn tied_share(&self, rank: f64, ties: f64) -> f64 {
        if self.ties == Ties::Efron { rank / ties.max(1.0) } else { 0.0 }
    }
}
