//! Dynamic loss scaling of mixed-precision training: P. Micikevicius et al., *Mixed Precision
//! Training*, 2018.
//!
//! A gradient that is rounded to f16 for a product is multiplied by a power of two before, and the
//! product is divided by it: small gradients do not become 0. The factor is doubled after
//! [`GROWTH_INTERVAL`] steps with finite gradients; a step without is skipped, and halves it. The
//! numbers are those of PyTorch's `GradScaler`. Everything but the operands of products stays
//! unscaled, so clips, accumulated gradients and the gradients that processes exchange are those of
//! f32 training.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::wgsl::{File, shader};

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
    /// The numbers that a step can leave.
    pub const ALLOWED: &str = "a power of two from 1 to 16777216, and fewer than 2000 steps";

    pub fn is_default(&self) -> bool {
        *self == LossScale::default()
    }

    /// True for numbers that [`LossScale::update`] can give.
    pub fn is_valid(&self) -> bool {
        let is_power = self.factor.log2().fract() == 0.0;
        is_power && (LEAST..=MOST).contains(&self.factor) && self.finite_steps < GROWTH_INTERVAL
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

    /// 2,000 finite steps double the factor, a step that is not halves it, on each device.
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
            assert!(scale.is_valid());
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
