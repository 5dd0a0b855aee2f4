//! Connectionist temporal classification.

use crate::Error;
use crate::losses::prelude::*;
use crate::templates::sequence::Item;

options! {
    /// Connectionist temporal classification: labels of a sequence without known positions in time,
    /// as in speech and handwriting recognition.
    ///
    /// Per item −ln Σ over all alignments π of Π_t softmax(x_t) at π_t; an alignment is a path
    /// through the classes that yields the labels after merging repeats and removing blanks.
    /// Derivative by x[t, c]: softmax(x_t) at c − the probability that the alignment is in class c
    /// at t; 0 after the item's length.
    ///
    /// Inputs: `predictions` [time, batch, classes], logits (log-probabilities give the same
    /// result, as their softmax is the same); `targets` [batch, length] with arbitrary padding;
    /// `input_lengths` `[batch]` up to time and `target_lengths` `[batch]` up to length. `none`
    /// gives one value per item; `mean` first divides each by its target length (at least 1), as
    /// PyTorch does. An item with too few rows for its labels has loss ∞ and gradient NaN, as in
    /// PyTorch; `zero_infinity` makes both 0.
    ///
    /// PyTorch `CTCLoss` (which takes log-probabilities), Keras `CTC`, optax `ctc_loss`.
    /// Source: A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, Connectionist temporal
    /// classification, 2006.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Ctc, Loss}};
    /// use ndarray::{Array3, array};
    ///
    /// let logits = Array3::<f32>::zeros((2, 1, 2)); // two rows, classes blank and 1, all equally likely
    /// let (targets, rows, labels) = (array![[1_i64]], array![2_i64], array![1_i64]);
    /// let inputs = Inputs::new(&logits, &targets).input("input_lengths", &rows).input("target_lengths", &labels);
    /// let step = Ctc::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// // 11, 1-blank and blank-1 of four paths give the label.
    /// assert!((step.value() + 0.75_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Ctc of "ctc" {
        /// Class of the blank.
        blank: u32 = 0, "a class" if |_| true;
        /// True to replace the loss and gradient of an item without any alignment by 0.
        zero_infinity: bool = false, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "ctc",
    summary: "sequences whose alignment is not known: speech, handwriting",
    formula: "−ln Σ_π Π_t p_t(π_t)",
    options: Ctc::OPTIONS,
    torch: "CTCLoss",
    keras: "CTC",
    optax: "ctc_loss",
    source: "A. Graves et al., Connectionist temporal classification, 2006",
    variants: &[r#"{"zero_infinity": true}"#, r#"{"blank": 1, "zero_infinity": true}"#],
    shader: crate::runtime::wgsl::shader!("losses/ctc.wgsl"),
    make: make::<Ctc>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[time, batch, classes]: logits",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "[batch, length]: labels, padded with anything",
        role: Role::Integers,
        domain: Domain::Class,
    },
    Argument {
        name: "input_lengths",
        shape: "[batch]: rows of each item",
        role: Role::Integers,
        domain: Domain::Real,
    },
    Argument {
        name: "target_lengths",
        shape: "[batch]: labels of each item",
        role: Role::Integers,
        domain: Domain::Real,
    },
];

impl LossDefinition for Ctc {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::sequence(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("ZERO_INFINITY", f64::from(u8::from(self.zero_infinity)))]
    }
}

impl Sequence for Ctc {
    fn blank(&self) -> usize {
        self.blank as usize
    }

    fn check_sequence(
        &self,
        targets: &[i32],
        lengths: &[i32],
        length: usize,
        classes: usize,
    ) -> Result<()> {
        if self.blank as usize >= classes {
            return Err(Error::option(
                "ctc",
                "blank",
                self.blank,
                &format!("a class, 0 to {}", classes - 1),
            ));
        }
        for (item, &own) in lengths.iter().enumerate() {
            if targets[item * length..][..own as usize].contains(&(self.blank as i32)) {
                return Err(Error::Input {
                    operation: "ctc".into(),
                    name: "targets".into(),
                    found: format!("hold the blank ({}) in item {item}", self.blank),
                    allowed: "a label is another class; option `blank` names the blank".into(),
                });
            }
        }
        Ok(())
    }

