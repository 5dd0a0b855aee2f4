//! The numbers of an input against the domain that its loss names: dense targets, class lists,
//! labels.

use crate::cpu::{parallel, simd};
use crate::criterion::inputs::{input_error, wants_labels};
use crate::error::text::exact;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, Mean};
use crate::{Error, Result};

/// Rejects targets outside the loss's domain. NaN is accepted and propagates.
pub(crate) fn check_dense(loss: &dyn LossDefinition, targets: &[f32]) -> Result<()> {
    check_domain(loss, "targets", loss.targets(), targets)
}

/// Rejects numbers of an input outside the given domain. NaN is accepted and propagates.
pub(crate) fn check_domain(
    loss: &dyn LossDefinition,
    name: &str,
    domain: Domain,
    targets: &[f32],
) -> Result<()> {
    let (found, allowed) = match domain {
        Domain::Sign => (
            first_refused(targets, |y| (y != 1.0) & (y != -1.0)),
            "they must be -1 or +1 (0 and 1: option labels = \"zero_one\")",
        ),
        Domain::ZeroOne => {
            (first_refused(targets, |y| (y != 0.0) & (y != 1.0)), "they must be 0 or 1")
        }
        Domain::Probability => {
            (first_refused(targets, |y| !(0.0..=1.0).contains(&y)), "they must be from 0 to 1")
        }
        Domain::LogProbability => (first_refused(targets, |y| y > 0.0), "they must not be above 0"),
        Domain::Positive => (first_refused(targets, |y| y <= 0.0), "they must be above 0"),
        Domain::NonNegative | Domain::Variance | Domain::Distribution => {
            (first_refused(targets, |y| y < 0.0), "they must not be negative")
        }
        Domain::Label => return Err(wants_labels(name)),
        Domain::ClassList => (
            first_refused(targets, |y| (y < -1.0) | (y.fract() != 0.0)),
            "they must be class numbers, each row's list ended by -1",
        ),
        Domain::Grade => (
            first_refused(targets, |y| y > 100.0),
            "they must be up to 100: 2 to the power of each is taken",
        ),
        Domain::Real
        | Domain::Exponent
        | Domain::Logits
        | Domain::Cosine
        | Domain::LogDistribution
        | Domain::Class
        | Domain::Relevance
        | Domain::Time => return Ok(()),
    };
    let Some(index) = found else {
        return Ok(());
    };
    Err(input_error(
        loss,
        name,
        format!("hold {} at element {index}", exact(targets[index].into())),
        allowed,
    ))
}

/// Rejects an invalid class in a row's class list; `keeps` is true for the included rows.
pub(crate) fn check_class_lists(
    loss: &dyn LossDefinition,
    targets: &[f32],
    classes: usize,
    keeps: impl Fn(usize) -> bool,
) -> Result<()> {
    for (row, list) in targets.chunks_exact(classes).enumerate().filter(|(row, _)| keeps(*row)) {
        let mut listed = list.iter().take_while(|&&class| class != -1.0);
        if let Some(&class) = listed.find(|&&class| class >= classes as f32) {
            // Far from every class, the message shows the number as stored: a conversion to i64
            // would change it.
            if class.abs() >= 1e9 {
                let found = format!("name class {} in row {row}", exact(class.into()));
                return Err(input_error(
                    loss,
                    "targets",
                    found,
                    format!("classes are 0 to {}", classes - 1),
                ));
            }
            return Err(label_error(loss, row, class as i64, classes));
        }
    }
    Ok(())
}

/// The contribution of one list to the divisor of `mean`: the number of item pairs with different
/// targets, or 1 if the list has an item.
pub(crate) fn list_units(loss: &dyn LossDefinition, targets: &[f32]) -> usize {
    // NaN does not count as padding.
    let kept = || targets.iter().copied().filter(|&y| y.is_nan() || y >= 0.0);
    if loss.spec().mean != Mean::OverPairs {
        return usize::from(kept().next().is_some());
    }
    let mut truths: Vec<f32> = kept().map(|y| y + 0.0).collect();
    truths.sort_by(f32::total_cmp);
    let mut pairs = 0;
    let mut lower = 0;
    for (place, truth) in truths.iter().enumerate() {
        // As on the device: NaN compares neither above nor below anything.
        if place > 0 && *truth != truths[place - 1] {
            lower = place;
        }
        pairs += if truth.is_nan() { 0 } else { lower };
    }
    pairs
}

/// The position of the first rejected number that is not NaN. Runs on all cores and without a
/// branch per number: a sequential search took five times as long as the loss itself.
fn first_refused(targets: &[f32], refused: impl Fn(f32) -> bool + Sync) -> Option<usize> {
    let is_bad = |y: f32| refused(y) & !y.is_nan();
    let bad = parallel::sum(targets.len(), parallel::PIECE, |range| {
        simd::dispatch(
            #[inline(always)]
            || targets[range].iter().fold(0_u32, |count, &y| count + u32::from(is_bad(y))),
        )
        .into()
    });
    if bad == 0.0 { None } else { targets.iter().position(|&y| is_bad(y)) }
}

/// Rejects a label that is neither a class nor ignored; `keeps` is true for the included rows.
pub(crate) fn check_labels(
    loss: &dyn LossDefinition,
    labels: &[i64],
    columns: usize,
    keeps: impl Fn(usize) -> bool,
) -> Result<()> {
    let classes = loss.classes(columns);
    // Usually all labels are valid, which a branch-free loop confirms fastest. A negative label
    // cast to unsigned is a large one.
    let others: usize =
        labels.iter().map(|&label| usize::from(label as u64 >= classes as u64)).sum();
    if others == 0 {
        return Ok(());
    }
    let ignored = loss.ignored();
    let bad = labels.iter().enumerate().find(|&(row, label)| {
        !(usize::try_from(*label).is_ok_and(|label| label < classes))
            && !ignored.contains(label)
            && keeps(row)
    });
    match bad {
        None => Ok(()),
        Some((row, &label)) => Err(label_error(loss, row, label, classes)),
    }
}

/// Builds an [`Error::Label`] that lists the ignored labels.
pub(crate) fn label_error(
    loss: &dyn LossDefinition,
    row: usize,
    label: i64,
    classes: usize,
) -> Error {
    let list: Vec<String> = loss.ignored().iter().map(ToString::to_string).collect();
    let ignored = if list.is_empty() {
        String::new()
    } else {
        format!(" or an ignored one ({})", list.join(", "))
    };
    Error::Label { operation: loss.name().into(), row, label, classes, ignored }
}
