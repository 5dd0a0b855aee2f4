//! RNN transducer.

use crate::losses::prelude::*;
use crate::templates::multi_input::cpu::missing;
use crate::templates::transducer::{Nodes, Transducer};

options! {
    /// RNN transducer: labels of a sequence without known positions in time, given out one after
    /// another by a network that sees those before, as in streaming speech recognition.
    ///
    /// Per item −ln Σ over all paths through the nodes (t, u), from (0, 0): a blank goes on to
    /// (t + 1, u), the label u + 1 to (t, u + 1), and the blank at the last node ends the path; a path
    /// has the product of the probabilities of its steps. Derivative by x[t, u, c]: s softmax(x[t, u])
    /// at c, less the share of the paths that leave the node by c; s is the share of all paths that
    /// meet the node.
    ///
    /// Inputs: `predictions` [batch, time, length + 1, classes], logits; `targets` [batch, length] with
    /// arbitrary padding; `input_lengths` `[batch]` from 1 to time and `target_lengths` `[batch]` up to
    /// length. One value per item; `mean` divides by the number of items, as torchaudio does. An item
    /// without a path of a probability above 0 has value ∞ and gradient NaN. Tensors on a device are
    /// not read back: there a wrong length or label makes its item NaN.
    ///
    /// torchaudio `RNNTLoss` (whose `blank` is the last class by default, and `fused_log_softmax`
    /// true).
    /// Source: A. Graves, Sequence transduction with recurrent neural networks, 2012.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Rnnt}};
    /// use ndarray::{Array4, array};
    ///
    /// let logits = Array4::<f32>::zeros((1, 2, 2, 2)); // two rows, one label; blank and 1 equally likely
    /// let (targets, rows, labels) = (array![[1_i64]], array![2_i64], array![1_i64]);
    /// let inputs = Inputs::new(&logits, &targets).input("input_lengths", &rows).input("target_lengths", &labels);
    /// let step = Rnnt::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// // The label in the first row or in the second, and a blank in each: two paths of three steps.
    /// assert!((step.value() + 0.25_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Rnnt of "rnnt" {
        /// Class of the blank.
        blank: u32 = 0, "a class" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "rnnt",
    summary: "sequences whose alignment is not known, with a network over the labels: streaming speech",
    formula: "−ln Σ_paths Π p(step)",
    options: Rnnt::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "A. Graves, Sequence transduction with recurrent neural networks, 2012",
    variants: &[r#"{"blank": 2}"#],
    shader: crate::runtime::wgsl::shader!("losses/rnnt.wgsl"),
    make: make::<Rnnt>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[batch, time, length + 1, classes]: logits",
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

impl LossDefinition for Rnnt {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::transducer(self, ENTRY.name, ARGUMENTS)
    }
}

/// ln(e^x + e^y), where −∞ is the logarithm of 0.
fn add(x: f64, y: f64) -> f64 {
    let (small, large) = if x < y { (x, y) } else { (y, x) };
    if small == f64::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}

impl Transducer for Rnnt {
    fn blank(&self) -> usize {
        self.blank as usize
    }

    fn item(&self, nodes: &Nodes<'_>, gradient: &mut [f64]) -> Result<f64> {
        let (classes, labels) = (nodes.classes, nodes.labels.len());
        let width = labels + 1;
        let time = nodes.logs.len() / (width * classes);
        let blank = |node: usize| nodes.logs[node * classes + self.blank as usize];
        let label = |node: usize| nodes.logs[node * classes + nodes.labels[node % width] as usize];
        let mut forward = vec![f64::NEG_INFINITY; time * width];
        for node in 0..forward.len() {
            let mut sum = if node == 0 { 0.0 } else { f64::NEG_INFINITY };
            if node >= width {
                sum = add(sum, forward[node - width] + blank(node - width));
            }
            if node % width > 0 {
                sum = add(sum, forward[node - 1] + label(node - 1));
            }
            forward[node] = sum;
        }
        // Behind the last row there is the end, after the last label alone.
        let mut backward = vec![f64::NEG_INFINITY; (time + 1) * width];
        *backward.last_mut().ok_or_else(|| missing("a node"))? = 0.0;
        let by_label = |node: usize, backward: &[f64]| {
            if node % width == labels {
                f64::NEG_INFINITY
            } else {
                label(node) + backward[node + 1]
            }
        };
        for node in (0..time * width).rev() {
            backward[node] = add(blank(node) + backward[node + width], by_label(node, &backward));
        }
        let total = backward[0];
        if total == f64::NEG_INFINITY {
            gradient.fill(f64::NAN);
            return Ok(f64::INFINITY);
        }
        let logs = nodes.logs.chunks_exact(classes);
        for (node, (row, logs)) in gradient.chunks_exact_mut(classes).zip(logs).enumerate() {
            let share = |log: f64| (forward[node] + log - total).exp();
            let of_blank = share(blank(node) + backward[node + width]);
            let of_label = share(by_label(node, &backward));
            for (slot, log) in row.iter_mut().zip(logs) {
                *slot = (of_blank + of_label) * log.exp();
            }
            row[self.blank as usize] -= of_blank;
            if node % width < labels {
                row[nodes.labels[node % width] as usize] -= of_label;
            }
        }
        Ok(-total)
    }
}
