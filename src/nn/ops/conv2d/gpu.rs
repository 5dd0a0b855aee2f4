//! Convolution on a GPU: the tiled matrix products, whose loaders read the matrix of patches from
//! the images. Groups have direct kernels.

use crate::nn::activations::activation::Activation;
use crate::nn::activations::{Identity, link};
use crate::nn::graph::op::{GpuBackward, GpuForward, GpuMode};
use crate::nn::ops::activation::{ActivationBuffers, backward_in_place};
use crate::nn::ops::conv2d::options::{Conv2d, FoldedNorm, MOST_ELEMENTS, NAME};
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::half::{Gradient, Half, Numbers};
use crate::nn::ops::matmul::kind::{Kind, adapter};
use crate::nn::ops::matmul::tile::TILES;
use crate::nn::ops::matmul::{Epilogue, Layout, Variant};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const PARAMS: File = shader!("ops/conv2d/conv2d_params.wgsl");
const VEC4: File = shader!("ops/conv2d/conv2d_vec4.wgsl");
const SCALAR: File = shader!("ops/conv2d/conv2d_scalar.wgsl");
const FOLD: File = shader!("ops/conv2d/conv2d_fold.wgsl");
const NUMBERS: File = shader!("lib/numbers.wgsl");

/// Images of a batch: a quotient in conv2d_params.wgsl is below 2²².
const MOST_ROWS: usize = 1 << 22;

/// Threads that fill a device, and least pixels of a thread, in the gradient of the weights of
/// groups.
const THREADS: usize = 1 << 14;
const THREADS_OF_SOFTWARE: usize = 1 << 6;
const LEAST_PIXELS: usize = 64;

/// What follows the sum in a forward pass.
#[derive(Clone, Copy, Debug)]
struct End<'a> {
    bias: bool,
    activation: &'a dyn Activation,
}

impl End<'_> {
    fn of(op: &Conv2d) -> End<'_> {
        End { bias: op.bias, activation: op.activation.as_deref().unwrap_or(&Identity) }
    }

    /// The `override`s of the epilogue.
    fn constants(&self) -> [(&'static str, f64); 2] {
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        [("HAS_BIAS", flag(self.bias)), ("KEEP_INPUT", flag(self.activation.needs_input()))]
    }
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

/// The uniform of the kernels (`Params` in shaders/ops/conv2d/conv2d_params.wgsl).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k: u32,
    ones: u32,
    accumulate: u32,
    left_offset: u32,
    right_offset: u32,
    bias_offset: u32,
    output_offset: u32,
    part_k: u32,
    image: [i32; 3],
    grid: [i32; 2],
    kernel: [i32; 2],
    step: [i32; 2],
    tap: [i32; 2],
    start: [i32; 2],
    divide: [i32; 2],
    group_channels: u32,
    group_filters: u32,
    has_bias: u32,
    per_image: f32,
    per_line: f32,
    per_channels: f32,
    per_kernel_width: f32,
    per_divide: [f32; 2],
    unused: [u32; 2],
}

/// The uniform of conv2d_fold.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct FoldParams {
    weights: u32,
    filters: u32,
    weight: u32,
    bias: u32,
    gamma: u32,
    beta: u32,
    mean: u32,
    variance: u32,
    has_bias: u32,
    is_affine: u32,
    epsilon: f32,
    reserved: u32,
}

fn fold_program(lanes: u32) -> Program {
    Program::plain("conv2d, batch norm folded in", &[FOLD], vec![("WORKGROUP", lanes.into())])
}

/// Offsets of the matrices, in elements.
#[derive(Clone, Copy, Debug, Default)]
struct Offsets {
    left: usize,
    right: usize,
    bias: usize,
    output: usize,
}

impl Pass {
    /// The operand that is a gradient.
    fn gradient(self) -> Gradient {
        match self {
            Pass::Forward => Gradient::None,
            Pass::InputGradient => Gradient::Left,
            Pass::WeightGradient => Gradient::Right,
        }
    }

