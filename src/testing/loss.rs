//! Checks of the losses.

use std::fmt;

use half::f16;
use ndarray::{Array1, ArrayD, Zip};

use crate::losses::{Loss, LossDefinition, Template};
use crate::testing::case_generator::{Kind, case_generators};
use crate::testing::differences::differentiated;
use crate::testing::draw::{Case, draw};
use crate::testing::exact::Expected;
use crate::testing::report::{Bounded, Report, options_value, sets_of_options, title};
use crate::testing::{exact, multi_input};
use crate::{Criterion, Device, Entry, Error, Evaluation, Reduction, Result, Tensor};

/// Runs a loss on a device with each set of its options over many shapes, reductions, weights,
/// masks and special numbers, and compares values, gradients, counts and auxiliary outputs with the
/// f64 reference. One report per set.
///
/// # Errors
/// Errors of the device; [`crate::Error::Option`] if the entry lists an invalid variant.
///
/// # Example
/// ```
/// use gradus::{Device, losses, testing};
///
/// for report in testing::check_loss(losses::entry("mse")?, &Device::cpu())? {
///     assert!(report.passed, "{}: {}", report.name, report.place);
/// }
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn check_loss(
    entry: &'static Entry<dyn LossDefinition>,
    device: &Device,
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let value = options_value(entry.name, options)?;
        let loss = (entry.make)(&value)?;
        if let Template::Several(_, host) = loss.template() {
            reports.push(multi_input::check(
                entry,
                &value,
                &*host,
                device,
                title(entry.name, options),
            )?);
            continue;
        }
        let kind = Kind::of(&*loss, options == "{}");
        let criterion = Criterion::from_boxed(loss, device)?.with_tensor_shapes();
        let reference =
            Criterion::from_boxed((entry.make)(&value)?, &Device::Reference)?.with_tensor_shapes();
        reports.push(check_all(&criterion, &reference, kind, title(entry.name, options))?);
    }
    Ok(reports)
}

/// Checks a custom loss ([`crate::losses::custom`], or any type that implements [`Loss`]) like
/// those of the catalogue: its derivative against central differences of the reference, then the
/// device against the reference. On `cpu` and `reference` the loss's WGSL does not run, as
/// [`Checked::ran_wgsl`] and the table report.
///
/// # Errors
/// [`crate::Error::Check`] with a table of the checks if one failed; errors of the device; options
/// outside their domains.
///
/// # Example
/// ```
/// use gradus::{Device, losses::Huber, testing};
///
/// let checked = testing::check(&Huber::new(), &Device::cpu())?;
/// assert!(!checked.ran_wgsl && checked.to_string().contains("its WGSL was not run"));
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn check(loss: &(impl LossDefinition + Clone + 'static), device: &Device) -> Result<Checked> {
    let kind = Kind::of(loss, true);
    let name = loss.entry().name;
    let criterion = loss.clone().on(device)?.with_tensor_shapes();
    let reference = loss.clone().on(&Device::Reference)?.with_tensor_shapes();
    let reports = vec![
        differentiated(loss, format!("{name}: derivative"))?,
        check_all(&criterion, &reference, kind, format!("{name} on {}", device.name()))?,
    ];
    let checked = Checked { reports, ran_wgsl: matches!(device, Device::Gpu(_)) };
    match checked.reports.iter().filter(|report| !report.passed).count() {
        0 => Ok(checked),
        failed => Err(Error::Check { name: name.into(), failed, table: checked.to_string() }),
    }
}

/// Results of [`check`] if nothing failed.
#[derive(Clone, Debug)]
pub struct Checked {
    /// One for the derivative, one for the device.
    pub reports: Vec<Report>,
    /// True if the loss's WGSL ran: only on a GPU.
    pub ran_wgsl: bool,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            self.reports.iter().map(|report| report.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:<width$}  {:>5}  {:>11}  {:>14}  result",
            "check", "cases", "value error", "gradient error"
        )?;
        for report in &self.reports {
            let result = if report.passed { "passed" } else { "FAILED" };
            let Report { name, cases, value_error, gradient_error, .. } = report;
            writeln!(
                f,
                "{name:<width$}  {cases:>5}  {value_error:>11.1e}  {gradient_error:>14.1e}  {result}"
            )?;
            if !report.passed {
                writeln!(f, "  {}", report.place)?;
            }
        }
        if !self.ran_wgsl {
            writeln!(
                f,
                "its WGSL was not run: this device computes with the closure; check it on Device::gpu() too"
            )?;
        }
        Ok(())
    }
}

impl IntoIterator for Checked {
    type Item = Report;
    type IntoIter = std::vec::IntoIter<Report>;

    fn into_iter(self) -> Self::IntoIter {
        self.reports.into_iter()
    }
}

fn check_all(
    criterion: &Criterion,
    reference: &Criterion,
    kind: Kind,
    title: String,
) -> Result<Report> {
    let mut report = Report::new(title);
    for (number, case_generator) in case_generators(kind).iter().enumerate() {
        let case = draw(criterion.loss(), case_generator, number);
        let expected = exact::expected(criterion.loss(), &case)?;
        let exact = reference
            .clone()
            .reduction(case.reduction)
            .evaluate_f64(&case.inputs(criterion.loss()))?;
        check_reference(&case, &expected, &exact, &mut report);
        let criterion = criterion.clone().reduction(case.reduction);
        if case.resident {
            check_on_device(&criterion, &case, &expected, &mut report)?;
        } else {
            check_device(&criterion, &case, &expected, &exact, &mut report)?;
        }
        report.cases += 1;
    }
    Ok(report)
}

