//! A row whose target is a label.

use crate::cpu::real::{Real, single};

/// Options of the loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelOptions {
    /// Fraction of the target spread over all classes.
    pub smoothing: f32,
    /// Weight of lse².
    pub z_loss: f32,
}

/// Results of the passes over a row.
#[derive(Clone, Copy, Default)]
pub(crate) struct LabelRow {
    pub maximum: f32,
    /// The label's logit minus the maximum.
    pub below: f32,
    /// Σ e^(x − maximum) over all classes but the label.
    pub others: f32,
    /// Σ (x − maximum), for label smoothing.
    pub spread: f32,
}

/// The value of a row, and the coefficients that convert e^(x − maximum) to its gradient.
#[derive(Clone, Copy, Default)]
pub(crate) struct Derivatives {
    pub value: f32,
    /// Factor of e^(x − maximum) …
    pub factor: f32,
    /// … and subtracted from the product.
    pub share: f32,
    /// The derivative at the label.
    pub label: f32,
}

impl LabelRow {
    /// With q = 1 − s + s/K at the label and s/K elsewhere: value ln T − (1 − s)(x_label − m) − s/K
    /// Σ(x − m) + λ lse².
    #[inline(always)]
    pub(crate) fn derivatives(
        self,
        options: &LabelOptions,
        classes: usize,
        scale: f32,
    ) -> Derivatives {
        let share = options.smoothing / classes as f32;
        let label_exp = single::exp_below(self.below);
        let total = self.others + label_exp;
        let log_total =
            f32::select(label_exp == 1.0, single::ln_1p(self.others), single::ln(total));
        let lse = self.maximum + log_total;
        let d_lse = 2.0 * options.z_loss * lse;
        let value = log_total - (1.0 - options.smoothing) * self.below - share * self.spread
            + f32::select(options.z_loss != 0.0, options.z_loss * lse * lse, 0.0);
        let inverse = 1.0 / total;
        let others_smoothed = options.smoothing - share;
        let label = (others_smoothed - self.others * inverse) + d_lse * label_exp * inverse;
        Derivatives {
            value,
            factor: scale * ((1.0 + d_lse) * inverse),
            share: scale * share,
            label: scale * label,
        }
    }
}
