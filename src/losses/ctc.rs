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

    #[inline(always)]
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
        let mut ways: Vec<R> = Vec::with_capacity(states);
        for (t, row) in gradient.chunks_exact_mut(item.classes).enumerate() {
            let places = t * states..(t + 1) * states;
            ways.clear();
            ways.extend(places.map(|place| (forward[place] + backward[place] - total).exp()));
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
    /// True for states that an alignment may enter from two states before: over a blank between two
    /// different labels.
    skips: Vec<bool>,
}

impl<'a, R: Real> Lattice<'a, R> {
    #[inline(always)]
    fn new(item: &Item<'a, R>, blank: usize) -> Self {
        let mut lattice = Lattice {
            labels: item.labels,
            blank,
            classes: item.classes,
            log_probabilities: Vec::with_capacity(item.logits.len()),
            largest: Vec::with_capacity(item.logits.len() / item.classes),
            taken: R::ZERO,
            skips: Vec::new(),
        };
        let skips = |s: usize| s % 2 == 1 && s >= 2 && lattice.label(s) != lattice.label(s - 2);
        lattice.skips = (0..lattice.states()).map(skips).collect();
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

    /// The log-probability of each state's class at a time.
    #[inline(always)]
    fn emissions(&self, t: usize, output: &mut [R]) {
        let logs = &self.log_probabilities[t * self.classes..][..self.classes];
        for (state, slot) in output.iter_mut().enumerate() {
            *slot = logs[self.label(state)] - self.largest[t];
        }
    }

    /// Log-probability of all paths into each state, [time, states].
    #[inline(always)]
    fn forward(&self) -> Vec<R> {
        let (time, states) = (self.largest.len(), self.states());
        let mut forward = vec![R::NEG_INFINITY; time * states];
        // All paths into the states at the time before, behind two states that do not exist: the
        // loop over the states has neither a branch nor a lookup, and is vectorised.
        let mut before = vec![R::NEG_INFINITY; states + 2];
        let mut emissions = vec![R::ZERO; states];
        for (t, row) in forward.chunks_exact_mut(states).enumerate() {
            self.emissions(t, &mut emissions);
            if t == 0 {
                row.iter_mut().zip(&emissions).take(2).for_each(|(slot, &x)| *slot = x);
            } else {
                let sources = before[2..].iter().zip(&before[1..]).zip(&before[..states]);
                let cells = row.iter_mut().zip(&emissions).zip(&self.skips);
                for (((slot, &emission), &skips), ((&stay, &next), &skip)) in cells.zip(sources) {
                    let skip = R::select(skips, skip, R::NEG_INFINITY);
                    *slot = add(add(stay, next), skip) + emission;
                }
            }
            before[2..].copy_from_slice(row);
        }
        forward
    }

    /// Log-probability of all paths from each state to the end, [time, states].
    #[inline(always)]
    fn backward(&self) -> Vec<R> {
        let (time, states) = (self.largest.len(), self.states());
        let mut backward = vec![R::NEG_INFINITY; time * states];
        // As in `forward`, of the time behind, with its emissions, before two states that do not
        // exist.
        let mut behind = vec![R::NEG_INFINITY; states + 2];
        let mut emissions = vec![R::ZERO; states];
        let mut skips = self.skips.get(2..).unwrap_or(&[]).to_vec();
        skips.resize(states, false);
        for (t, row) in backward.chunks_exact_mut(states).enumerate().rev() {
            if t + 1 == time {
                row[states.saturating_sub(2)..].fill(R::ZERO);
            } else {
                let targets = behind[..states].iter().zip(&behind[1..]).zip(&behind[2..]);
                for ((slot, &skips), ((&stay, &next), &skip)) in
                    row.iter_mut().zip(&skips).zip(targets)
                {
                    let skip = R::select(skips, skip, R::NEG_INFINITY);
                    *slot = add(add(stay, next), skip);
                }
            }
            self.emissions(t, &mut emissions);
            for ((slot, &x), &emission) in behind.iter_mut().zip(&*row).zip(&emissions) {
                *slot = x + emission;
            }
        }
        backward
    }
}

/// ln(e^x + e^y), where −∞ is the logarithm of 0.
#[inline(always)]
fn add<R: Real>(x: R, y: R) -> R {
    let (small, large) = (R::select(x < y, x, y), R::select(x < y, y, x));
    R::select(small == R::NEG_INFINITY, large, large + (small - large).exp().ln_1p())
}
