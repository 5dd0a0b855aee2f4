//! Signs by hand, and verdicts on courses of known kind.

use super::*;
use crate::nn::train::history::Epoch;
use crate::nn::train::updates::Known;

/// A deviation of known size and no pattern, from −1 to 1.
fn jitter(step: usize) -> f64 {
    ((step as f64 * 12.9898).sin() * 43758.5453).fract()
}

fn history(steps: usize, loss: impl Fn(f64) -> f64) -> History {
    let steps = (0..steps).map(|step| loss(step as f64) * (1.0 + 0.1 * jitter(step))).collect();
    History { steps, known: Known { rate: Some(0.1), batch_rows: 32 }, ..History::default() }
}

fn of_epochs(losses: &[(f64, f64)]) -> History {
    let epochs =
        losses.iter().map(|&(loss, val)| Epoch { loss, val_loss: Some(val), ..Epoch::default() });
    History { epochs: epochs.collect(), ..History::default() }
}

#[test]
fn courses_of_known_kind_get_their_verdict() {
    for steps in [200, 1000, 20_000] {
        let n = steps as f64;
        let right = history(steps, |t| 0.3 + 2.0 * (-t / (0.1 * n)).exp()).diagnosis();
        assert_eq!((right.verdict, right.try_rate), (Verdict::Right, None), "{right:?}");
        let small = history(steps, |t| 2.3 - 0.5 * t / n).diagnosis();
        assert_eq!(small.verdict, Verdict::TooSmall, "{small:?}");
        assert!((small.try_rate.unwrap() - 0.3).abs() < 1e-12);
        let share = small.signs.unwrap().second_half.unwrap();
        assert!((share - 0.5).abs() < 0.1, "a straight line falls by halves: {share}");
        let rising = history(steps, |t| 1.0 + 0.2 * t / n).diagnosis();
        assert_eq!(rising.verdict, Verdict::TooLarge, "{rising:?}");
        let bump =
            history(steps, |t| 1.0 + 9.0 * (-((t / n - 0.2) / 0.05).powi(2)).exp()).diagnosis();
        assert_eq!(bump.verdict, Verdict::TooLarge, "{bump:?}");
        assert!((bump.try_rate.unwrap() - 0.1 / 3.0).abs() < 1e-12);
    }
    let sparse = history(200, |t| match t as usize {
        0..20 => (-t / 4.0).exp(),
        step if step % 5 < 2 => 1e-3,
        _ => 0.0,
    });
    let found = sparse.diagnosis();
    assert_ne!(found.verdict, Verdict::TooLarge, "{found:?}");
    assert_eq!(found.signs.unwrap().spikes, 0.0);
    let spiky =
        history(200, |t| if (t as usize).is_multiple_of(6) { 3.0 } else { 1.0 - 0.003 * t });
    assert_eq!(spiky.diagnosis().verdict, Verdict::TooLarge, "{:?}", spiky.diagnosis());
}

#[test]
fn little_is_said_of_little() {
    assert_eq!(history(59, |t| 1.0 + t).diagnosis().verdict, Verdict::Unclear);
    assert!(history(59, |t| 1.0 + t).diagnosis().to_string().is_empty());
    let mut scheduled = history(200, |t| 2.3 - 0.008 * t);
    scheduled.known.rate = None;
    assert_eq!(scheduled.diagnosis().verdict, Verdict::Unclear);
    // Losses below 0 have no multiple.
    let negative = history(200, |t| -1.0 + 3.0 * (-t / 20.0).exp());
    assert!(negative.diagnosis().signs.unwrap().highest.is_some());
    let below = history(200, |t| -2.0 + (-t / 20.0).exp()).diagnosis();
    assert_eq!((below.signs.unwrap().highest, below.verdict), (None, Verdict::Right));
    let mut broken = history(200, |t| 1.0 / (1.0 + t));
    broken.steps[70] = f64::NAN;
    assert_eq!(broken.diagnosis().verdict, Verdict::Unclear);
    broken.stopped = Some(Stop::NotFinite { epoch: 1, batch: 71, loss: f64::NAN, cause: None });
    assert_eq!(broken.diagnosis().verdict, Verdict::TooLarge);
}

