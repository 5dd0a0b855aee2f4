//! Dynamic loss scaling of mixed-precision training: P. Micikevicius et al., *Mixed Precision
//! Training*, 2018.
//!
//! A gradient that is rounded to f16 for a product is multiplied by a power of two before, and the
//! product is divided by it: small gradients do not become 0. The factor is doubled after
//! [`GROWTH_INTERVAL`] steps with finite gradients; a step without is skipped, and halves it. These
//! numbers are those of PyTorch's `GradScaler`; the bounds are gradus' own. Everything but the operands of products stays
//! unscaled, so clips, accumulated gradients and the gradients that processes exchange are those of
//! f32 training.

use serde::{Deserialize, Serialize};

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const FILE: File = shader!("ops/half/loss_scale.wgsl");

/// Steps with finite gradients after which the factor doubles.
const GROWTH_INTERVAL: u32 = 2000;
const FIRST: f64 = 65536.0;
const LEAST: f64 = 1.0;
const MOST: f64 = 16_777_216.0;

/// The factor, and what decides when it grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossScale {
    pub factor: f64,
    /// Steps with finite gradients since the factor changed.
    pub finite_steps: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        LossScale { factor: FIRST, finite_steps: 0 }
    }
}

impl LossScale {
    pub fn is_default(&self) -> bool {
        *self == LossScale::default()
    }

    /// Refuses numbers that no step leaves.
    pub fn check(&self) -> Result<()> {
        let LossScale { factor, finite_steps } = *self;
        let is_power = factor.log2().fract() == 0.0 && (LEAST..=MOST).contains(&factor);
        match is_power && finite_steps < GROWTH_INTERVAL {
            true => Ok(()),
            false => Err(Error::option(
                "a saved model",
                "loss_scale",
                format!("{factor} after {finite_steps} steps"),
                "a power of two from 1 to 16777216, and fewer than 2000 steps",
            )),
        }
    }

    /// The factor after a step, whose gradient was finite or not.
    pub fn update(&mut self, is_finite: bool) {
        let factor = self.factor;
        *self = match (is_finite, self.finite_steps + 1) {
            (false, _) => LossScale { factor: (factor / 2.0).max(LEAST), finite_steps: 0 },
            (true, GROWTH_INTERVAL) => {
                LossScale { factor: (2.0 * factor).min(MOST), finite_steps: 0 }
            }
            (true, finite_steps) => LossScale { factor, finite_steps },
        };
    }

    /// The numbers on a GPU: the factor, 1 / factor, and the steps.
    pub fn words(&self) -> [f32; 3] {
        [self.factor as f32, (1.0 / self.factor) as f32, self.finite_steps as f32]
    }

    /// From the numbers on a GPU.
    pub fn of_words(words: &[f32]) -> Self {
        match *words {
            [factor, _, steps, ..] => {
                LossScale { factor: factor.into(), finite_steps: steps as u32 }
            }
            _ => LossScale::default(),
        }
    }
}

/// Parameters of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    growth_interval: f32,
    least: f32,
    most: f32,
    reserved: u32,
}

/// The command that updates the numbers on a GPU behind a step. `clip` holds the factor of the
/// gradient's norm, NaN if that is not finite.
pub(crate) fn update_command(
    gpu: &Gpu,
    clip: &wgpu::Buffer,
    loss_scale: &wgpu::Buffer,
) -> Result<Command> {
    let params = Params {
        growth_interval: GROWTH_INTERVAL as f32,
        least: LEAST as f32,
        most: MOST as f32,
        reserved: 0,
    };
    gpu.dispatch(&gpu.kernel(&program())?, &params, &[clip.into(), loss_scale.into()], 1)
}

/// The kernel's program.
pub(crate) fn program() -> Program {
    Program::plain("loss scale", &[FILE, shader!("lib/numbers.wgsl")], Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the gradients of some thousand steps are finite.
    fn steps() -> Vec<bool> {
        let runs = [1999, 1, 3, 2000, 5].into_iter().enumerate();
        let mut steps: Vec<bool> = runs
            .flat_map(|(run, count)| {
                let ends = (run % 2 == 1).then_some(false);
                std::iter::repeat_n(true, count).chain(ends)
            })
            .collect();
        // To both ends.
        steps.extend([false; 20]);
        steps.extend([true; 2001]);
        steps
    }

    #[test]
    fn the_factor_follows_the_steps() {
        let mut scale = LossScale::default();
        let mut after = Vec::new();
        for (number, is_finite) in steps().into_iter().enumerate() {
            let before = scale;
            scale.update(is_finite);
            scale.check().unwrap();
            if scale.factor != before.factor {
                after.push((number, scale.factor));
            }
        }
        assert_eq!(
            after[..4],
            [(1999, 131072.0), (2000, 65536.0), (4000, 131072.0), (4004, 65536.0)]
        );
        assert_eq!(after.last(), Some(&(6029, 2.0)));
        assert!(after.iter().any(|&(_, factor)| factor == 1.0));
        let mut scale = LossScale { factor: MOST, finite_steps: GROWTH_INTERVAL - 1 };
        scale.update(true);
        assert_eq!(scale, LossScale { factor: MOST, finite_steps: 0 });
        for (factor, finite_steps) in
            [(0.5, 0), (3.0, 0), (2.0 * MOST, 0), (f64::NAN, 0), (1.0, 2000)]
        {
            let error = LossScale { factor, finite_steps }.check().unwrap_err().to_string();
            assert!(error.contains(&factor.to_string()), "{error}");
        }
    }

    #[test]
    fn the_kernel_gives_the_same_numbers() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open().unwrap();
        let clips = [1.0_f32, f32::NAN].map(|clip| gpu.upload("a clip", &[clip]).unwrap());
        let mut scale = LossScale::default();
        let buffer = gpu.upload("a loss scale", &scale.words()).unwrap();
        let commands = clips.map(|clip| update_command(&gpu, &clip, &buffer).unwrap());
        for chunk in steps().chunks(500) {
            let all: Vec<Command> =
                chunk.iter().map(|&is_finite| commands[usize::from(!is_finite)].clone()).collect();
            gpu.submit(&all).unwrap();
            chunk.iter().for_each(|&is_finite| scale.update(is_finite));
            let words: Vec<f32> = pollster::block_on(gpu.download(&buffer, 0, 3)).unwrap();
            assert_eq!(words, scale.words());
            assert_eq!(LossScale::of_words(&words), scale);
        }
    }
}
