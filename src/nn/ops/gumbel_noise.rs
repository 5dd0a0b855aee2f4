//! Gumbel noise: in training y = x + scale·z with z = −ln(−ln u), elsewhere y = x. The order of
//! scores with this noise at scale 1 is a draw from the Plackett-Luce distribution of the scores.
//! Source: S. Bruch, S. Han, M. Bendersky and M. Najork at WSDM 2020.
//!
//! Nothing is stored: the gradient passes as it is. Element i of a batch [samples × numbers] has
//! u = (w + ½)·2⁻²³, w the high 23 bits of word i mod 4 of philox([i/4, node, noise₂, noise₃], [noise₀,
//! noise₁]): an odd multiple of 2⁻²⁴, which f32 holds, so that each device has the same u. z is from
//! −2.8 to 16.6. On a GPU forward is in place.

use std::sync::Arc;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, InPlace, Mode, Op, Saves,
    Shape,
};
use crate::nn::ops::dropout::{COUNTERS, draw};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const GUMBEL_NOISE: File = shader!("ops/gumbel_noise/gumbel_noise.wgsl");
const NUMBERS: File = shader!("lib/numbers.wgsl");
const RANDOM: File = shader!("lib/random.wgsl");

pub(crate) static ENTRY: Entry =
    Entry { name: "gumbel_noise", examples, programs: || [8.0, 64.0].map(program).into() };

/// y = x + scale·z in training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GumbelNoise {
    /// Finite and 0 or more.
    pub scale: f64,
}

fn examples() -> Vec<Example> {
    let example = |scale: f64, shape: &[usize]| Example {
        op: Box::new(GumbelNoise { scale }),
        inputs: vec![shape.into()],
    };
    vec![example(1.0, &[7]), example(0.25, &[2, 4]), example(0.0, &[3])]
}

fn program(lanes: f64) -> Program {
    Program::plain("gumbel_noise", &[GUMBEL_NOISE, NUMBERS, RANDOM], vec![("WORKGROUP", lanes)])
}

/// Adds the noise to the batch's part that begins at a multiple of four.
#[inline(always)]
fn add_to_part<R: Real>(mode: Mode, scale: R, start: usize, part: &mut [R]) {
    let mut words = [0; 4 * COUNTERS];
    for (number, numbers) in part.chunks_mut(4 * COUNTERS).enumerate() {
        draw((start / 4 + number * COUNTERS) as u32, mode, &mut words);
        for (x, &word) in numbers.iter_mut().zip(&words) {
            let u = (R::from_f32((word >> 9) as f32) + R::new(0.5)) * R::new((0.5_f64).powi(23));
            *x -= scale * (-u.ln()).ln();
        }
    }
}

impl Op for GumbelNoise {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        if !(self.scale >= 0.0 && self.scale.is_finite()) {
            return Err(Error::option(ENTRY.name, "scale", self.scale, "finite and 0 or more"));
        }
        match inputs {
            [shape] => Ok((*shape).clone()),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("{} inputs of shapes {inputs:?}", inputs.len()),
                allowed: "one".into(),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: true, backward: true, ..InPlace::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        if !io.mode.training || self.scale == 0.0 {
            return Ok(());
        }
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&program(lanes.into()))?;
        let vectors = ((io.rows * io.output.width) as u32).div_ceil(4);
        let scale = (self.scale as f32).to_bits();
        let params = gpu.upload(ENTRY.name, &[vectors, io.mode.node, scale, 0])?;
        let storage = [(&params).into(), io.output.buffer.into()];
        let workgroups = vectors.div_ceil(lanes);
        recorder.dispatch_stepped::<[u32; 4]>(&kernel, io.mode.noise, &storage, workgroups)
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Ok(())
    }
}

impl<R: Real> Cpu<R> for GumbelNoise {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        io.output.copy_from_slice(io.inputs[0]);
        if !io.mode.training || self.scale == 0.0 {
            return Ok(());
        }
        let (mode, scale) = (io.mode, R::new(self.scale));
        parallel::fill(io.output, parallel::PIECE, |start, part| {
            R::dispatch(
                #[inline(always)]
                || add_to_part(mode, scale, start, part),
            );
        });
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::op::{Parameters, Segments};

    const LENGTH: usize = 40_003;

    fn noise_of(scale: f64, mode: Mode) -> Vec<f64> {
        let mut output = vec![f64::NAN; LENGTH];
        let io = Forward {
            rows: 1,
            inputs: &[&[0.0; LENGTH]],
            ids: &[],
            parameters: Parameters { all: &[], ranges: &[], table: &[] },
            output: &mut output,
            saved: &mut [],
            statistics: Segments { all: &mut [], ranges: &[] },
            mode,
        };
        Cpu::<f64>::forward(&GumbelNoise { scale }, io).unwrap();
        output
    }

    fn mode(training: bool, node: u32) -> Mode {
        Mode { training, noise: [3, 0x8000_0001, 17, 5], node, place: 0, loss_scale: None }
    }

    /// Mean: Euler's constant; variance: π²/6.
    #[test]
    fn noise_has_the_mean_and_the_variance_of_a_gumbel_distribution() {
        let noise = noise_of(1.0, mode(true, 9));
        let mean = noise.iter().sum::<f64>() / LENGTH as f64;
        let variance = noise.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / LENGTH as f64;
        let (euler, expected) = (0.577_215_664_901_532_9, std::f64::consts::PI.powi(2) / 6.0);
        // Five standard deviations: of the mean, and of the variance, whose kurtosis is 5.4.
        let of_mean = 5.0 * (expected / LENGTH as f64).sqrt();
        let of_variance = 5.0 * expected * (4.4 / LENGTH as f64).sqrt();
        assert!((mean - euler).abs() < of_mean, "{mean}");
        assert!((variance - expected).abs() < of_variance, "{variance}");
        assert!(noise.iter().all(|z| (-2.9..=16.7).contains(z)));
    }

    #[test]
    fn each_node_has_its_own_noise_and_evaluation_none() {
        let noise = noise_of(1.0, mode(true, 9));
        assert_eq!(noise_of(1.0, mode(true, 9)), noise);
        let other = noise_of(1.0, mode(true, 10));
        // Equal at random once in 2²³.
        assert!(noise.iter().zip(&other).filter(|(a, b)| a == b).count() < 5);
        assert_eq!(noise_of(1.0, mode(false, 9)), vec![0.0; LENGTH]);
        let half = noise_of(0.5, mode(true, 9));
        assert!(half.iter().zip(&noise).all(|(half, whole)| *half == 0.5 * whole));
    }

    #[test]
    fn a_scale_outside_is_refused() {
        for scale in [-0.1, f64::INFINITY, f64::NAN] {
            let error = GumbelNoise { scale }.output(&[&vec![2]]).unwrap_err().to_string();
            assert!(error.starts_with("gumbel_noise: scale is"), "{error}");
        }
    }
}
