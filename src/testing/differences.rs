//! Checks of the reference: central differences of its own values.

use crate::losses::{LossDefinition, Template};
use crate::testing::case_generator::{CaseGenerator, Kind, Size, case_generators};
use crate::testing::draw::{Case, draw};
use crate::testing::exact::{Move, finite, like, run};
use crate::testing::multi_input;
use crate::testing::report::{Bounded, FLUSHED, Report, options_value, sets_of_options, title};
use crate::{Entry, Reduction, Result};

/// Compares the reference's derivative with central differences of its own values, for every set of
/// options.
///
/// (f(x − 2h) − 8f(x − h) + 8f(x + h) − f(x + 2h))/12h with h = 2⁻¹⁰: the truncation error is h⁴/30
/// of the fifth derivative, 3e-14 times it; rounding adds 1.5 units of f64 over h, 4e-13 of the
/// values. Next to a kink the differences of h and 2h disagree, and only then is an element
/// skipped, at most one in ten.
///
/// # Errors
/// [`crate::Error::Option`] if the entry lists an invalid variant.
pub fn central_differences(entry: &'static Entry<dyn LossDefinition>) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let loss = (entry.make)(&options_value(entry.name, options)?)?;
        loss.check()?;
        if let Template::Several(_, host) = loss.template() {
            if !host.derives_its_value() {
                continue;
            }
            reports.push(multi_input::differentiate(&*loss, &*host, title(entry.name, options))?);
            continue;
        }
        reports.push(differentiated(&*loss, title(entry.name, options))?);
    }
    Ok(reports)
}

/// The same for one loss of predictions and targets.
pub(super) fn differentiated(loss: &dyn LossDefinition, title: String) -> Result<Report> {
    let mut report = Report::new(title);
    let small = |case_generator: &CaseGenerator| {
        case_generator.shape.iter().product::<usize>() <= 1000
            && case_generator.size == Size::Usual
            && !case_generator.resident
    };
    for (number, case_generator) in case_generators(Kind::of(loss, true))
        .iter()
        .filter(|case_generator| small(case_generator))
        .enumerate()
    {
        // Plain sum, without an upstream: each gradient is that of its own element or row.
        let case_generator =
            CaseGenerator { reduction: Reduction::Sum, upstream: false, ..*case_generator };
        differentiate(loss, &draw(loss, &case_generator, number), &mut report)?;
    }
    Ok(report)
}

fn differentiate(loss: &dyn LossDefinition, case: &Case, report: &mut Report) -> Result<()> {
    const STEP: f64 = 1.0 / 1024.0;
    let exact = run(loss, case, Move::Nothing)?;
    let rowwise = !loss.is_pointwise();
    let width = if rowwise { case.columns } else { 1 };
    let mut skipped = 0;
    let mut expected = exact.gradient.clone();
    let mut tolerance = vec![FLUSHED; expected.len()];
    for column in 0..case.columns {
        let at = |steps: f64| {
            run(loss, case, Move::Column(column, steps * STEP)).map(|exact| exact.values)
        };
        let [a, b, c] = [at(-4.0)?, at(-2.0)?, at(-1.0)?];
        let [d, e, f] = [at(1.0)?, at(2.0)?, at(4.0)?];
        for row in 0..exact.gradient.len() / case.columns {
            let i = row * case.columns + column;
            let u = i / width;
            let fine = (b[u] - 8.0 * c[u] + 8.0 * d[u] - e[u]) / (12.0 * STEP);
            let coarse = (a[u] - 8.0 * b[u] + 8.0 * e[u] - f[u]) / (24.0 * STEP);
            let rounding = 1e-11 * (1.0 + finite(exact.values[u]));
            let agree = (fine - coarse).abs() <= 1e-7 * fine.abs() + rounding;
            if agree {
                expected[i] = fine;
                tolerance[i] = 1e-6 * fine.abs() + rounding;
            } else if exact.values[u].is_finite() {
                // An infinite value has no differences.
                skipped += 1;
            }
        }
    }
    report.cases += 1;
    if skipped * 10 > expected.len() + 10 {
        report.refuse(format!(
            "{}: {skipped} of {} elements lie at kinks",
            case.name,
            expected.len()
        ));
    }
    let checked = Bounded {
        expected: like(&case.predictions, &expected),
        tolerance: like(&case.predictions, &tolerance),
    };
    let found = like(&case.predictions, &exact.gradient);
    report.add_gradient(&case.name, "derivative", checked.compare(&found));
    Ok(())
}
