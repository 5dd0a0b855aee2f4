//! Generalised Jensen–Shannon divergence.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Generalised Jensen–Shannon divergence of predictions Q from targets P, both given as
    /// log-probabilities x and y.
    ///
    /// Per row β KL(P‖M) + (1 − β) KL(Q‖M) with M = βP + (1 − β)Q; derivative (1 − β) Q ln(Q/M).
    /// β = 0 is KL(P‖Q) with derivative −P, β = 1 KL(Q‖P) with Q(ln(Q/P) + 1), as in Liger (the
    /// limits of the formula would be 0). Both are [rows, classes]; the input `class_weight`
    /// weights the terms of the classes. `mean` and `batch_mean` divide by the number of rows.
    /// If one of the two has probability 0, the class contributes the other's term with ln 1/β
    /// or ln 1/(1 − β).
    ///
    /// Liger `LigerJSD`. Source: J. Lin, Divergence measures based on the Shannon entropy, 1991.
    ///
    /// ```
    /// use gradus::{Device, losses::{Jsd, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Jsd::new().on(&Device::reference())?;
    /// let certain = array![[0.0, f32::NEG_INFINITY]];
    /// let step = criterion.value_and_gradient(&certain, &array![[f32::NEG_INFINITY, 0.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // nothing in common: the most there is
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Jsd of "jsd" {
        /// Weight β of the targets in the mixture M.
        beta: f64 = 0.5, "in [0, 1]" if |beta| (0.0..=1.0).contains(&beta);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "jsd",
    summary: "Jensen-Shannon divergence: bounded, between the two directions of Kullback-Leibler",
    formula: "β KL(P‖M) + (1 − β) KL(Q‖M), M = βP + (1 − β)Q",
    options: Jsd::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "J. Lin, Divergence measures based on the Shannon entropy, 1991",
    variants: &[r#"{"beta": 0.1}"#, r#"{"beta": 0.0}"#, r#"{"beta": 1.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/jsd.wgsl"),
    make: make::<Jsd>,
};

impl LossDefinition for Jsd {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::LogDistribution,
            targets: Domain::LogDistribution,
            separable: true,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta)]
    }
}

impl Rowwise for Jsd {
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
        if self.beta == 0.0 {
            return cells(
                row,
                dense,
                scale,
                gradient,
                #[inline(always)]
                |p, _, d| (unless_zero(p, p * d), -p),
            );
        }
        if self.beta == 1.0 {
            return cells(
                row,
                dense,
                scale,
                gradient,
                #[inline(always)]
                |_, q, d| (unless_zero(q, -q * d), unless_zero(q, q * (R::ONE - d))),
            );
        }
        let (of_targets, of_predictions) = (R::new(self.beta), R::new(1.0 - self.beta));
        cells(
            row,
            dense,
            scale,
            gradient,
            #[inline(always)]
            |p, q, d| {
                let derivative = unless_zero(q, -of_predictions * q * log_ratio(d, of_targets));
                (
                    unless_zero(p, -of_targets * p * log_ratio(-d, of_predictions)) + derivative,
                    derivative,
                )
            },
        )
    }
}

/// 0·∞ is 0 here: a class of probability 0 contributes 0.
#[inline(always)]
fn unless_zero<R: Real>(probability: R, cost: R) -> R {
    R::select(probability == R::ZERO, R::ZERO, cost)
}

/// ln(1 + share (e^d − 1)): logarithm of M divided by the distribution that d is relative to.
/// Beyond 80, near the overflow of f32, it is d plus a constant.
#[inline(always)]
fn log_ratio<R: Real>(d: R, share: R) -> R {
    let far = R::new(80.0);
    (share * Real::clamp(d, -far, far).exp_m1()).ln_1p() + Real::max(d - far, R::ZERO)
}

/// Processes the cells of a row; `divergence` gives value and derivative from P, Q and y − x.
#[inline(always)]
fn cells<R: Real>(
    row: &Row<'_, R, &[R]>,
    truths: &[R],
    scale: R,
    gradient: &mut [R],
    divergence: impl Fn(R, R, R) -> (R, R),
) -> R {
    if row.has_all_classes_alike() {
        // With a weight lookup inside it the loop would not be vectorised.
        return weighted(
            row.logits,
            truths,
            scale,
            gradient,
            #[inline(always)]
            |_| R::ONE,
            &divergence,
        );
    }
    weighted(row.logits, truths, scale, gradient, |column| row.kept_weight(column), &divergence)
}

#[inline(always)]
fn weighted<R: Real>(
    logits: &[R],
    truths: &[R],
    scale: R,
    gradient: &mut [R],
    weight: impl Fn(usize) -> R,
    divergence: &impl Fn(R, R, R) -> (R, R),
) -> R {
    R::new(simd::sum_blocks(
        logits.len(),
        #[inline(always)]
        |range, values: &mut [R]| {
            let inputs = logits[range.clone()].iter().zip(&truths[range.clone()]);
            let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
            for ((column, (value, derivative)), (&x, &y)) in range.zip(outputs).zip(inputs) {
                let (cost, d_logit) = divergence(y.exp(), x.exp(), y - x);
                let weight = weight(column);
                *value = unless_zero(weight, weight * cost);
                *derivative = unless_zero(weight, scale * weight * d_logit);
            }
        },
    ))
}
