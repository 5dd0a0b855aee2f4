//! Layer norm: constant rows, far means; RMS norm's values.

use super::*;
use crate::nn::ops::norm::tests::{Call, difference, milliseconds};
use crate::nn::ops::rms_norm::RmsNorm;

#[test]
fn a_constant_row_gives_exactly_the_bias() {
    for width in [4, 7, 130] {
        let mut call = Call::new(LayerNorm::new(width), &[width], 1, 3);
        // A number whose sum over the row is rounded.
        call.inputs[0].fill(f64::from(0.1_f32));
        let bias = call.parameters[width..].repeat(3);
        for found in call.everywhere() {
            assert_eq!(found.output, bias, "{width}");
        }
    }
}

#[test]
fn a_mean_far_from_zero_leaves_the_variance_its_digits() {
    let op = LayerNorm { affine: false, ..LayerNorm::new(256) };
    let mut call = Call::new(op, &[256], 1, 4);
    for x in &mut call.inputs[0] {
        *x = f64::from((1e4 + 1.7 * *x) as f32);
    }
    let found = call.everywhere();
    for other in &found[1..] {
        // The mean is rounded to 1e-3/2.
        assert!(difference(&other.output, &found[0].output) <= 1e-3);
    }
}

#[test]
fn nan_stays_in_its_row() {
    let mut call = Call::new(LayerNorm::new(8), &[3, 8], 1, 2);
    call.inputs[0][2 * 8 + 5] = f64::NAN;
    for found in call.everywhere() {
        for list in [&found.output, &found.grad_inputs[0]] {
            assert!(list.iter().enumerate().all(|(place, x)| x.is_nan() == (place / 8 == 2)));
        }
    }
}

#[test]
fn rms_norm_has_the_values_of_pytorch() {
    // torch.nn.functional.rms_norm(torch.tensor([[1e-4, 0.]]), (2,)), torch 2.15.
    let op = RmsNorm { affine: false, ..RmsNorm::new(2) };
    let mut call = Call::new(op, &[2], 1, 1);
    call.inputs[0] = vec![1e-4, 0.0];
    for found in call.everywhere() {
        assert!(difference(&found.output, &[0.283_741_533_756_256_1, 0.0]) <= 1e-6);
    }
}

/// PyTorch 2.15 needs 1.35 ms on two quiet cores. Run in release, alone.
#[test]
#[ignore = "a measurement"]
fn time_of_a_training_pass() {
    let time = milliseconds(&Call::new(LayerNorm::new(512), &[512], 1, 4096));
    assert!(time <= 0.9, "{time} ms");
    milliseconds(&Call::new(LayerNorm::new(128), &[64, 128], 1, 64));
    milliseconds(&Call::new(RmsNorm::new(512), &[512], 1, 4096));
}