#[test]
fn updates_part_small_from_short() {
    let with = |update_ratio: f64, cosine: f64| {
        let mut falling = history(200, |t| 2.3 - 0.008 * t);
        let signs = UpdateSigns { update_ratio, cosine: Some(cosine), gradient_norm: 1.0 };
        falling.updates = vec![signs; 200];
        falling.diagnosis()
    };
    assert_eq!(with(1e-4, 0.1).verdict, Verdict::TooSmall);
    assert_eq!(with(3e-3, 0.8).verdict, Verdict::TooSmall);
    assert_eq!(with(3e-3, 0.1).verdict, Verdict::TooShort);
    assert_eq!(with(3e-3, 0.1).signs.unwrap().update_ratio, Some(3e-3));
}

#[test]
fn spikes_are_counted_as_a_plain_loop_counts_them() {
    let mut losses: Vec<f64> = (0..140).map(|step| 1.0 + 0.1 * jitter(step)).collect();
    for step in [50, 77, 120] {
        losses[step] = 4.0;
    }
    let mut count = 0;
    for step in 40..140 {
        let back = |end: usize| median(losses[end - 20..end].to_vec());
        let away: Vec<f64> = (step - 20..step).map(|at| (losses[at] - back(at)).abs()).collect();
        count += usize::from(losses[step] > back(step) + 4.0 * median(away));
    }
    assert!((3..10).contains(&count));
    assert_eq!(spikes(&losses, 0.0), f64::from(count as u32) / 100.0);
}

#[test]
fn the_noise_scale_is_that_of_gradients_with_known_noise() {
    // gᵢ = G + noise with E|noise|² = S / B: Σ|g|² → |G|² + S / B, Σ gᵢ gᵢ₋₁ → |G|².
    let (dimensions, square, batch) = (400, 4.0, 32.0);
    let mut random = crate::cpu::random::Random::new(9, 0);
    let spread = (square / dimensions as f64).sqrt();
    let mut gradient =
        || -> Vec<f64> { (0..dimensions).map(|_| 0.1 + spread * random.normal()).collect() };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut before = gradient();
    let mut updates = Vec::new();
    for _ in 0..101 {
        let now = gradient();
        let norms = dot(&before, &before).sqrt() * dot(&now, &now).sqrt();
        let gradient_norm = dot(&now, &now).sqrt();
        updates.push(UpdateSigns {
            update_ratio: 1e-3,
            cosine: Some(dot(&before, &now) / norms),
            gradient_norm,
        });
        before = now;
    }
    // |G|² = 4, the noise of a batch 4: as many rows as a batch has.
    let found = noise_scale(&updates, batch as usize).unwrap();
    assert!((found / batch - 1.0).abs() < 0.1, "{found}");
    updates.iter_mut().for_each(|signs| signs.cosine = signs.cosine.map(|_| 0.0));
    assert_eq!(noise_scale(&updates, 32), None);
}

#[test]
fn over_fitting_and_plateaus_need_more_than_noise() {
    let over: Vec<(f64, f64)> = (0..20)
        .map(|epoch| {
            let t = epoch as f64;
            (1.0 / (1.0 + t), 0.5 + 0.004 * (t - 6.0).powi(2) + 0.005 * jitter(epoch))
        })
        .collect();
    let found = of_epochs(&over).diagnosis().overfitting.unwrap();
    assert!((5..=9).contains(&found.since) && found.rise > 0.4, "{found:?}");
    let flat: Vec<(f64, f64)> = (0..20)
        .map(|epoch| {
            let t = epoch as f64;
            (0.4 + 1.0 / (1.0 + t), 0.5 + (-t).exp() + 0.005 * jitter(epoch))
        })
        .collect();
    let found = of_epochs(&flat).diagnosis();
    assert_eq!(found.overfitting, None);
    assert!(found.plateau.is_some(), "{found:?}");
    let falling: Vec<(f64, f64)> =
        (0..20).map(|t| (1.0 - 0.04 * t as f64, 1.0 - 0.04 * t as f64)).collect();
    let found = of_epochs(&falling).diagnosis();
    assert_eq!((found.overfitting, found.plateau), (None, None));
}