    fn layout(self) -> Layout {
        match self {
            Pass::Forward => Layout::NN,
            Pass::InputGradient => Layout::NT,
            Pass::WeightGradient => Layout::TN,
        }
    }

    /// The epilogue of its product. The gradient of the input is stored as it is.
    fn epilogue(self) -> Epilogue {
        if self == Pass::Forward { Epilogue::Forward } else { Epilogue::WeightGradient }
    }

    fn loader(self) -> File {
        match self {
            Pass::Forward => shader!("ops/conv2d/conv2d_forward.wgsl"),
            Pass::InputGradient => shader!("ops/conv2d/conv2d_input_gradient.wgsl"),
            Pass::WeightGradient => shader!("ops/conv2d/conv2d_weight_gradient.wgsl"),
        }
    }

    /// The direct kernel for groups.
    fn direct(self) -> File {
        match self {
            Pass::Forward => shader!("ops/conv2d/conv2d_groups_forward.wgsl"),
            Pass::InputGradient => shader!("ops/conv2d/conv2d_groups_input_gradient.wgsl"),
            Pass::WeightGradient => shader!("ops/conv2d/conv2d_groups_weight_gradient.wgsl"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Pass::Forward => "conv2d",
            Pass::InputGradient => "conv2d, gradient of the input",
            Pass::WeightGradient => "conv2d, gradient of the weights",
        }
    }

    /// The product of a pass with a tile.
    fn program(self, variant: &Variant, epilogue: Epilogue, end: End) -> Program {
        // The files of a matrix product, but for its uniform and its layout.
        let sources = variant.sources(self.layout(), epilogue);
        let mut files: Vec<File> = sources
            .into_iter()
            .filter(|file| {
                !["matmul_params", "matmul_nn", "matmul_nt", "matmul_tn"].contains(&file.stem())
            })
            .collect();
        files.extend([PARAMS, if variant.vec4 { VEC4 } else { SCALAR }, self.loader()]);
        let label = format!("{}, {}", self.name(), variant.tile.name());
        let mut program = Program { label, header: variant.header(), files, constants: Vec::new() };
        if epilogue == Epilogue::Forward {
            program.files.push(NUMBERS);
            program.constants.extend(end.constants());
            link(&mut program, end.activation);
        }
        program
    }

    fn direct_program(self, lanes: u32) -> Program {
        let constants = vec![("WORKGROUP", lanes.into())];
        Program::plain(&format!("{}, groups", self.name()), &[self.direct(), PARAMS], constants)
    }
}

/// All programs, for the shader checks.
pub(super) fn programs() -> Vec<Program> {
    let passes = [Pass::Forward, Pass::InputGradient, Pass::WeightGradient];
    let mut all: Vec<Program> =
        passes.iter().flat_map(|pass| [8, 64].map(|lanes| pass.direct_program(lanes))).collect();
    all.extend([8, 64].map(fold_program));
    for (tile, vec4) in TILES.into_iter().flat_map(|tile| [false, true].map(|vec4| (tile, vec4))) {
        for pass in passes {
            let variant = Variant { tile, vec4, split: false };
            let end = End { bias: true, activation: &Identity };
            all.push(pass.program(&variant, pass.epilogue(), end));
            let part = Variant { split: true, ..variant };
            all.push(pass.program(&part, Epilogue::WeightGradient, end));
        }
    }
    all
}

impl Params {
    /// The sizes of a pass over a batch.
    fn new(op: &Conv2d, pass: Pass, rows: usize, offsets: Offsets) -> Result<Self> {
        let ([height, width, channels], output) = (op.input, op.output_size());
        let (inputs, outputs) = (rows * height * width, rows * output[0] * output[1]);
        let most = (inputs * channels).max(outputs * op.filters);
        if rows > MOST_ROWS || most > MOST_ELEMENTS {
            return Err(Error::Shape {
                operation: NAME.into(),
                found: format!("a batch of {rows} images, {most} numbers"),
                allowed: format!("up to {MOST_ROWS} images and {MOST_ELEMENTS} numbers on a GPU"),
            });
        }
        let depth = op.taps() * op.group_channels();
        let ones = usize::from(op.bias && pass == Pass::WeightGradient);
        let (m, n, k) = match pass {
            Pass::Forward => (outputs, op.filters, depth),
            Pass::InputGradient => (inputs, channels, op.taps() * op.group_filters()),
            Pass::WeightGradient => (depth + ones, op.filters, outputs),
        };
        let axes = [0, 1].map(|axis| {
            let sizes = [op.stride[axis], op.dilation[axis], op.padding[2 * axis]];
            sizes.map(|size| size as i32)
        });
        let signed = |sides: [usize; 2]| sides.map(|side| side as i32);
        let gathers_output = pass == Pass::InputGradient;
        let (image, grid) = if gathers_output {
            ([output[0], output[1], op.filters], [height, width])
        } else {
            (op.input, output)
        };
        let params = Params {
            m: m as u32,
            n: n as u32,
            k: k as u32,
            ones: ones as u32,
            left_offset: offsets.left as u32,
            right_offset: offsets.right as u32,
            bias_offset: offsets.bias as u32,
            output_offset: offsets.output as u32,
            image: image.map(|side| side as i32),
            grid: signed(grid),
            kernel: signed(op.kernel),
            step: axes.map(|[stride, ..]| if gathers_output { 1 } else { stride }),
            tap: axes.map(|[_, dilation, _]| if gathers_output { -dilation } else { dilation }),
            start: axes.map(|[.., before]| if gathers_output { before } else { -before }),
            divide: axes.map(|[stride, ..]| if gathers_output { stride } else { 1 }),
            group_channels: op.group_channels() as u32,
            group_filters: op.group_filters() as u32,
            has_bias: u32::from(op.bias),
            per_image: 1.0 / (grid[0] * grid[1]) as f32,
            per_line: 1.0 / grid[1] as f32,
            per_channels: 1.0 / image[2] as f32,
            per_kernel_width: 1.0 / op.kernel[1] as f32,
            ..Params::default()
        };
        Ok(Params { per_divide: params.divide.map(|divide| 1.0 / divide as f32), ..params })
    }

