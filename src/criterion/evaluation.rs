//! Value and gradient of a loss as arrays.

use ndarray::ArrayD;

/// Value and gradient of a loss, in host memory.
#[derive(Clone, Debug)]
pub struct Evaluation<R = f32> {
    /// Shape [] if reduced; one value per element or row with [`Reduction::None`](crate::Reduction::None).
    pub values: ArrayD<f64>,
    /// The gradient with respect to the predictions, with their shape; for a loss with several
    /// inputs, with respect to the first.
    pub gradient: ArrayD<R>,
    /// The gradients with respect to the other inputs of a loss with several inputs, by name: the
    /// second number of a pair, the positive and the negative of a triplet, the weight of a linear
    /// layer.
    pub others: Vec<(&'static str, ArrayD<R>)>,
    /// Number of included elements or rows: 0 if all were masked or ignored.
    pub count: usize,
    /// The auxiliary outputs, if requested with [`Inputs::auxiliary`](crate::Inputs::auxiliary).
    pub auxiliaries: Option<Auxiliaries>,
    /// The hessian diagonal, if requested with [`Inputs::hessian`](crate::Inputs::hessian): the second derivative with
    /// respect to each prediction, with their shape.
    pub hessian: Option<ArrayD<R>>,
    /// The name of the input of `gradient`: `predictions`, or the first of several inputs.
    pub first: &'static str,
}

impl<R> Evaluation<R> {
    /// The reduced value, or the sum of unreduced values.
    pub fn value(&self) -> f64 {
        self.values.sum()
    }

    /// The gradient with respect to a named input: the predictions, the first of several inputs or
    /// one of [`Evaluation::others`]. `None` for an input without a gradient.
    pub fn gradient_of(&self, name: &str) -> Option<&ArrayD<R>> {
        if name == self.first {
            return Some(&self.gradient);
        }
        self.others.iter().find(|(other, _)| *other == name).map(|(_, gradient)| gradient)
    }

    /// The evaluation with all gradients converted to another precision.
    pub(super) fn map<S: Clone>(self, convert: impl Fn(R) -> S + Copy) -> Evaluation<S>
    where
        R: Clone,
    {
        Evaluation {
            values: self.values,
            gradient: self.gradient.map(|g| convert(g.clone())),
            others: self
                .others
                .into_iter()
                .map(|(name, g)| (name, g.map(|g| convert(g.clone()))))
                .collect(),
            count: self.count,
            auxiliaries: self.auxiliaries,
            hessian: self.hessian.map(|hessian| hessian.map(|h| convert(h.clone()))),
            first: self.first,
        }
    }
}

/// The auxiliary outputs of a class-axis loss, computed in the same pass, one per row. Excluded
/// rows hold 0.
#[derive(Clone, Debug)]
pub struct Auxiliaries {
    /// The values before the reduction, multiplied by the reduction's factor.
    pub values: Vec<f64>,
    /// Log-sum-exp of the logits.
    pub lse: Vec<f64>,
    /// The column of the largest logit; ties resolve to the first.
    pub argmax: Vec<usize>,
    /// True if the argmax equals the label.
    pub correct: Vec<bool>,
    /// Entropy of the softmax, in nats.
    pub entropy: Vec<f64>,
    /// Probability of the label; 0 for dense targets.
    pub target_probability: Vec<f64>,
}

impl Auxiliaries {
    /// Builds the outputs from the planes written by the row-wise kernel.
    pub(super) fn of_planes(planes: &[f32], rows: usize) -> Self {
        let wide = |n: usize| {
            planes[n * rows..][..rows].iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()
        };
        Auxiliaries {
            values: wide(0),
            lse: wide(1),
            argmax: wide(2).into_iter().map(|x| x as usize).collect(),
            correct: wide(3).into_iter().map(|x| x != 0.0).collect(),
            entropy: wide(4),
            target_probability: wide(5),
        }
    }
}