/// The criterion on the reference device: masks, factors, shapes. It differs from the independent
/// implementation of these rules by the order of one sum.
fn check_reference(case: &Case, expected: &Expected, exact: &Evaluation<f64>, report: &mut Report) {
    let magnitude: f64 =
        expected.exact.values.iter().filter(|v| v.is_finite()).map(|v| v.abs()).sum();
    let nearly = |bounded: &Bounded, size: f64| Bounded {
        expected: bounded.expected.clone(),
        tolerance: bounded
            .expected
            .mapv(|x| 1e-12 * (if x.is_finite() { x.abs() } else { 0.0 } + size) + 1e-300),
    };
    let found = nearly(&expected.values, magnitude).compare(&exact.values);
    if !found.passed() {
        report.refuse(format!("value of {} on the reference device: {}", case.name, found.place));
    }
    let found = nearly(&expected.gradient, 0.0).compare(&exact.gradient);
    if !found.passed() {
        report
            .refuse(format!("gradient of {} on the reference device: {}", case.name, found.place));
    }
}

fn check_device(
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
        report.refuse(format!(
            "count of {} is {} instead of {}",
            case.name, found.count, exact.count
        ));
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
        // Excluded rows have unspecified values.
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

fn kept_rows(loss: &dyn LossDefinition, case: &Case) -> Vec<bool> {
    let mask: Vec<bool> = case.mask.iter().flatten().copied().collect();
    let labels: Vec<i64> = case.labels.iter().flatten().copied().collect();
    let is_kept = |row: usize| {
        mask.get(row).copied().unwrap_or(true)
            && labels.get(row).is_none_or(|label| !loss.ignored().contains(label))
    };
    (0..case.rows).map(is_kept).collect()
}

/// The same through tensors on the device.
fn check_on_device(
    criterion: &Criterion,
    case: &Case,
    expected: &Expected,
    report: &mut Report,
) -> Result<()> {
    let device = criterion.device();
    let upload = if case.half { Tensor::from_array_as_half } else { Tensor::from_array };
    let predictions = upload(device, case.predictions.view())?;
    let targets = match (&case.labels, &case.dense) {
        (Some(labels), _) => {
            Tensor::from_labels(device, &labels.iter().copied().collect::<Vec<_>>())?
        }
        (None, Some(dense)) => upload(device, dense.view())?,
        (None, None) => return Ok(()),
    };
    let found = criterion.backward(&predictions, &targets)?;
    let value = ndarray::arr0(found.value()?).into_dyn();
    report.add_value(&case.name, "value", expected.values.compare(&value));
    let gradient = match case.half {
        true => Zip::from(&found.gradient.to_half_array()?)
            .and(&expected.gradient.expected)
            .map_collect(unrounded),
        false => found.gradient.to_array()?.mapv(f64::from),
    };
    report.add_gradient(&case.name, "gradient", expected.gradient.compare(&gradient));
    debug_assert!(case.reduction != Reduction::None, "there is no upstream for it here");
    Ok(())
}

/// Of the numbers that f16 rounds to this one, the nearest to the expected: any remaining
/// difference is not the rounding's error.
fn unrounded(found: &f16, expected: &f64) -> f64 {
    let number = found.to_f64();
    if found.is_nan() || expected.is_nan() {
        return number;
    }
    // Magnitudes increase with the bits; one unit beyond the largest, 2^16 represents infinity.
    let size_of = |bits: u16| if bits == 0x7c00 { 65_536.0 } else { f16::from_bits(bits).to_f64() };
    let bits = found.to_bits() & 0x7fff;
    let above =
        if bits == 0x7c00 { f64::INFINITY } else { (size_of(bits) + size_of(bits + 1)) / 2.0 };
    let below = if bits == 0 { -above } else { (size_of(bits - 1) + size_of(bits)) / 2.0 };
    let sign = if found.is_sign_negative() { -1.0 } else { 1.0 };
    sign * (sign * expected).clamp(below, above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_f16_rounds_away_is_no_error_and_nothing_else_is_forgiven() {
        let least = 2.0_f64.powi(-24);
        let cases = [
            (1.0, 1.0, 1.0),
            (1.0, 1.0004, 1.0004),
            (1.0, 1.1, 1.0 + 2.0_f64.powi(-11)),
            // Below a power of two the spacing is half.
            (-1.0, -0.9, -1.0 + 2.0_f64.powi(-12)),
            (0.0, least / 3.0, least / 3.0),
            (0.0, -1.0, -least / 2.0),
            (f64::INFINITY, 65_530.0, 65_530.0),
            (f64::INFINITY, 60_000.0, 65_520.0),
            (f64::INFINITY, f64::INFINITY, f64::INFINITY),
            (f64::NEG_INFINITY, f64::INFINITY, -65_520.0),
            (65_504.0, f64::INFINITY, 65_520.0),
        ];
        for (found, expected, nearest) in cases {
            assert_eq!(
                unrounded(&f16::from_f64(found), &expected),
                nearest,
                "{found} for {expected}"
            );
        }
        assert!(unrounded(&f16::NAN, &1.0).is_nan());
        assert_eq!(unrounded(&f16::ONE, &f64::NAN), 1.0);
    }
}