    /// The sizes of the product alone.
    fn product(&self) -> matmul::Params {
        let Params { m, n, k, ones, accumulate, part_k, .. } = *self;
        matmul::Params {
            m,
            n,
            k,
            ones,
            accumulate,
            left_offset: self.left_offset,
            right_offset: self.right_offset,
            bias_offset: self.bias_offset,
            output_offset: self.output_offset,
            part_k,
            ..matmul::Params::default()
        }
    }

    fn size(&self) -> usize {
        self.m as usize * self.n as usize
    }
}

/// Records a pass over `rows` images. `storage` holds the operands, then the buffers of the
/// epilogue's bindings.
fn record(
    op: &Conv2d,
    pass: Pass,
    recorder: &mut Recorder,
    params: &Params,
    storage: &[Slice],
    (mode, rows): (&GpuMode, usize),
) -> Result<()> {
    let Some(half) = Half::of(mode.loss_scale, pass.gradient()) else {
        return record_single(op, pass, recorder, params, storage);
    };
    recorder.scope(|recorder| {
        let image: i32 = params.image.iter().product();
        let left = Numbers { offset: params.left_offset, length: rows as u32 * image as u32 };
        let left = half.rounded(recorder, Gradient::Left, storage[0], left)?;
        let length = match pass {
            Pass::WeightGradient => params.k * params.n,
            _ => (op.taps() * op.group_channels() * op.filters) as u32,
        };
        let right = Numbers { offset: params.right_offset, length };
        let right = half.rounded(recorder, Gradient::Right, storage[1], right)?;
        let mut params = Params { left_offset: 0, right_offset: 0, ..*params };
        let with_bias;
        let mut operands = [Slice::from(&left), (&right).into()];
        if op.groups > 1 && pass == Pass::Forward && op.bias {
            // The kernel reads the bias, which is not rounded, behind the weights.
            with_bias = recorder.scratch("weights and a bias", length as usize + op.filters)?;
            recorder.copy((&right, 0), (&with_bias, 0), length as usize);
            let bias = (storage[2].buffer, params.bias_offset as usize);
            recorder.copy(bias, (&with_bias, length as usize), op.filters);
            (params.bias_offset, operands[1]) = (length, (&with_bias).into());
        }
        let storage: Vec<Slice> =
            operands.into_iter().chain(storage[2..].iter().copied()).collect();
        record_single(op, pass, recorder, &params, &storage)
    })
}

/// Records a pass of operands as they are.
fn record_single(
    op: &Conv2d,
    pass: Pass,
    recorder: &mut Recorder,
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    if op.groups > 1 {
        return record_groups(End::of(op), pass, recorder, params, storage);
    }
    let (gpu, product) = (recorder.gpu(), params.product());
    let adapter = adapter(&gpu);
    let vec4 = product.is_aligned(pass.layout()) && params.image[2] % 4 == 0;
    let variant = Variant { vec4, ..matmul::variant(&product, pass.layout(), &adapter) };
    let part_k = matmul::split(product.shape(), &adapter);
    record_product(End::of(op), pass, recorder, (&variant, part_k), params, storage)
}

/// Records a product with a tile, with k split into ranges of the given depth or whole.
fn record_product(
    end: End,
    pass: Pass,
    recorder: &mut Recorder,
    (variant, part_k): (&Variant, Option<u32>),
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    let (gpu, shape) = (recorder.gpu(), params.product().shape());
    let Some(part_k) = part_k else {
        let kernel = gpu.kernel(&pass.program(variant, pass.epilogue(), end))?;
        return recorder.dispatch(&kernel, params, storage, variant.workgroups(shape));
    };
    let parts = shape.k.div_ceil(part_k);
    recorder.scope(|recorder| {
        let sums =
            recorder.scratch("the parts of a convolution", parts as usize * params.size())?;
        let variant = Variant { split: true, ..*variant };
        let kernel = gpu.kernel(&pass.program(&variant, Epilogue::WeightGradient, end))?;
        let each = Params { accumulate: 0, output_offset: 0, part_k, ..*params };
        let operands = [storage[0], storage[1], (&sums).into()];
        recorder.dispatch(&kernel, &each, &operands, parts * variant.workgroups(shape))?;
        join(pass, end, recorder, &Params { part_k, ..*params }, &sums, &storage[2..])
    })
}

/// Records the sum of partial products.
fn join(
    pass: Pass,
    end: End,
    recorder: &mut Recorder,
    params: &Params,
    sums: &wgpu::Buffer,
    outputs: &[Slice],
) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let constants = end.constants();
    let kind = match pass {
        Pass::Forward => Kind {
            layout: Layout::NN,
            epilogue: Epilogue::Forward,
            activation: Some(end.activation),
            constants: &constants,
            half: None,
        },
        _ => Kind::plain(pass.layout()),
    };
    let kernel = gpu.kernel(&kind.join_program(lanes))?;
    let storage: Vec<Slice> = std::iter::once(sums.into()).chain(outputs.iter().copied()).collect();
    let workgroups = (params.size() as u32).div_ceil(lanes);
    recorder.dispatch(&kernel, &params.product(), &storage, workgroups)
}

