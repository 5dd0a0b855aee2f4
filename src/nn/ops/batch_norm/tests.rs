//! Batch norm: running statistics, evaluation, far means, NaN, the fused residual and ReLU.

use super::*;
use crate::nn::ops::group_norm::GroupNorm;
use crate::nn::ops::norm::tests::{Call, difference, milliseconds};

/// Columns of a matrix of `channels` numbers a row.
fn columns(x: &[f64], channels: usize) -> Vec<Vec<f64>> {
    (0..channels).map(|c| x[c..].iter().step_by(channels).copied().collect()).collect()
}

/// Mean and unbiased variance.
fn hand(x: &[f64]) -> [f64; 2] {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    [mean, squares / (x.len() - 1) as f64]
}

#[test]
fn running_statistics_after_two_passes_are_those_of_the_formula() {
    let op = BatchNorm { momentum: 0.25, ..BatchNorm::new(3) };
    let first = Call::new(op, &[2, 3], 1, 5);
    let mut second = Call::new(op, &[2, 3], 1, 5);
    second.inputs[0].iter_mut().for_each(|x| *x = f64::from((2.0 * *x + 1.0) as f32));
    let pairs = columns(&first.inputs[0], 3).into_iter().zip(columns(&second.inputs[0], 3));
    let expected: Vec<[f64; 2]> = pairs
        .map(|(first, second)| {
            let (first, second) = (hand(&first), hand(&second));
            [0.0, 1.0]
                .iter()
                .zip(first)
                .zip(second)
                .map(|((start, first), second)| {
                    0.75 * (0.75 * start + 0.25 * first) + 0.25 * second
                })
                .collect::<Vec<f64>>()
                .try_into()
                .unwrap()
        })
        .collect();
    for (place, found) in first.everywhere().into_iter().enumerate() {
        second.statistics = found.statistics;
        let found = second.everywhere().swap_remove(place).statistics;
        for (channel, [mean, var]) in expected.iter().enumerate() {
            let of = [found[channel], found[3 + channel]];
            let d = difference(&of, &[*mean, *var]);
            // A dozen roundings in f32.
            assert!(d <= if place == 0 { 1e-15 } else { 1e-6 }, "{place}: {of:?}, {mean}, {var}");
        }
    }
}

#[test]
fn evaluation_reads_the_running_statistics_and_leaves_them() {
    let op = BatchNorm { epsilon: 1e-3, ..BatchNorm::new(4) };
    let mut call = Call::new(op, &[3, 4], 1, 1);
    call.training = false;
    call.statistics = vec![0.5, -1.0, 2.0, 0.0, 4.0, 1.0, 0.25, 9.0];
    let expected: Vec<f64> = (call.inputs[0].iter().enumerate())
        .map(|(place, x)| {
            let c = place % 4;
            let scale = (call.statistics[4 + c] + 1e-3).sqrt();
            (x - call.statistics[c]) / scale * call.parameters[c] + call.parameters[4 + c]
        })
        .collect();
    for found in call.everywhere() {
        assert!(difference(&found.output, &expected) <= 1e-6, "{:?}, {expected:?}", found.output);
        assert_eq!(found.statistics, call.statistics);
    }
}

#[test]
fn a_mean_far_from_zero_leaves_the_variance_its_digits() {
    let op = BatchNorm { momentum: 1.0, affine: false, ..BatchNorm::new(2) };
    let mut call = Call::new(op, &[20, 2], 1, 300);
    for x in &mut call.inputs[0] {
        *x = f64::from((1e4 + 1.7 * *x) as f32);
    }
    let expected: Vec<[f64; 2]> = columns(&call.inputs[0], 2).iter().map(|x| hand(x)).collect();
    for found in call.everywhere() {
        for (channel, [mean, var]) in expected.iter().enumerate() {
            // One rounding of a number near 1e4, and several hundred of numbers near 1.
            assert!((found.statistics[channel] - mean).abs() <= 2e-3);
            let relative = found.statistics[2 + channel] / var - 1.0;
            assert!(relative.abs() <= 1e-4, "{relative}");
        }
    }
}

