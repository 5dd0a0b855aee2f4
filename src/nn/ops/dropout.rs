//! Dropout: in training each element is 0 with probability p, else x/(1 − p); elsewhere y = x.
//! PyTorch `Dropout`, Keras `Dropout`. Source: N. Srivastava, G. Hinton, A. Krizhevsky, I.
//! Sutskever, R. Salakhutdinov, Dropout: a simple way to prevent neural networks from overfitting,
//! 2014.
//!
//! No mask is stored: backward draws the same one again. Element i of a batch [samples × numbers]
//! is kept if u ≥ p, u = word i mod 4 of philox([i/4, node, noise₂, noise₃], [noise₀, noise₁]) · 2⁻³².
//! The comparison is of integers, so each device keeps the same elements. On a GPU forward is in
//! place; p = 1 gives zeros, also from infinite numbers.

use std::sync::Arc;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, GpuMode, InPlace, Mode, Op,
    Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const DROPOUT: File = shader!("ops/dropout/dropout.wgsl");
const RANDOM: File = shader!("lib/random.wgsl");

pub(crate) static ENTRY: Entry =
    Entry { name: "dropout", examples, programs: || [8.0, 64.0].map(program).into() };

/// y = x/(1 − rate) where kept, else 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// The probability p of 0, from 0 to 1.
    pub rate: f64,
}

fn examples() -> Vec<Example> {
    let example = |rate: f64, shape: &[usize]| Example {
        op: Box::new(Dropout { rate }),
        inputs: vec![shape.into()],
    };
    vec![example(0.3, &[7]), example(0.5, &[2, 4]), example(0.0, &[3]), example(1.0, &[2, 1, 2])]
}

fn program(lanes: f64) -> Program {
    Program::plain("dropout", &[DROPOUT, RANDOM], vec![("WORKGROUP", lanes)])
}

impl Dropout {
    /// The largest word of a dropped element; none if all elements are kept.
    fn last_dropped(&self, training: bool) -> Option<u32> {
        // u = word · 2⁻³² < p for the words below p · 2³².
        let words = (self.rate * 4_294_967_296.0).ceil() as u64;
        words.checked_sub(1).filter(|_| training).map(|word| word as u32)
    }

    /// The factor of the elements that are kept.
    fn scale(&self) -> f64 {
        if self.rate < 1.0 { 1.0 / (1.0 - self.rate) } else { 0.0 }
    }

    /// Drops elements of a buffer, in place.
    fn record(
        &self,
        recorder: &mut Recorder,
        mode: &GpuMode,
        elements: usize,
        numbers: &wgpu::Buffer,
    ) -> Result<()> {
        let Some(last_dropped) = self.last_dropped(mode.training) else { return Ok(()) };
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&program(lanes.into()))?;
        let vectors = (elements as u32).div_ceil(4);
        let scale = (self.scale() as f32).to_bits();
        let params = gpu.upload("dropout", &[vectors, mode.node, last_dropped, scale])?;
        let storage = [(&params).into(), numbers.into()];
        let workgroups = vectors.div_ceil(lanes);
        recorder.dispatch_stepped::<[u32; 4]>(&kernel, mode.noise, &storage, workgroups)
    }

    /// Drops elements of a batch, in place.
    fn drop_from<R: Real>(&self, mode: Mode, batch: &mut [R]) {
        let Some(last_dropped) = self.last_dropped(mode.training) else { return };
        let scale = R::new(self.scale());
        parallel::fill(batch, parallel::PIECE, |start, part| {
            R::dispatch(
                #[inline(always)]
                || drop_from_part(mode, last_dropped, scale, start, part),
            );
        });
    }
}

/// Counters whose words are drawn at a time, one in each vector lane.
pub(in crate::nn::ops) const COUNTERS: usize = 16;

