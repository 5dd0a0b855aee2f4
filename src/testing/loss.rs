//! The judge of the losses.

use ndarray::{Array1, ArrayD};

use super::draw::{Case, draw};
use super::exact::{self, Expected};
use super::recipe::{Kind, recipes};
use super::{Bounded, Report, joint, options_value, sets_of_options, title};
use crate::Entry;
use crate::losses::{Family, Loss};
use crate::{Criterion, Device, Evaluation, Reduction, Result, Tensor};

/// Runs a loss on a device with each set of its options over many shapes, reductions, weights, masks and special
/// numbers, and judges values, gradients, counts and auxiliary outputs by the f64 reference. One report for each set.
///
/// # Errors
/// What the device reports; [`crate::Error::Option`] if the entry lists a variant that it refuses.
///
/// ```
/// use gradus::{Device, losses, testing};
///
/// for report in testing::check_loss(losses::entry("mse")?, &Device::cpu())? {
///     assert!(report.passed, "{}: {}", report.name, report.place);
/// }
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn check_loss(entry: &'static Entry<dyn Loss>, device: &Device) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let value = options_value(entry.name, options)?;
        let loss = (entry.make)(&value)?;
        if let Family::Joint(_, host) = loss.family() {
            reports.push(joint::check(entry, &value, &*host, device, title(entry.name, options))?);
            continue;
        }
        let kind = Kind::of(&*loss, options == "{}");
        let criterion = Criterion::from_boxed(loss, device)?;
        let reference = Criterion::from_boxed((entry.make)(&value)?, &Device::Reference)?;
        let mut report = Report::new(title(entry.name, options));
        for (number, recipe) in recipes(kind).iter().enumerate() {
            let case = draw(criterion.loss(), recipe, number);
            let expected = exact::expected(criterion.loss(), &case);
            let exact = reference.clone().reduction(case.reduction).evaluate_f64(&case.inputs(criterion.loss()))?;
            judge_reference(&case, &expected, &exact, &mut report);
            let criterion = criterion.clone().reduction(case.reduction);
            if case.resident {
                judge_resident(&criterion, &case, &expected, &mut report)?;
            } else {
                judge(&criterion, &case, &expected, &exact, &mut report)?;
            }
            report.cases += 1;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// The criterion's own work on the reference device: masks, factors, shapes. It differs from the second writing of
/// these rules by the order of one sum.
fn judge_reference(case: &Case, expected: &Expected, exact: &Evaluation<f64>, report: &mut Report) {
    let magnitude: f64 = expected.exact.values.iter().filter(|v| v.is_finite()).map(|v| v.abs()).sum();
    let nearly = |bounded: &Bounded, size: f64| Bounded {
        expected: bounded.expected.clone(),
        tolerance: bounded.expected.mapv(|x| 1e-12 * (if x.is_finite() { x.abs() } else { 0.0 } + size) + 1e-300),
    };
    let found = nearly(&expected.values, magnitude).compare(&exact.values);
    if !found.passed() {
        report.refuse(format!("value of {} on the reference device: {}", case.name, found.place));
    }
    let found = nearly(&expected.gradient, 0.0).compare(&exact.gradient);
    if !found.passed() {
        report.refuse(format!("gradient of {} on the reference device: {}", case.name, found.place));
    }
}

fn judge(
    criterion: &Criterion,
    case: &Case,
    expected: &Expected,
    exact: &Evaluation<f64>,
    report: &mut Report,
) -> Result<()> {
    let found = criterion.evaluate_f64(&case.inputs(criterion.loss()))?;
    report.add_value(&case.name, "value", expected.values.compare(&found.values));
    report.add_gradient(&case.name, "gradient", expected.gradient.compare(&found.gradient));
    if found.count != exact.count {
        report.refuse(format!("count of {} is {} instead of {}", case.name, found.count, exact.count));
    }
    let (Some(found), Some(exact)) = (&found.auxiliaries, &exact.auxiliaries) else {
        if case.auxiliary {
            report.refuse(format!("{}: no auxiliary outputs came back", case.name));
        }
        return Ok(());
    };
    let kept = kept_rows(criterion.loss(), case);
    for (name, bounded) in &expected.auxiliaries {
        let values = match *name {
            "lse" => &found.lse,
            "entropy" => &found.entropy,
            _ => &found.target_probability,
        };
        // Rows left out hold whatever is there.
        let mut values = ArrayD::from(Array1::from(values.clone()).into_dyn());
        for (row, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            values[row] = bounded.expected[row];
        }
        report.add_value(&case.name, name, bounded.compare(&values));
    }
    for row in (0..kept.len()).filter(|&row| kept[row]) {
        if found.argmax[row] != exact.argmax[row] || found.correct[row] != exact.correct[row] {
            let (a, b) = (found.argmax[row], exact.argmax[row]);
            report.refuse(format!("{}: argmax of row {row} is {a} instead of {b}", case.name));
        }
    }
    Ok(())
}

fn kept_rows(loss: &dyn Loss, case: &Case) -> Vec<bool> {
    let mask: Vec<bool> = case.mask.iter().flatten().copied().collect();
    let labels: Vec<i64> = case.labels.iter().flatten().copied().collect();
    let is_kept = |row: usize| {
        mask.get(row).copied().unwrap_or(true) && labels.get(row).is_none_or(|label| !loss.ignored().contains(label))
    };
    (0..case.rows).map(is_kept).collect()
}

/// The same through tensors that live on the device.
fn judge_resident(criterion: &Criterion, case: &Case, expected: &Expected, report: &mut Report) -> Result<()> {
    let device = criterion.device();
    let predictions = Tensor::from_array(device, case.predictions.view())?;
    let targets = match (&case.labels, &case.dense) {
        (Some(labels), _) => Tensor::from_labels(device, &labels.iter().copied().collect::<Vec<_>>())?,
        (None, Some(dense)) => Tensor::from_array(device, dense.view())?,
        (None, None) => return Ok(()),
    };
    let found = criterion.backward(&predictions, &targets)?;
    let value = ndarray::arr0(found.value()?).into_dyn();
    report.add_value(&case.name, "value", expected.values.compare(&value));
    let gradient = found.gradient.to_array()?.mapv(f64::from);
    report.add_gradient(&case.name, "gradient", expected.gradient.compare(&gradient));
    debug_assert!(case.reduction != Reduction::None, "there is no upstream for it here");
    Ok(())
}
