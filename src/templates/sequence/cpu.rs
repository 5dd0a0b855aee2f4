//! Sequence losses on the CPU: rows of logits [time, batch, classes] and a row of labels per item.
//! CPU implementation of `shaders/templates/sequence/sequence_*.wgsl`.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::sequence::{Item, Sequence};
use crate::{Error, Result};

/// Kernel template around a loss.
pub struct SequenceTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's name, for messages.
    pub name: &'static str,
}

/// The axis lengths of a call.
struct Axes {
    time: usize,
    batch: usize,
    classes: usize,
    length: usize,
}

impl Axes {
    fn of<R: Real>(call: &MultiInput<'_, R>) -> Result<Self> {
        let shape = &call.required("predictions")?.shape;
        let &[time, batch, classes] = &shape[..] else {
            return Err(Error::Shape {
                operation: "a loss of sequences".into(),
                found: format!("predictions is {shape:?}"),
                allowed: "it must be [time, batch, classes]".into(),
            });
        };
        let length = call.required_integers("targets")?.len() / batch.max(1);
        Ok(Axes { time, batch, classes, length })
    }
}

/// Replaces lengths and labels of masked items that are out of range by the least: a device reads
/// them.
pub(crate) fn clear_masked(
    call: &mut MultiInput<'_, f32>,
    lengths: [(&'static str, usize, usize); 2],
    classes: usize,
) {
    let mask = &call.mask;
    let mut clear = |name: &str, least: usize, most: usize| {
        let Some(array) = call.integers.iter_mut().find(|array| array.name == name) else { return };
        let each = array.values.len() / mask.len().max(1);
        let is_bad = |n: i32| !usize::try_from(n).is_ok_and(|n| (least..=most).contains(&n));
        for item in (0..mask.len()).filter(|&item| !mask[item]) {
            let places = item * each..(item + 1) * each;
            if array.values[places.clone()].iter().any(|&n| is_bad(n)) {
                let own = &mut array.values.to_mut()[places];
                own.iter_mut().filter(|n| is_bad(**n)).for_each(|n| *n = least as i32);
            }
        }
    };
    for (name, least, most) in lengths {
        clear(name, least, most);
    }
    clear("targets", 0, classes.saturating_sub(1));
}

impl<L: Sequence> MultiInputTemplate for SequenceTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        shapes.require_axes("predictions", 3, "[time, batch, classes]")?;
        shapes.require_axes("targets", 2, "[batch, length], padded")?;
        let batch = shapes.of("predictions")?[1];
        shapes.require("targets", &[batch, shapes.of("targets")?[1]], "predictions")?;
        shapes.require("input_lengths", &[batch], "predictions")?;
        shapes.require("target_lengths", &[batch], "predictions")?;
        Ok(Units { shape: vec![batch], rows: batch })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let batch = rows.div_ceil(16);
        let (time, from) = (rows.div_ceil(batch), self.loss.blank() + 1);
        // Usually enough rows for the labels and the blanks between equal ones.
        let length = columns.min(5).min(time / 2);
        vec![
            Example::of("predictions", &[time, batch, from + columns]),
            Example::whole("targets", &[batch, length], from, from + columns),
            Example::whole("input_lengths", &[batch], time - time / 4, time + 1),
            Example::whole("target_lengths", &[batch], 0, length + 1),
        ]
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let Axes { time, batch, classes, length } = Axes::of(call)?;
        let targets = call.required_integers("targets")?;
        let lengths = call.required_integers("target_lengths")?;
        let name = self.name;
        for (input, most, of) in
            [("input_lengths", time, "rows"), ("target_lengths", length, "places of targets")]
        {
            let given = call.required_integers(input)?;
            let is_bad = |n: i32| usize::try_from(n).is_err() || n as usize > most;
            let counts = |item: &usize| call.weight_of(*item).is_some();
            let bad = (0..batch).filter(counts).find(|&item| is_bad(given[item]));
            if let Some(item) = bad {
                return Err(Error::Input {
                    operation: name.into(),
                    name: input.into(),
                    found: format!("holds {} at item {item}", given[item]),
                    allowed: format!("it must be from 0 to {most}, the {of}"),
                });
            }
        }
        for item in (0..batch).filter(|&item| call.weight_of(item).is_some()) {
            for &label in &targets[item * length..][..lengths[item] as usize] {
                if usize::try_from(label).is_err() || label as usize >= classes {
                    let ignored = String::new();
                    return Err(Error::Label {
                        operation: name.into(),
                        row: item,
                        label: label.into(),
                        classes,
                        ignored,
                    });
                }
            }
        }
        // A masked item may have any length.
        let counted = |item: usize| if call.weight_of(item).is_some() { lengths[item] } else { 0 };
        let counted: Vec<i32> = (0..batch).map(counted).collect();
        self.loss.check_sequence(targets, &counted, length, classes)?;
        let scale = lengths.iter().map(|&n| 1.0 / f64::from(n.max(1))).collect();
        Ok(DivisorTerms { scale, ..DivisorTerms::default() })
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        let Axes { time, classes, length, .. } = Axes::of(call)?;
        clear_masked(call, [("input_lengths", 0, time), ("target_lengths", 0, length)], classes);
        Ok(())
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let Axes { batch, classes, length, .. } = Axes::of(call)?;
        let (logits, targets) = (call.required("predictions")?, call.required_integers("targets")?);
        let times = call.required_integers("input_lengths")?;
        let lengths = call.required_integers("target_lengths")?;
        let found: Vec<(R, Vec<R>)> = (0..batch)
            .into_par_iter()
            .map(|b| {
                let Some(weight) = call.weight_of(b) else { return (R::ZERO, Vec::new()) };
                let rows = (0..times[b] as usize)
                    .map(|t| &logits.values[(t * batch + b) * classes..][..classes]);
                let own: Vec<R> = rows.flatten().copied().collect();
                let labels = &targets[b * length..][..lengths[b] as usize];
                let mut gradient = vec![R::ZERO; own.len()];
                let item = Item { logits: own, classes, labels };
                let value = R::dispatch(
                    #[inline(always)]
                    || self.loss.item(&item, &mut gradient),
                );
                let derivative = weight * call.upstream_of(b);
                gradient.iter_mut().for_each(|g| *g *= derivative);
                (weight * value, gradient)
            })
            .collect();
        let gradient = gradients.first_mut().ok_or_else(|| missing("a gradient"))?;
        gradient.fill(R::ZERO);
        for (b, (value, own)) in found.iter().enumerate() {
            values[b] = *value;
            for (t, row) in own.chunks_exact(classes).enumerate() {
                gradient[(t * batch + b) * classes..][..classes].copy_from_slice(row);
            }
        }
        Ok(())
    }
}