/// Drops elements of the batch's part that begins at a multiple of four.
#[inline(always)]
fn drop_from_part<R: Real>(mode: Mode, last_dropped: u32, scale: R, start: usize, part: &mut [R]) {
    let mut words = [0; 4 * COUNTERS];
    for (number, numbers) in part.chunks_mut(4 * COUNTERS).enumerate() {
        draw((start / 4 + number * COUNTERS) as u32, mode, &mut words);
        for (x, &word) in numbers.iter_mut().zip(&words) {
            *x = R::select(word > last_dropped, scale * *x, R::ZERO);
        }
    }
}

/// The words of consecutive counters: `cpu::random::philox` in vectors.
#[inline(always)]
pub(in crate::nn::ops) fn draw(first: u32, mode: Mode, words: &mut [u32; 4 * COUNTERS]) {
    let [mut key, mut other_key, low, high] = mode.noise;
    let mut a: [u32; COUNTERS] = std::array::from_fn(|lane| first.wrapping_add(lane as u32));
    let (mut b, mut c, mut d) = ([mode.node; COUNTERS], [low; COUNTERS], [high; COUNTERS]);
    for _ in 0..10 {
        for lane in 0..COUNTERS {
            let left = u64::from(a[lane]) * 0xd251_1f53;
            let right = u64::from(c[lane]) * 0xcd9e_8d57;
            a[lane] = (right >> 32) as u32 ^ b[lane] ^ key;
            b[lane] = right as u32;
            c[lane] = (left >> 32) as u32 ^ d[lane] ^ other_key;
            d[lane] = left as u32;
        }
        key = key.wrapping_add(0x9e37_79b9);
        other_key = other_key.wrapping_add(0xbb67_ae85);
    }
    for (lane, words) in words.chunks_exact_mut(4).enumerate() {
        words.copy_from_slice(&[a[lane], b[lane], c[lane], d[lane]]);
    }
}

impl Op for Dropout {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::option(ENTRY.name, "rate", self.rate, "from 0 to 1"));
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
        self.record(recorder, &io.mode, io.rows * io.output.width, io.output.buffer)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        self.record(recorder, &io.mode, io.rows * io.output.width, io.grad_output)
    }
}