/// Records a pass with groups: an element per thread.
fn record_groups(
    end: End,
    pass: Pass,
    recorder: &mut Recorder,
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let taps = params.kernel[0] as usize * params.kernel[1] as usize;
    let most = if pass == Pass::WeightGradient { 1 } else { taps + params.k as usize };
    if gpu.is_software() && most > MAX_LOOP_ITERATIONS {
        return Err(Error::Shape {
            operation: NAME.into(),
            found: format!("{most} iterations per element on a software adapter"),
            allowed: format!("up to {MAX_LOOP_ITERATIONS} there; or the device `cpu`"),
        });
    }
    let kernel = gpu.kernel(&pass.direct_program(lanes))?;
    let workgroups = |elements: usize| (elements as u32).div_ceil(lanes);
    if pass != Pass::WeightGradient {
        // The bias is among the parameters, which are bound once.
        let storage = [storage[0], storage[1], storage[if pass == Pass::Forward { 3 } else { 2 }]];
        return recorder.dispatch(&kernel, params, &storage, workgroups(params.size()));
    }
    let threads = if gpu.is_software() { THREADS_OF_SOFTWARE } else { THREADS };
    let (pixels, size) = (params.k as usize, params.size());
    let parts = (threads / size).min(pixels / LEAST_PIXELS).max(pixels.div_ceil(1 << 15)).max(1);
    let part_k = pixels.div_ceil(parts).max(1);
    let parts = pixels.div_ceil(part_k);
    recorder.scope(|recorder| {
        let sums = recorder.scratch("the parts of a convolution", parts * size)?;
        let params = Params { part_k: part_k as u32, ..*params };
        let operands = [storage[0], storage[1], (&sums).into()];
        recorder.dispatch(&kernel, &params, &operands, workgroups(parts * size))?;
        join(pass, end, recorder, &params, &sums, &storage[2..])
    })
}

