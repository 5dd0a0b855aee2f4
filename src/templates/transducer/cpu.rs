//! Transducers on the CPU. CPU implementation of `shaders/templates/transducer/*.wgsl`.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::sequence::cpu::clear_masked;
use crate::templates::transducer::{Nodes, Transducer};
use crate::{Error, Result};

/// Kernel template around a loss.
pub struct TransducerTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's name, for messages.
    pub name: &'static str,
}

/// The axis lengths of a call.
pub(crate) struct Axes {
    pub batch: usize,
    pub time: usize,
    /// Number of labels; one less than the nodes of a row.
    pub length: usize,
    pub classes: usize,
}

impl Axes {
    pub fn of(shape: &[usize]) -> Result<Self> {
        let &[batch, time, nodes, classes] = shape else {
            return Err(Error::Shape {
                operation: "a transducer".into(),
                found: format!("predictions is {shape:?}"),
                allowed: "it must be [batch, time, length + 1, classes]".into(),
            });
        };
        Ok(Axes { batch, time, length: nodes.saturating_sub(1), classes })
    }
}

/// The log-probabilities of a row of logits; `None` for a row that has none.
fn log_softmax<R: Real>(row: &[R], logs: &mut Vec<f64>) -> Option<()> {
    let numbers = || row.iter().map(|x| x.to_f64());
    let largest = numbers().fold(f64::NEG_INFINITY, f64::max);
    if numbers().any(f64::is_nan) || largest == f64::INFINITY {
        return None;
    }
    let sum: f64 = numbers().map(|x| (x - largest).exp()).sum();
    // A row of nothing but −∞ leads nowhere.
    let lse = if largest == f64::NEG_INFINITY { 0.0 } else { largest + sum.ln() };
    logs.extend(numbers().map(|x| x - lse));
    Some(())
}

impl<L: Transducer> TransducerTemplate<'_, L> {
    fn check_labels(&self, item: usize, labels: &[i32], classes: usize) -> Result<()> {
        let blank = self.loss.blank();
        let is_label = |label: i32| {
            usize::try_from(label).is_ok_and(|label| label < classes && label != blank)
        };
        let Some(&label) = labels.iter().find(|label| !is_label(**label)) else { return Ok(()) };
        Err(Error::Input {
            operation: self.name.into(),
            name: "targets".into(),
            found: format!("hold {label} in item {item}"),
            allowed: format!(
                "labels must be classes, 0 to {}, other than the blank, {blank}",
                classes - 1
            ),
        })
    }
}

impl<L: Transducer> MultiInputTemplate for TransducerTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let words = "[batch, time, length + 1, classes]";
        shapes.require_axes("predictions", 4, words)?;
        let given = shapes.of("predictions")?;
        if given[2] == 0 {
            return Err(shapes.unfit("predictions", given, words));
        }
        let (batch, length) = (given[0], given[2] - 1);
        shapes.require("targets", &[batch, length], "predictions")?;
        shapes.require("input_lengths", &[batch], "predictions")?;
        shapes.require("target_lengths", &[batch], "predictions")?;
        Ok(Units { shape: vec![batch], rows: batch })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let batch = rows.div_ceil(16);
        let (time, from) = (rows.div_ceil(batch), self.loss.blank() + 1);
        let length = columns.min(5);
        vec![
            Example::of("predictions", &[batch, time, length + 1, from + columns]),
            Example::whole("targets", &[batch, length], from, from + columns),
            Example::whole("input_lengths", &[batch], time - time / 4, time + 1),
            Example::whole("target_lengths", &[batch], 0, length + 1),
        ]
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let Axes { batch, time, length, classes } = Axes::of(&call.required("predictions")?.shape)?;
        let targets = call.required_integers("targets")?;
        let lengths = call.required_integers("target_lengths")?;
        if self.loss.blank() >= classes {
            let allowed = format!("a class, 0 to {}", classes - 1);
            return Err(Error::option(self.name, "blank", self.loss.blank(), &allowed));
        }
        for (input, least, most, of) in
            [("input_lengths", 1, time, "rows"), ("target_lengths", 0, length, "places of targets")]
        {
            let given = call.required_integers(input)?;
            let fits = |n: i32| usize::try_from(n).is_ok_and(|n| (least..=most).contains(&n));
            let counts = |item: &usize| call.weight_of(*item).is_some();
            if let Some(item) = (0..batch).filter(counts).find(|&item| !fits(given[item])) {
                return Err(Error::Input {
                    operation: self.name.into(),
                    name: input.into(),
                    found: format!("holds {} at item {item}", given[item]),
                    allowed: format!("it must be from {least} to {most}, the {of}"),
                });
            }
        }
        for item in (0..batch).filter(|&item| call.weight_of(item).is_some()) {
            self.check_labels(item, &targets[item * length..][..lengths[item] as usize], classes)?;
        }
        Ok(DivisorTerms::default())
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        let Axes { time, length, classes, .. } = Axes::of(&call.required("predictions")?.shape)?;
        clear_masked(call, [("input_lengths", 1, time), ("target_lengths", 0, length)], classes);
        Ok(())
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let logits = call.required("predictions")?;
        let Axes { time, length, classes, .. } = Axes::of(&logits.shape)?;
        let targets = call.required_integers("targets")?;
        let times = call.required_integers("input_lengths")?;
        let lengths = call.required_integers("target_lengths")?;
        let gradient = gradients.first_mut().ok_or_else(|| missing("a gradient"))?;
        let width = time * (length + 1) * classes;
        let items = gradient.par_chunks_mut(width).zip(values.par_iter_mut());
        items.enumerate().try_for_each(|(b, (gradient, value))| {
            gradient.fill(R::ZERO);
            *value = R::ZERO;
            let Some(weight) = call.weight_of(b) else { return Ok(()) };
            let [rows, count] = [times[b], lengths[b]].map(|n| n as usize);
            let mut logs = Vec::with_capacity(rows * (count + 1) * classes);
            let place = |t: usize, u: usize| (t * (length + 1) + u) * classes;
            let own = &logits.values[b * width..][..width];
            let nodes = (0..rows).flat_map(|t| (0..=count).map(move |u| (t, u)));
            let read = nodes
                .clone()
                .try_for_each(|(t, u)| log_softmax(&own[place(t, u)..][..classes], &mut logs));
            let mut found = vec![f64::NAN; rows * (count + 1) * classes];
            *value = R::NAN;
            if read.is_some() {
                let labels = &targets[b * length..][..count];
                let item = self.loss.item(&Nodes { logs, classes, labels }, &mut found)?;
                *value = weight * R::new(item);
            }
            let scale = weight * call.upstream_of(b);
            for ((t, u), row) in nodes.zip(found.chunks_exact(classes)) {
                let slots = gradient[place(t, u)..][..classes].iter_mut();
                slots.zip(row).for_each(|(slot, &x)| *slot = scale * R::new(x));
            }
            Ok(())
        })
    }
}