impl<R: Real> Cpu<R> for Dropout {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        io.output.copy_from_slice(io.inputs[0]);
        self.drop_from(io.mode, io.output);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        self.drop_from(io.mode, io.grad_output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::philox;
    use crate::nn::graph::op::{
        GpuParameters, GpuStatistics, Noise, Operand, Parameters, Segments,
    };
    use crate::runtime::device::Gpu;
    use crate::runtime::recorder::UNIFORM_STRIDE;

    const LENGTH: usize = 40_003;

    fn mode(noise: Noise, node: u32) -> Mode {
        Mode { training: true, noise, node, place: 0, loss_scale: None }
    }

    /// Dropout of ones on the CPU.
    fn on_cpu<R: Real>(op: Dropout, mode: Mode) -> Vec<f32> {
        let mut output = vec![R::NAN; LENGTH];
        let io = Forward {
            rows: 1,
            inputs: &[&[R::ONE; LENGTH]],
            ids: &[],
            parameters: Parameters { all: &[], ranges: &[], table: &[] },
            output: &mut output,
            saved: &mut [],
            statistics: Segments { all: &mut [], ranges: &[] },
            mode,
        };
        Cpu::<R>::forward(&op, io).unwrap();
        output.into_iter().map(Real::to_f32).collect()
    }

    /// The same on a GPU.
    fn on_gpu(gpu: &Gpu, op: Dropout, mode: Mode) -> Vec<f32> {
        let noise = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("random numbers"),
            size: UNIFORM_STRIDE,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue().write_buffer(&noise, 0, bytemuck::cast_slice(&mode.noise));
        let mut recorder = Recorder::new(gpu);
        let dummy = recorder.dummy().unwrap();
        let numbers = gpu.upload("ones", &vec![1.0_f32; LENGTH]).unwrap();
        let numbers = Operand { buffer: &numbers, width: LENGTH };
        let io = GpuForward {
            rows: 1,
            first_row: 0,
            inputs: &[numbers],
            parameters: GpuParameters { all: &dummy, gradients: &dummy, ranges: &[], table: None },
            output: numbers,
            saved: &dummy,
            statistics: GpuStatistics { all: &dummy, ranges: &[] },
            mode: GpuMode {
                training: true,
                noise: &noise,
                node: mode.node,
                place: None,
                loss_scale: None,
            },
        };
        op.forward_gpu(&mut recorder, &io).unwrap();
        gpu.submit(&recorder.finish().commands).unwrap();
        pollster::block_on(gpu.download(numbers.buffer, 0, LENGTH)).unwrap()
    }

    #[test]
    fn a_mask_is_that_of_the_words_on_every_device() {
        let noise = [3, 0x8000_0001, 17, 5];
        for rate in [0.0, 1e-9, 0.1, 0.5, 0.9, 1.0] {
            let op = Dropout { rate };
            let found = on_cpu::<f32>(op, mode(noise, 9));
            let scale = if rate < 1.0 { (1.0 / (1.0 - rate)) as f32 } else { 0.0 };
            for (element, &y) in found.iter().enumerate() {
                let counter = [element as u32 / 4, 9, noise[2], noise[3]];
                let word = philox(counter, [noise[0], noise[1]])[element % 4];
                let is_kept = f64::from(word) / 4_294_967_296.0 >= rate;
                assert_eq!(y, if is_kept { scale } else { 0.0 }, "{rate}, {element}");
            }
            assert_eq!(on_cpu::<f64>(op, mode(noise, 9)), found);
            crate::runtime::device::test_adapter::needs_gpu!();
            let gpu = Gpu::open().expect("these tests need an adapter, a software one will do");
            assert_eq!(on_gpu(&gpu, op, mode(noise, 9)), found, "{rate}");
        }
    }

    #[test]
    fn as_many_elements_are_kept_as_the_rate_leaves() {
        for rate in [0.1, 0.5, 0.9] {
            let found = on_cpu::<f32>(Dropout { rate }, mode([1, 2, 3, 4], 5));
            let kept = found.iter().filter(|&&y| y > 0.0).count() as f64 / LENGTH as f64;
            // Five standard deviations of the mean of independent elements.
            let limit = 5.0 * (rate * (1.0 - rate) / LENGTH as f64).sqrt();
            assert!((kept - (1.0 - rate)).abs() <= limit, "{rate}: {kept}");
        }
    }

    #[test]
    fn each_batch_and_each_node_has_a_mask_of_its_own() {
        let op = Dropout { rate: 0.5 };
        let first = on_cpu::<f32>(op, mode([1, 2, 3, 4], 5));
        let others = [
            mode([1, 2, 4, 4], 5),
            mode([1, 2, 3, 5], 5),
            mode([2, 2, 3, 4], 5),
            mode([1, 3, 3, 4], 5),
            mode([1, 2, 3, 4], 6),
        ];
        for other in others {
            let found = on_cpu::<f32>(op, other);
            let equal = first.iter().zip(&found).filter(|(a, b)| a == b).count() as f64;
            // Half of them, within five standard deviations of √(n/4).
            let limit = 2.5 * (LENGTH as f64).sqrt();
            assert!((equal - LENGTH as f64 / 2.0).abs() <= limit, "{other:?}: {equal}");
        }
    }

    #[test]
    fn evaluation_keeps_all_elements_and_a_rate_outside_is_refused() {
        let op = Dropout { rate: 0.5 };
        let evaluation = Mode { training: false, ..mode([1, 2, 3, 4], 5) };
        assert_eq!(on_cpu::<f32>(op, evaluation), vec![1.0; LENGTH]);
        for rate in [-0.1, 1.5, f64::NAN] {
            let error = Dropout { rate }.output(&[&vec![2]]).unwrap_err().to_string();
            assert!(error.starts_with("dropout: rate is"), "{error}");
        }
    }

    #[test]
    fn an_infinite_number_that_is_dropped_is_zero() {
        let mut batch = [f32::INFINITY, f32::NEG_INFINITY, 1.0];
        Dropout { rate: 1.0 }.drop_from(mode([1, 2, 3, 4], 5), &mut batch);
        assert_eq!(batch, [0.0; 3]);
    }
}