/// Records y.
pub(super) fn forward(op: &Conv2d, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
    let weight = &io.parameters.ranges[0];
    let Some(norm) = op.norm else {
        return forward_with(op, recorder, io, (io.parameters.all, weight.start));
    };
    let plain = Conv2d { bias: true, norm: None, ..op.clone() };
    recorder.scope(|recorder| {
        let folded = fold(op, norm, recorder, io)?;
        forward_with(&plain, recorder, io, (&folded, 0))
    })
}

/// Records weights and bias with a batch norm folded in.
fn fold(
    op: &Conv2d,
    norm: FoldedNorm,
    recorder: &mut Recorder,
    io: &GpuForward,
) -> Result<wgpu::Buffer> {
    let (gpu, ranges) = (recorder.gpu(), io.parameters.ranges);
    let lanes = lanes_of(gpu.is_software());
    let start = |number: usize| ranges.get(number).map_or(0, |range| range.start as u32);
    let [mean, variance] = [0, 1].map(|number| io.statistics.ranges[number].start as u32);
    let first = 1 + usize::from(op.bias);
    let length = ranges[0].len() + op.filters;
    let params = FoldParams {
        weights: ranges[0].len() as u32,
        filters: op.filters as u32,
        weight: start(0),
        bias: start(1),
        gamma: start(first),
        beta: start(first + 1),
        mean,
        variance,
        has_bias: op.bias.into(),
        is_affine: norm.affine.into(),
        epsilon: norm.epsilon as f32,
        reserved: 0,
    };
    let folded = recorder.scratch("folded weights", length)?;
    let kernel = gpu.kernel(&fold_program(lanes))?;
    let storage = [io.parameters.all, io.statistics.all, &folded].map(Slice::from);
    recorder.dispatch(&kernel, &params, &storage, (length as u32).div_ceil(lanes))?;
    Ok(folded)
}

/// Records y with weights, and the bias behind them, that begin at a place of a buffer.
fn forward_with(
    op: &Conv2d,
    recorder: &mut Recorder,
    io: &GpuForward,
    (parameters, right): (&wgpu::Buffer, usize),
) -> Result<()> {
    let (x, weight) = (io.inputs[0], &io.parameters.ranges[0]);
    let (left, bias) = (io.first_row * x.width, right + weight.len());
    let offsets = Offsets { left, right, bias, output: 0 };
    let params = Params::new(op, Pass::Forward, io.rows, offsets)?;
    let storage = [x.buffer, parameters, parameters, io.output.buffer, io.saved].map(Slice::from);
    record(op, Pass::Forward, recorder, &params, &storage, (&io.mode, io.rows))
}