    fn item<R: Real>(&self, item: &Item<'_, R>, gradient: &mut [R]) -> R {
        let lattice = Lattice::new(item, self.blank as usize);
        let (forward, backward) = (lattice.forward(), lattice.backward());
        let states = lattice.states();
        let total = match forward.chunks_exact(states).last() {
            Some(last) => {
                last[states.saturating_sub(2)..].iter().fold(R::NEG_INFINITY, |sum, &x| add(sum, x))
            }
            // Without rows the empty alignment is the only one.
            None => R::select(item.labels.is_empty(), R::ZERO, R::NEG_INFINITY),
        };
        let infeasible = total == R::NEG_INFINITY;
        for (t, row) in gradient.chunks_exact_mut(item.classes).enumerate() {
            let places = t * states..(t + 1) * states;
            let ways: Vec<R> =
                places.map(|place| (forward[place] + backward[place] - total).exp()).collect();
            // They sum to 1 up to the roundings of logarithms in the hundreds, which are common to
            // all.
            let whole: R = ways.iter().copied().sum();
            let logs = &lattice.log_probabilities[t * item.classes..];
            row.iter_mut().zip(logs).for_each(|(slot, &log)| *slot = log.exp());
            let likeliest = row.iter().position(|&p| p > R::new(0.5));
            for (s, &way) in ways.iter().enumerate() {
                row[lattice.label(s)] -= way / whole;
            }
            // If the softmax and the alignment probability of a class are both near 1 their
            // difference cancels; but the differences of a row sum to 0.
            if let Some(class) = likeliest {
                row[class] = R::ZERO;
                row[class] = -row.iter().copied().sum::<R>();
            }
            if infeasible {
                row.fill(if self.zero_infinity { R::ZERO } else { R::NAN });
            }
        }
        if infeasible && self.zero_infinity { R::ZERO } else { -(total + lattice.taken) }
    }
}

/// States of an alignment over time: blank, label, blank, …, blank.
struct Lattice<'a, R> {
    labels: &'a [i32],
    blank: usize,
    classes: usize,
    /// [time, classes]
    log_probabilities: Vec<R>,
    /// Subtracted from the log-probabilities of each row to keep them small: the largest among
    /// those of the labels. Rounding at −1000 would be an error of 1e-4 in every probability.
    largest: Vec<R>,
    /// The sum of `largest`.
    taken: R,
}

impl<'a, R: Real> Lattice<'a, R> {
    fn new(item: &Item<'a, R>, blank: usize) -> Self {
        let mut lattice = Lattice {
            labels: item.labels,
            blank,
            classes: item.classes,
            log_probabilities: Vec::with_capacity(item.logits.len()),
            largest: Vec::new(),
            taken: R::ZERO,
        };
        let mut taken = 0.0;
        for row in item.logits.chunks_exact(item.classes) {
            let largest = row.iter().fold(R::LOWEST, |largest, &x| x.max(largest));
            let sum: R = row.iter().map(|&x| (x - largest).exp()).sum();
            let lse = largest + sum.ln();
            lattice.log_probabilities.extend(row.iter().map(|&x| x - lse));
            let named =
                item.labels.iter().fold(row[blank], |best, &label| row[label as usize].max(best));
            let best = named.max(R::LOWEST) - lse;
            lattice.largest.push(best);
            taken += best.to_f64();
        }
        lattice.taken = R::new(taken);
        lattice
    }

    fn states(&self) -> usize {
        2 * self.labels.len() + 1
    }

    fn label(&self, state: usize) -> usize {
        if state.is_multiple_of(2) { self.blank } else { self.labels[state / 2] as usize }
    }

    /// True if an alignment may enter a state from two states before: over a blank between two
    /// different labels.
    fn skips(&self, state: usize) -> bool {
        state % 2 == 1 && state >= 2 && self.label(state) != self.label(state - 2)
    }

    fn emission(&self, t: usize, state: usize) -> R {
        self.log_probabilities[t * self.classes + self.label(state)] - self.largest[t]
    }

    /// Log-probability of all paths into each state, [time, states].
    fn forward(&self) -> Vec<R> {
        let (time, states) = (self.largest.len(), self.states());
        let mut forward = vec![R::NEG_INFINITY; time * states];
        for t in 0..time {
            for s in 0..states {
                let before = |back: usize| forward[(t - 1) * states + s - back];
                let mut sum = if s < 2 { R::ZERO } else { R::NEG_INFINITY };
                if t > 0 {
                    sum = before(0);
                    if s >= 1 {
                        sum = add(sum, before(1));
                    }
                    if self.skips(s) {
                        sum = add(sum, before(2));
                    }
                }
                forward[t * states + s] = sum + self.emission(t, s);
            }
        }
        forward
    }

    /// Log-probability of all paths from each state to the end, [time, states].
    fn backward(&self) -> Vec<R> {
        let (time, states) = (self.largest.len(), self.states());
        let mut backward = vec![R::NEG_INFINITY; time * states];
        for t in (0..time).rev() {
            for s in 0..states {
                let behind = |ahead: usize| {
                    backward[(t + 1) * states + s + ahead] + self.emission(t + 1, s + ahead)
                };
                let mut sum = if s + 2 >= states { R::ZERO } else { R::NEG_INFINITY };
                if t + 1 < time {
                    sum = behind(0);
                    if s + 1 < states {
                        sum = add(sum, behind(1));
                    }
                    if s + 2 < states && self.skips(s + 2) {
                        sum = add(sum, behind(2));
                    }
                }
                backward[t * states + s] = sum;
            }
        }
        backward
    }
}

/// ln(e^x + e^y), where −∞ is the logarithm of 0.
fn add<R: Real>(x: R, y: R) -> R {
    let (small, large) = if x < y { (x, y) } else { (y, x) };
    if small == R::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}