#[test]
fn one_value_per_channel_is_an_error_in_training_only() {
    let mut call = Call::new(BatchNorm::new(3), &[3], 1, 1);
    let error = call.on_cpu::<f32>().unwrap_err().to_string();
    assert!(error.contains("batch_norm") && error.contains("1 values per channel"), "{error}");
    call.training = false;
    assert!(call.on_cpu::<f32>().is_ok());
    crate::runtime::device::test_adapter::needs_gpu!();
    let device = crate::nn::ops::norm::tests::device();
    assert!(call.on_gpu(&device).is_ok());
    call.training = true;
    assert_eq!(call.on_gpu(&device).unwrap_err().to_string(), error);
}

#[test]
fn nan_stays_in_its_channel() {
    for relu in [false, true] {
        for (channels, broken) in [(3, 1), (4, 2)] {
            let op = BatchNorm { relu, ..BatchNorm::new(channels) };
            let mut call = Call::new(op, &[5, channels], 1, 9);
            call.inputs[0][7 * channels + broken] = f64::NAN;
            for found in call.everywhere() {
                // The running statistics of the channel stay what they were.
                let kept: Vec<f64> =
                    found.statistics.iter().skip(broken).step_by(channels).copied().collect();
                let before: Vec<f64> =
                    call.statistics.iter().skip(broken).step_by(channels).copied().collect();
                assert_eq!(kept, before.iter().map(|&x| f64::from(x as f32)).collect::<Vec<_>>());
                assert!(found.statistics.iter().all(|x| x.is_finite()));
                let lists = [&found.output, &found.grad_inputs[0]];
                for list in lists.into_iter().chain([&found.grad_parameters]) {
                    for (place, x) in list.iter().enumerate() {
                        let of_bias = std::ptr::eq(list, &found.grad_parameters)
                            && place >= channels
                            && !relu;
                        let is_broken = place % channels == broken && !of_bias;
                        assert_eq!(x.is_nan(), is_broken, "{relu}, {place}: {list:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn fused_residual_and_relu_are_the_ops_one_by_one() {
    let fused = BatchNorm { relu: true, residual: true, ..BatchNorm::new(6) };
    let fused = Call::new(fused, &[3, 6], 2, 8);
    let mut plain = Call::new(BatchNorm::new(6), &[3, 6], 1, 8);
    let normal = plain.on_cpu::<f64>().unwrap().output;
    let sums: Vec<f64> = normal.iter().zip(&fused.inputs[1]).map(|(y, r)| y + r).collect();
    let masked = plain.upstream.iter().zip(&sums).map(|(g, &y)| if y > 0.0 { *g } else { 0.0 });
    plain.upstream = masked.collect();
    let expected = plain.on_cpu::<f64>().unwrap();
    let output: Vec<f64> = sums.iter().map(|y| y.max(0.0)).collect();
    for (place, found) in fused.everywhere().into_iter().enumerate() {
        let most = if place == 0 { 0.0 } else { 2e-6 };
        assert!(difference(&found.output, &output) <= most);
        assert!(difference(&found.grad_inputs[0], &expected.grad_inputs[0]) <= most);
        assert!(difference(&found.grad_inputs[1], &plain.upstream) <= most);
        assert!(difference(&found.grad_parameters, &expected.grad_parameters) <= most);
    }
}

/// PyTorch 2.15 needs 1.2 ms on two quiet cores. Run in release, alone.
#[test]
#[ignore = "a measurement"]
fn time_of_a_training_pass() {
    let call = Call::new(BatchNorm::new(16), &[28, 28, 16], 1, 64);
    let time = milliseconds(&call);
    assert!(time <= 0.8, "{time} ms");
    milliseconds(&Call::new(BatchNorm::new(64), &[14, 14, 64], 1, 64));
    milliseconds(&Call::new(BatchNorm { relu: true, ..BatchNorm::new(16) }, &[28, 28, 16], 1, 64));
    milliseconds(&Call::new(GroupNorm::new(4, 16), &[28, 28, 16], 1, 64));
}