/// Records dL/dW, dL/db and dL/dX.
pub(super) fn backward(op: &Conv2d, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
    let (x, weight) = (io.inputs[0], &io.parameters.ranges[0]);
    if let Some(activation) = &op.activation {
        let buffers = ActivationBuffers {
            input: io.saved,
            output: io.output.buffer,
            gradient: io.grad_output,
        };
        let elements = io.rows * io.output.width;
        backward_in_place(recorder, &**activation, elements, buffers)?;
    }
    let of_batch = io.first_row * x.width;
    let offsets = Offsets { left: of_batch, output: weight.start, ..Offsets::default() };
    let params = Params {
        accumulate: u32::from(io.accumulate),
        ..Params::new(op, Pass::WeightGradient, io.rows, offsets)?
    };
    let storage = [x.buffer, io.grad_output, io.parameters.gradients].map(Slice::from);
    record(op, Pass::WeightGradient, recorder, &params, &storage, (&io.mode, io.rows))?;
    let Some(grad_input) = io.grad_inputs[0] else { return Ok(()) };
    let offsets = Offsets { right: weight.start, output: of_batch, ..Offsets::default() };
    let params = Params::new(op, Pass::InputGradient, io.rows, offsets)?;
    let storage = [io.grad_output, io.parameters.all, grad_input].map(Slice::from);
    record(op, Pass::InputGradient, recorder, &params, &storage, (&io.mode, io.rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::conv2d::tests::{Case, Found, OnGpu, difference};
    use crate::nn::ops::matmul::{REGISTER_SMALL, TILED, TILED_SMALL};
    use crate::runtime::device::Gpu;

    /// All passes with a tile.
    fn found(case: &Case, gpu: &Gpu, variant: &Variant, part_k: Option<u32>) -> Found {
        let (run, op, rows) = (OnGpu::new(case, gpu), &case.op, case.rows);
        let bias = case.ranges[0].end;
        let mut recorder = Recorder::new(gpu);
        let passes: [(Pass, Vec<&wgpu::Buffer>); 3] = [
            (
                Pass::Forward,
                vec![&run.x, &run.parameters, &run.parameters, &run.output, &run.unused[0]],
            ),
            (Pass::WeightGradient, vec![&run.x, &run.grad_output, &run.gradients]),
            (Pass::InputGradient, vec![&run.grad_output, &run.parameters, &run.grad_input]),
        ];
        for (pass, buffers) in passes {
            let params =
                Params::new(op, pass, rows, Offsets { bias, ..Offsets::default() }).unwrap();
            let storage: Vec<Slice> = buffers.into_iter().map(Slice::from).collect();
            record_product(End::of(op), pass, &mut recorder, (variant, part_k), &params, &storage)
                .unwrap();
        }
        gpu.submit(&recorder.finish().commands).unwrap();
        run.read(case, gpu)
    }

    #[test]
    fn tiles_give_the_same_bits_and_parts_give_the_same_sums() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open().unwrap();
        let padding = [1; 4];
        let cases = [
            (true, Case::new(Conv2d { padding, ..Conv2d::new([8, 6, 4], 8, [3, 3]) }, 2)),
            (false, Case::new(Conv2d { stride: [2, 1], ..Conv2d::new([9, 7, 3], 5, [3, 2]) }, 3)),
        ];
        for (vec4, case) in cases {
            let expected = case.expected();
            let mut first = None;
            let register = Some(REGISTER_SMALL).filter(|_| gpu.subgroup() >= 8);
            for tile in [TILED_SMALL, TILED].into_iter().chain(register) {
                let variant = Variant { tile, vec4, split: false };
                let whole = found(&case, &gpu, &variant, None);
                let most = difference(&whole, &expected, &case);
                assert!(most <= 6e-8, "{}, {vec4}: {most}", tile.name());
                assert!(first.get_or_insert(whole.clone()) == &whole, "{}", tile.name());
            }
            let variant = Variant { tile: TILED_SMALL, vec4, split: false };
            let most = difference(&found(&case, &gpu, &variant, Some(32)), &expected, &case);
            assert!(most <= 6e-8, "in parts, {vec4}: {most}");
        }
    }
}
