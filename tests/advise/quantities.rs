//! Numbers, counts, amounts.

use gradus::advise::TaskKind;

use crate::samples::{Sample, losses, value, warnings};

#[test]
fn normal_residuals_have_a_squared_loss_and_no_warning_at_any_size() {
    for (seed, rows) in [20, 40, 100, 300, 1000, 3000].into_iter().enumerate() {
        let mut sample = Sample::new(rows, seed as u64);
        let y = sample.line().into_iter().map(|mean| mean + sample.normal()).collect();
        let advice = sample.advice(y);
        assert_eq!(advice.task.kind, TaskKind::Numbers, "{rows} rows");
        assert_eq!(losses(&advice)[..2], ["mse", "huber"], "{rows} rows");
        assert_eq!(warnings(&advice), [""; 0], "{rows} rows");
        if rows >= 300 {
            // 1.345 times a noise of 1; a MADN of 300 rows has a standard error of 6 %.
            let delta = advice.losses[1].options["delta"].as_f64().unwrap();
            assert!((delta / 1.345 - 1.0).abs() < 0.25, "{rows} rows: {delta}");
        }
    }
}

#[test]
fn curves_and_uniform_laplacian_noise_are_no_heavy_tails() {
    let mut sample = Sample::new(3000, 5);
    let bent = |row: Vec<f64>| row[0].powi(2) + row[1];
    let curve = sample.x.clone().into_iter().map(|row| bent(row) + 0.1 * sample.normal()).collect();
    assert_eq!(losses(&sample.advice(curve))[0], "mse");
    let uniform = sample.line().into_iter().map(|mean| mean + sample.random.uniform()).collect();
    assert_eq!(losses(&sample.advice(uniform))[0], "mse");
    // Laplace's distribution is that of a difference of exponential numbers.
    let lines = sample.line().into_iter();
    let laplace = lines.map(|mean| mean + sample.gamma(1, 1.0) - sample.gamma(1, 1.0)).collect();
    let advice = sample.advice(laplace);
    assert_eq!(losses(&advice)[0], "mse", "{:?}", advice.statistics);
}

#[test]
fn heavy_tails_have_a_robust_loss_first_and_a_warning() {
    let mut sample = Sample::new(2000, 6);
    let line = sample.line();
    let student = line.iter().map(|mean| mean + sample.student(2)).collect();
    let advice = sample.advice(student);
    assert_eq!(losses(&advice)[..2], ["huber", "cauchy"]);
    assert!(advice.warns("heavy_tails"));
    // One target in twenty ten times as large, as by a wrong decimal point.
    let shifted =
        |(row, mean): (usize, &f64)| (30.0 + mean) * if row % 20 == 3 { 10.0 } else { 1.0 };
    let advice = sample.advice(line.iter().enumerate().map(shifted).collect());
    assert_eq!(losses(&advice)[..2], ["huber", "cauchy"]);
    assert!(value(&advice, "outlier_share") > 0.045);
    let text = &advice.warnings.iter().find(|one| one.kind == "heavy_tails").unwrap().text;
    assert!(text.contains("factor near 10"), "{text}");
    // The same with noise on a logarithmic scale, where a factor of ten is not far.
    let noisy: Vec<f64> = sample
        .line()
        .into_iter()
        .enumerate()
        .map(|(row, mean)| {
            (8.0 + 0.2 * mean + 0.5 * sample.normal()).exp()
                * if row % 20 == 3 { 10.0 } else { 1.0 }
        })
        .collect();
    assert_eq!(losses(&sample.advice(noisy))[0], "huber");
}

