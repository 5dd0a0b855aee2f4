//! Multi-label margin loss.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::listwise::cpu::difference;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Multi-label margin of scores against several classes per row: every target class should
    /// exceed every other class by 1.
    ///
    /// (1/C) Σ_{j∈T} Σ_{i∉T} [1 − (xⱼ − xᵢ)]₊, C the classes, T the targets of a row; a class that
    /// is named twice counts twice. Derivative 1/C for each pair inside the margin, 0 at its edge,
    /// as in PyTorch. Predictions are scores
    /// [rows, classes]; targets class indices of that shape, integers or floats (tensors on a
    /// device: floats), each row terminated by its first −1: later entries are ignored. `mean`
    /// divides by the number of rows.
    ///
    /// PyTorch `MultiLabelMarginLoss`. Source: K. Crammer and Y. Singer, A family of additive
    /// online algorithms for category ranking, 2003.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, MultilabelMargin}};
    /// use ndarray::array;
    ///
    /// let criterion = MultilabelMargin::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.5, 0.25, -2.0, 0.0]], &array![[0_i64, 1, -1, 0]])?;
    /// assert_eq!(step.value(), 0.3125); // (0.5 + 0.75)/4: classes 0 and 1 against 3; 2 is far behind
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, -0.25, 0.0, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MultilabelMargin of "multilabel_margin" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "multilabel_margin",
    summary: "multi-label margin: each class of a row ahead of those it has not",
    formula: "(1/C) Σ_{j∈T} Σ_{i∉T} [1 − (xⱼ − xᵢ)]₊",
    options: MultilabelMargin::OPTIONS,
    torch: "MultiLabelMarginLoss",
    keras: "",
    optax: "",
    source: "K. Crammer and Y. Singer, A family of additive online algorithms for category ranking, 2003",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/multilabel_margin.wgsl"),
    make: make::<MultilabelMargin>,
};

impl LossDefinition for MultilabelMargin {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::ClassList, ..Spec::listwise(self) }
    }
}

impl Rowwise for MultilabelMargin {
    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let list = row.target;
        // The number of times that the row names each class.
        let mut mentions = vec![R::ZERO; list.len()];
        for class in list.iter().take_while(|&&class| class >= R::ZERO) {
            match mentions.get_mut(class.to_f64() as usize) {
                Some(times) => *times += R::ONE,
                // Rejected by the CPU checks; NaN on the device too.
                None => return R::NAN,
            }
        }
        let others: Vec<usize> =
            (0..list.len()).filter(|&class| mentions[class] == R::ZERO).collect();
        let scores: Vec<R> = others.iter().map(|&class| row.logits[class]).collect();
        let mut pushed = vec![R::ZERO; others.len()];
        let share = R::new(1.0 / list.len() as f64);
        let mut total = 0.0;
        gradient.fill(R::ZERO);
        for (class, &times) in mentions.iter().enumerate().filter(|(_, times)| **times > R::ZERO) {
            let score = row.logits[class];
            let mut inside = R::ZERO;
            total += simd::sum_of(scores.len(), |k| {
                let margin = R::ONE - difference(score, scores[k]);
                let counts = R::select(margin > R::ZERO, times, R::ZERO);
                pushed[k] += counts;
                inside += counts;
                counts * margin.max(R::ZERO)
            });
            gradient[class] = -(scale * share * inside);
        }
        for (&class, &times) in others.iter().zip(&pushed) {
            gradient[class] = scale * share * times;
        }
        share * R::new(total)
    }
}
