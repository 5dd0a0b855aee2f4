//! Predictions that are probabilities, for losses of logits and of log-probabilities: their
//! logarithms, and the way back for the gradient.

use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::cpu::real::Real;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, OneInput, Template};

/// Distance from 0 and 1 to which probabilities are clipped before their logarithm is taken, as in
/// Keras.
const CLIP: f64 = 1e-7;

/// What a loss takes in place of its logits or logarithms.
pub(super) enum Probabilities {
    /// One for each class; a row is divided by its sum.
    OfClasses,
    /// Independent ones.
    OfEach,
    /// Those whose logarithms the loss takes.
    Logarithms,
}

/// The derivatives of logarithms by the probabilities that they are of.
pub(super) struct LogDerivatives {
    /// Of a clipped probability 0, else one through the probability.
    factors: ArrayD<f64>,
    /// For rows that were divided by their sums: the quotients and the sums, one for each cell.
    rows: Option<(ArrayD<f64>, ArrayD<f64>)>,
}

impl LogDerivatives {
    /// Cells whose mask is false have no gradient: a finite number over their sum is 0.
    pub fn leave_out(&mut self, mask: &ArrayViewD<'_, bool>) {
        if let Some((_, totals)) = &mut self.rows {
            let cells = totals.iter_mut().zip(mask);
            cells.filter(|(_, keep)| !**keep).for_each(|(total, _)| *total = f64::INFINITY);
        }
    }

    /// The gradient of the probabilities in place of that of the logarithms.
    pub fn apply<R: Real>(&self, gradient: &mut ArrayD<R>) {
        // A cell without a gradient stays: its row may be left out and hold anything.
        gradient.zip_mut_with(&self.factors, |g, &factor| {
            if *g != R::ZERO {
                *g = R::new(g.to_f64() * factor);
            }
        });
        let Some((shares, totals)) = &self.rows else { return };
        let last = Axis(gradient.ndim() - 1);
        let rows = gradient.lanes_mut(last).into_iter();
        for ((mut row, shares), totals) in rows.zip(shares.lanes(last)).zip(totals.lanes(last)) {
            let cells = row.iter().zip(shares).filter(|(g, _)| **g != R::ZERO);
            let mean: f64 = cells.map(|(g, share)| g.to_f64() * share).sum();
            for (g, total) in row.iter_mut().zip(totals) {
                let apart = g.to_f64() - mean;
                *g = if apart == 0.0 { R::ZERO } else { R::new(apart / total) };
            }
        }
    }
}

impl Probabilities {
    pub fn of(loss: &dyn LossDefinition) -> Option<Self> {
        match (loss.template(), loss.predictions(), loss.targets()) {
            (_, Domain::LogDistribution, _) => Some(Probabilities::Logarithms),
            (Template::OneInput(OneInput::Rowwise(_)), Domain::Logits, _) => {
                Some(Probabilities::OfClasses)
            }
            (
                Template::OneInput(OneInput::Pointwise(_)),
                Domain::Real,
                Domain::Probability | Domain::ZeroOne,
            ) => Some(Probabilities::OfEach),
            _ => None,
        }
    }

    /// Logits or logarithms in place of probabilities, and the way back for their gradient.
    pub fn logarithms<R: Real>(&self, mut predictions: ArrayD<R>) -> (ArrayD<R>, LogDerivatives) {
        let (least, most) = (R::new(CLIP), R::new(1.0 - CLIP));
        let mut factors = ArrayD::<f64>::zeros(predictions.raw_dim());
        // NaN stays.
        let ln = |x: R, clipped: R| if x.is_nan() { x } else { clipped.ln() };
        let derivative = |x: R, clipped: R| if x == clipped { 1.0 / x.to_f64() } else { 0.0 };
        if matches!(self, Probabilities::OfClasses) && predictions.ndim() > 0 {
            let last = Axis(predictions.ndim() - 1);
            let mut shares = ArrayD::<f64>::zeros(predictions.raw_dim());
            let mut totals = ArrayD::<f64>::zeros(predictions.raw_dim());
            let rows = predictions.lanes_mut(last).into_iter().zip(factors.lanes_mut(last));
            let rows = rows.zip(shares.lanes_mut(last).into_iter().zip(totals.lanes_mut(last)));
            for ((mut row, mut factors), (mut shares, mut totals)) in rows {
                let total: f64 = row.iter().map(|x| x.to_f64()).sum();
                totals.fill(total);
                for (class, x) in row.iter_mut().enumerate() {
                    let share = *x / R::new(total);
                    let clipped = share.max(least).min(most);
                    factors[class] = derivative(share, clipped);
                    shares[class] = share.to_f64();
                    *x = ln(share, clipped);
                }
            }
            return (predictions, LogDerivatives { factors, rows: Some((shares, totals)) });
        }
        for (x, factor) in predictions.iter_mut().zip(&mut factors) {
            if matches!(self, Probabilities::OfEach) {
                let p = x.max(least).min(most);
                let rest = R::ONE - p;
                *factor = derivative(*x, p) / rest.to_f64();
                *x = if x.is_nan() { *x } else { p.ln() - (-p).ln_1p() };
            } else {
                let clipped = x.max(least).min(R::ONE);
                *factor = derivative(*x, clipped);
                *x = ln(*x, clipped);
            }
        }
        (predictions, LogDerivatives { factors, rows: None })
    }
}