#[test]
fn counts_have_poissons_loss_and_only_wide_ones_are_over_dispersed() {
    let mut sample = Sample::new(2000, 7);
    let means: Vec<f64> = sample.line().iter().map(|line| (1.0 + 0.2 * line).exp()).collect();
    let poisson = means.iter().map(|mean| sample.poisson(*mean)).collect();
    let advice = sample.advice(poisson);
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Counts, "poisson_nll"));
    // Pearson's statistic has a standard error of √(2/n) = 0.03 beside 1.
    assert!((value(&advice, "dispersion") - 1.0).abs() < 0.1, "{:?}", advice.statistics);
    assert!(!losses(&advice).contains(&"tweedie") && advice.warnings.is_empty());
    // A gamma mixture with shape 1 has the variance μ + μ².
    let mixed = means.iter().map(|mean| {
        let own = sample.gamma(1, *mean);
        sample.poisson(own)
    });
    let mixed = mixed.collect();
    let advice = sample.advice(mixed);
    assert_eq!(losses(&advice)[..2], ["poisson_nll", "tweedie"]);
    assert!(value(&advice, "dispersion") > 2.0 && value(&advice, "over_dispersion_t") > 1.645);
    assert!(advice.losses[0].reason.contains("over-dispersed") && advice.warns("excess_zeros"));
    // Rare events: three different counts, most of them 0.
    let rare = means.iter().map(|mean| sample.poisson(0.05 * mean)).collect();
    let advice = sample.advice(rare);
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Counts, "poisson_nll"));
}

#[test]
fn amounts_with_zeros_have_tweedies_loss_with_the_power_of_their_variance() {
    let mut sample = Sample::new(3000, 8);
    // A Poisson number of gamma amounts of shape 2: power (2 + 2)/(2 + 1) = 4/3.
    let amounts: Vec<f64> = sample
        .line()
        .into_iter()
        .map(|line| {
            let claims = sample.poisson(0.7 * (0.3 * line).exp()) as usize;
            (0..claims).map(|_| sample.gamma(2, 100.0)).sum()
        })
        .collect();
    let advice = sample.advice(amounts);
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Amounts, "tweedie"));
    let power = advice.losses[0].options["power"].as_f64().unwrap();
    assert!((1.1..=1.9).contains(&power), "{power}");
    assert_eq!(warnings(&advice), [""; 0]);
}

#[test]
fn amounts_of_a_wide_scale_have_a_gamma_loss_and_whole_quantities_no_counts() {
    let mut sample = Sample::new(3000, 9);
    let means: Vec<f64> = sample.line().iter().map(|line| (8.0 + 0.5 * line).exp()).collect();
    let gamma = means.iter().map(|mean| sample.gamma(2, *mean)).collect();
    let advice = sample.advice(gamma);
    assert_eq!(losses(&advice)[0], "gamma_deviance");
    assert!((value(&advice, "park_slope") - 2.0).abs() < 0.4, "{:?}", advice.statistics);
    assert!(!advice.warns("heavy_tails"));
    // Prices of a narrow range are numbers, whole or not.
    let price = sample.line().into_iter().map(|line| (200_000.0 + 20_000.0 * line).round());
    let advice = sample.advice(price.collect());
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Numbers, "mse"));
}

#[test]
fn caps_and_a_variance_that_grows_are_reported_where_they_are() {
    let mut sample = Sample::new(2000, 10);
    let line = sample.line();
    let capped = line.iter().map(|mean| (mean + 0.3 * sample.normal()).min(3.0)).collect();
    let advice = sample.advice(capped);
    assert!(advice.warns("capped") && value(&advice, "largest_share") > 0.05);
    assert!(advice.warnings[0].text.contains("largest value, 3"), "{:?}", advice.warnings);
    let growing =
        line.iter().map(|mean| 20.0 + mean + (0.4 * mean).exp() * sample.normal()).collect();
    let advice = sample.advice(growing);
    assert!(advice.statistic("heteroscedasticity").unwrap().is_beyond);
    assert!(losses(&advice).contains(&"quantile"));
    // Whole years are as frequent at their ends as beside them.
    let years = line.iter().map(|mean| (2005.0 + 4.0 * mean).round().clamp(1980.0, 2030.0));
    let advice = sample.advice(years.collect());
    assert_eq!((advice.task.kind, warnings(&advice).len()), (TaskKind::Numbers, 0));
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let mut sample = Sample::new(500, 11);
    let y: Vec<f64> = sample.line().into_iter().map(|mean| mean + sample.student(3)).collect();
    let (one, other) = (sample.advice(y.clone()), sample.advice(y));
    assert_eq!(one, other);
}
