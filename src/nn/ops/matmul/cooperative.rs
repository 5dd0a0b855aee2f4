//! Products of f16 operands on matrix units (cooperative matrices), summed in f32.
//!
//! On a device opened with [`GpuOptions::matrix_units`](crate::GpuOptions::matrix_units) that has
//! them and passes [`check`]; the products of mixed precision elsewhere are those of rounded operands
//! (`nn::ops::matmul::half`), with sums in another order.

use std::fmt::Write as _;

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul::half::{Gradient, Half};
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::{Epilogue, Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const CORE: File = shader!("ops/matmul/cooperative.wgsl");
const UNITS: File = shader!("ops/matmul/cooperative_units.wgsl");
const PACK: File = shader!("ops/half/pack.wgsl");

/// What the kernel needs to know of the units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Units {
    /// `SIDE` of the shader.
    side: u32,
    /// Lanes of a subgroup, at least.
    width: u32,
    /// Their functions in WGSL.
    file: File,
}

impl Units {
    /// Those of a device; none if it has none or was not asked for them.
    fn of(gpu: &Gpu) -> Option<Self> {
        let [width, _] = gpu.subgroups()?;
        Some(Units { side: gpu.unit_side()?, width, file: UNITS })
    }

    /// `TILE` of the shader.
    fn tile(&self) -> u32 {
        4 * self.side
    }
}

/// Subgroups of a workgroup, at most.
const SUBGROUPS: u32 = 4;
/// Products with a shorter side leave most of a matrix empty.
const LEAST_SIDE: u32 = 16;

/// A matrix that is copied for the units.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
struct Packed {
    rows: u32,
    columns: u32,
    offset: u32,
    padded_columns: u32,
    padded_rows: u32,
    ones: u32,
    reserved: [u32; 2],
}

impl Packed {
    /// Both operands of a product, as they are stored.
    fn operands(layout: Layout, params: &Params, units: &Units) -> [Packed; 2] {
        let Params { m, n, k, ones, left_offset, right_offset, .. } = *params;
        let tiles = |length: u32| length.next_multiple_of(units.tile());
        let deep = k.next_multiple_of(units.side);
        let of = |[rows, columns]: [u32; 2], [padded_rows, padded_columns]: [u32; 2], offset| {
            Packed { rows, columns, offset, padded_columns, padded_rows, ones: 0, reserved: [0; 2] }
        };
        let left = match layout {
            Layout::TN => Packed { ones, ..of([k, m - ones], [deep, tiles(m)], left_offset) },
            _ => of([m, k], [tiles(m), deep], left_offset),
        };
        let right = match layout {
            Layout::NT => of([n, k], [tiles(n), deep], right_offset),
            _ => of([k, n], [deep, tiles(n)], right_offset),
        };
        [left, right]
    }

    fn words(&self) -> u32 {
        self.padded_rows * self.padded_columns / 2
    }
}

/// True for a product that the device's units run: not a narrow one, nor one whose padded operands
/// do not fit a binding.
pub(crate) fn runs(gpu: &Gpu, layout: Layout, params: &Params) -> bool {
    let Shape { m, n, k } = params.shape();
    if gpu.matrix_units().get() != Some(&true) || m.min(n).min(k) < LEAST_SIDE {
        return false;
    }
    let Some(units) = Units::of(gpu) else { return false };
    let most = gpu.limits().max_storage_buffer_binding_size.min(u64::from(u32::MAX));
    // Sides that are padded first: a side near 2^32 would wrap.
    let [m, n, k] = [m, n, k].map(u64::from);
    let padded = |length: u64| length.next_multiple_of(units.tile().into());
    let fits = |rows: u64, columns: u64| 2 * padded(rows) * padded(columns) <= most;
    let stored = if layout == Layout::TN { [k, m] } else { [m, k] };
    fits(stored[0], stored[1]) && fits(n, k)
}

/// Records a product of rounded operands on matrix units. `storage` as of `product::record`.
pub(crate) fn record(
    recorder: &mut Recorder,
    kind: &Kind,
    half: Half,
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    let Some(units) = Units::of(&recorder.gpu()) else {
        return Err(crate::Error::Input {
            operation: "a product on matrix units".into(),
            name: "the device".into(),
            found: "has none".into(),
            allowed: "a device that passed the check".into(),
        });
    };
    record_with(recorder, kind, (&units, half), params, storage)
}

fn record_with(
    recorder: &mut Recorder,
    kind: &Kind,
    (units, half): (&Units, Half),
    params: &Params,
    storage: &[Slice],
) -> Result<()> {
    recorder.scope(|recorder| {
        let [left, right] = Packed::operands(kind.layout, params, units);
        let left = pack(recorder, half, Gradient::Left, storage[0], left)?;
        let right = pack(recorder, half, Gradient::Right, storage[1], right)?;
        let mut all = vec![Slice::from(&left), (&right).into()];
        all.extend_from_slice(&storage[2..]);
        if half.gradient != Gradient::None {
            all.push(half.loss_scale.into());
        }
        let kernel = recorder.gpu().kernel(&program(kind, half.gradient, units))?;
        let tiles = params.m.div_ceil(units.tile()) * params.n.div_ceil(units.tile());
        recorder.dispatch(&kernel, params, &all, tiles)
    })
}

/// Records the copy of an operand.
fn pack(
    recorder: &mut Recorder,
    half: Half,
    side: Gradient,
    source: Slice,
    packed: Packed,
) -> Result<wgpu::Buffer> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let copy = recorder.scratch("an operand in f16", packed.words() as usize)?;
    let kernel = gpu.kernel(&pack_program(lanes, side == half.gradient))?;
    let storage = [source, half.loss_scale.into(), (&copy).into()];
    recorder.dispatch(&kernel, &packed, &storage, packed.words().div_ceil(2 * lanes))?;
    Ok(copy)
}

fn pack_program(lanes: u32, is_gradient: bool) -> Program {
    let constants =
        [("WORKGROUP", lanes.into()), ("IS_GRADIENT", f64::from(u8::from(is_gradient)))];
    Program::plain("packed operand", &[PACK, shader!("lib/half.wgsl")], constants.to_vec())
}

/// The program of a product.
fn program(kind: &Kind, gradient: Gradient, units: &Units) -> Program {
    let Units { side, width, file } = *units;
    let mut header = String::new();
    if file == UNITS {
        // A module's extensions come before everything else.
        header += "enable f16;\nenable wgpu_cooperative_matrix;\n";
        for (name, number, role) in
            [("Left", "f16", 'A'), ("Right", "f16", 'B'), ("Sum", "f32", 'C')]
        {
            let _ = writeln!(header, "alias {name} = coop_mat{side}x{side}<{number}, {role}>;");
        }
    }
    for (name, value) in [("SIDE", side), ("LANES", SUBGROUPS * width)] {
        let _ = writeln!(header, "const {name}: u32 = {value}u;");
    }
    let by_row = [kind.layout != Layout::TN, kind.layout != Layout::NT];
    for (name, value) in ["LEFT_BY_ROW", "RIGHT_BY_ROW"].into_iter().zip(by_row) {
        let _ = writeln!(header, "const {name}: bool = {value};");
    }
    let scale = match gradient {
        Gradient::None => shader!("ops/half/not_scaled.wgsl"),
        _ => shader!("ops/half/unscaled.wgsl"),
    };
    let params = shader!("ops/matmul/matmul_params.wgsl");
    let mut files = vec![params, CORE, file, scale, kind.epilogue.source()];
    if kind.epilogue != Epilogue::WeightGradient {
        files.push(shader!("ops/matmul/activation_scalar.wgsl"));
    }
    kind.linked(format!("matmul {:?}, matrix units", kind.layout), header, files)
}

/// The programs that prepare operands, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let each = |is_gradient| [8, 64].map(|lanes| pack_program(lanes, is_gradient));
    [false, true].into_iter().flat_map(each).collect()
}

/// The programs of the units, which only devices that have them compile.
pub(crate) fn unit_programs(activation: &dyn Activation) -> Vec<Program> {
    let of = |layout, epilogue: Epilogue, gradient| {
        let activation = Some(activation).filter(|_| epilogue != Epilogue::WeightGradient);
        let kind = Kind { epilogue, activation, ..Kind::plain(layout) };
        let units = [[8, 8], [8, 32], [16, 32], [16, 64]];
        units.map(|[side, width]| program(&kind, gradient, &Units { side, width, file: UNITS }))
    };
    let all = [
        of(Layout::NN, Epilogue::Forward, Gradient::None),
        of(Layout::NT, Epilogue::InputGradient, Gradient::Left),
        of(Layout::NT, Epilogue::WeightGradient, Gradient::None),
        of(Layout::TN, Epilogue::WeightGradient, Gradient::Right),
        of(Layout::TN, Epilogue::WeightGradient, Gradient::Left),
        of(Layout::NN, Epilogue::WeightGradient, Gradient::Left),
    ];
    all.concat()
}

/// Decides once for a device whether its matrix units are used: they multiply small whole numbers in
/// each layout, whose products are exact. One log line says why not, if they were asked for.
pub(crate) fn check(gpu: &Gpu) {
    gpu.matrix_units().get_or_init(|| {
        if !gpu.options().matrix_units {
            return false;
        }
        let found = match Units::of(gpu) {
            Some(units) => wrong_product(gpu, &units),
            None => Ok(Some(match gpu.options().subgroups {
                true => "the device has none for f16".into(),
                false => "subgroup operations are switched off".into(),
            })),
        };
        let reason = match found {
            Ok(None) => return true,
            Ok(Some(reason)) => reason,
            Err(error) => error.to_string(),
        };
        log::warn!("matrix units are not used: {reason}; products have rounded operands in f32");
        false
    });
}

/// The first product of whole numbers that is wrong. Sums stay below 2^24, so that their order does
/// not matter.
fn wrong_product(gpu: &Gpu, units: &Units) -> Result<Option<String>> {
    let loss_scale = gpu.upload("a loss scale", &[8.0_f32, 0.125, 0.0])?;
    for (layout, gradient, ones) in [
        (Layout::NN, Gradient::None, 0),
        (Layout::NT, Gradient::Left, 0),
        (Layout::TN, Gradient::Right, 1),
    ] {
        let params = Params { ones, ..Params::new(Shape { m: 70, n: 132, k: 41 }) };
        let [left, right] = Packed::operands(layout, &params, units);
        let number = |place: u32, prime: u32| ((place * 7919) % prime) as f32 - (prime / 2) as f32;
        let numbers = |of: Packed, prime: u32| -> Vec<f32> {
            (0..of.rows * of.columns).map(|place| number(place, prime)).collect()
        };
        let (x, y) = (numbers(left, 61), numbers(right, 37));
        let half = Half { loss_scale: &loss_scale, gradient };
        let kind = Kind { half: Some(half), ..Kind::plain(layout) };
        let buffers = [gpu.upload("left", &x)?, gpu.upload("right", &y)?];
        let output = gpu.buffer("a product", (params.m * params.n) as usize)?;
        let storage = [&buffers[0], &buffers[1], &output].map(Slice::from);
        gpu.submit(&Recorder::commands_of(gpu, |recorder| {
            record_with(recorder, &kind, (units, half), &params, &storage)
        })?)?;
        let found: Vec<f32> =
            pollster::block_on(gpu.download(&output, 0, (params.m * params.n) as usize))?;
        for (place, found) in found.into_iter().enumerate() {
            let (row, column) = (place as u32 / params.n, place as u32 % params.n);
            let expected: f32 = (0..params.k)
                .map(|k| {
                    let left = match layout {
                        Layout::TN if row == left.columns => 1.0,
                        Layout::TN => x[(k * left.columns + row) as usize],
                        _ => x[(row * params.k + k) as usize],
                    };
                    let right = match layout {
                        Layout::NT => y[(column * params.k + k) as usize],
                        _ => y[(k * params.n + column) as usize],
                    };
                    left * right
                })
                .sum();
            if found.to_bits() != expected.to_bits() && found != expected {
                let place = format!("row {row}, column {column} of a product {layout:?}");
                return Ok(Some(format!("{place} is {found} and not {expected}")));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::activations::activation::Activation;
    use crate::nn::activations::{Gelu, Relu};
    use crate::nn::ops::matmul::product;
    use crate::runtime::wgsl;

    /// The units in plain WGSL: a matrix is its place and stride, and the sums are in workgroup memory
    /// from the beginning. The lanes of a subgroup all do the same.
    const EMULATED: File = File::own("tests/cooperative_emulated.wgsl", EMULATED_TEXT);
    const EMULATED_TEXT: &str = "
alias Left = vec2<u32>;
alias Right = vec2<u32>;
alias Sum = u32;
@group(0) @binding(1) var<storage, read> left: array<u32>;
@group(0) @binding(2) var<storage, read> right: array<u32>;
fn load_left(place: u32, stride: u32) -> Left { return Left(place, stride); }
fn load_right(place: u32, stride: u32) -> Right { return Right(place, stride); }
// Row and column of a matrix's first number.
fn begin(at: vec2<u32>, by_row: bool) -> vec2<u32> {
    let place = vec2<u32>(at.x / at.y, at.x % at.y);
    return select(place.yx, place, by_row);
}
fn left_number(at: Left, row: u32, k: u32) -> f32 {
    let place = at.x + select(k * at.y + row, row * at.y + k, LEFT_BY_ROW);
    return unpack2x16float(left[place / 2u])[place % 2u];
}
fn right_number(at: Right, k: u32, column: u32) -> f32 {
    let place = at.x + select(column * at.y + k, k * at.y + column, RIGHT_BY_ROW);
    return unpack2x16float(right[place / 2u])[place % 2u];
}
fn multiply_add(x: Left, y: Right, sum: Sum) -> Sum {
    let first = begin(x, LEFT_BY_ROW);
    let column = begin(y, RIGHT_BY_ROW).y % TILE;
    let start = first.x % TILE * TILE + column;
    for (var i = 0u; i < SIDE * SIDE; i += 1u) {
        let place = start + i / SIDE * TILE + i % SIDE;
        var total = select(finished[place], 0.0, first.y == 0u);
        for (var k = 0u; k < SIDE; k += 1u) {
            total += left_number(x, i / SIDE, k) * right_number(y, k, i % SIDE);
        }
        finished[place] = total;
    }
    return sum;
}
fn store_sum(sum: Sum, place: u32) {}
";

    /// Emulated units of a side.
    fn emulated(gpu: &Gpu, side: u32) -> Units {
        Units { side, width: gpu.subgroup(), file: EMULATED }
    }

    fn kinds<'a>(activation: &'a dyn Activation) -> Vec<(Kind<'a>, Gradient)> {
        let forward = Kind {
            epilogue: Epilogue::Forward,
            activation: Some(activation),
            ..Kind::plain(Layout::NN)
        };
        let backward = Kind {
            epilogue: Epilogue::InputGradient,
            activation: Some(activation),
            ..Kind::plain(Layout::NT)
        };
        vec![
            (forward, Gradient::None),
            (backward, Gradient::Left),
            (Kind::plain(Layout::NT), Gradient::None),
            (Kind::plain(Layout::TN), Gradient::Right),
            (Kind::plain(Layout::TN), Gradient::Left),
            (Kind::plain(Layout::NN), Gradient::Left),
        ]
    }

    #[test]
    fn the_programs_are_valid_and_translate_for_vulkan_and_metal() {
        use naga::{back, valid};
        let gelu = Gelu::new();
        for (number, program) in unit_programs(&gelu).iter().enumerate() {
            let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap().ir;
            let capabilities = valid::Capabilities::SUBGROUP
                | valid::Capabilities::SHADER_FLOAT16
                | valid::Capabilities::COOPERATIVE_MATRIX;
            let mut validator = valid::Validator::new(valid::ValidationFlags::all(), capabilities);
            validator.subgroup_stages(valid::ShaderStages::COMPUTE);
            validator.subgroup_operations(valid::SubgroupOperationSet::all());
            let info = validator.validate(&module).unwrap();
            let (module, info) = back::pipeline_constants::process_overrides(
                &module,
                &info,
                None,
                &Default::default(),
            )
            .unwrap();
            let options = back::spv::Options { lang_version: (1, 4), ..Default::default() };
            let words = back::spv::write_vec(&module, &info, &options, None).unwrap();
            // OpCooperativeMatrixMulAddKHR.
            let multiplies = words.iter().filter(|&&word| word & 0xffff == 4459).count();
            assert!(multiplies >= 1, "{}", program.label);
            let options = back::msl::Options {
                lang_version: (2, 4),
                fake_missing_bindings: true,
                ..Default::default()
            };
            let pipeline = back::msl::PipelineOptions::default();
            let (text, _) = back::msl::write_string(&module, &info, &options, &pipeline).unwrap();
            assert!(text.contains("simdgroup_multiply_accumulate"), "{text}");
            if let Ok(folder) = std::env::var("GRADUS_SPIRV_TO") {
                let name = format!("{folder}/{number}.spv");
                std::fs::write(name, bytemuck::cast_slice(&words)).unwrap();
            }
        }
    }

    #[test]
    fn the_kernel_multiplies_in_each_layout() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open().unwrap();
        // Also with fewer and with more subgroups than quarters.
        for side in [8, 16] {
            for lanes in [2, 4, 8] {
                let units = Units { width: gpu.subgroup() * lanes / 4, ..emulated(&gpu, side) };
                assert_eq!(wrong_product(&gpu, &units).unwrap(), None, "{side}, {lanes}");
            }
        }
        // The check can fail: a sum that leaves a product out.
        let broken = EMULATED_TEXT.replace("k < SIDE", "k < SIDE - 1u");
        let file = File::own("tests/cooperative_broken.wgsl", broken.leak());
        let reason = wrong_product(&gpu, &Units { file, ..emulated(&gpu, 8) }).unwrap();
        assert!(reason.is_some_and(|reason| reason.contains("row 0, column 0")));
    }

    #[test]
    fn epilogues_get_the_unscaled_product() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open().unwrap();
        let params = Params::new(Shape { m: 66, n: 20, k: 17 });
        let whole = |length: usize, prime: usize| -> Vec<f32> {
            (0..length).map(|place| (place * 31 % prime) as f32 - (prime / 2) as f32).collect()
        };
        let upload = |length: usize, prime: usize| gpu.upload("x", &whole(length, prime)).unwrap();
        let (m, n, k) = (66, 20, 17);
        let (x, y, bias) = (upload(m * k, 11), upload(k * n, 7), upload(n, 5));
        let (kept, activated) = (upload(m * n, 13), upload(m * n, 3));
        let loss_scale = gpu.upload("a loss scale", &[8.0_f32, 0.125, 0.0]).unwrap();
        let relu = Relu;
        let constants = [("HAS_BIAS", 1.0)];
        for (kind, gradient) in kinds(&relu) {
            let constants = if kind.epilogue == Epilogue::Forward { &constants[..] } else { &[] };
            let kind = Kind { constants, ..kind };
            let run = |units: bool| -> Vec<f32> {
                let output = gpu.upload("a product", &vec![f32::NAN; m * n]).unwrap();
                let storage = match kind.epilogue {
                    Epilogue::Forward => vec![&x, &y, &bias, &output, &kept],
                    Epilogue::InputGradient => vec![&x, &y, &output, &kept, &activated],
                    Epilogue::WeightGradient => vec![&x, &y, &output],
                };
                let storage: Vec<Slice> = storage.into_iter().map(Slice::from).collect();
                let half = Half { loss_scale: &loss_scale, gradient };
                let emulated = emulated(&gpu, 16);
                let commands = Recorder::commands_of(&gpu, |recorder| match units {
                    true => record_with(recorder, &kind, (&emulated, half), &params, &storage),
                    false => product::record(recorder, &kind, &params, &storage),
                });
                gpu.submit(&commands.unwrap()).unwrap();
                pollster::block_on(gpu.download(&output, 0, m * n)).unwrap()
            };
            assert_eq!(run(true), run(false), "{kind:?}");
        }
    }

    #[test]
    fn a_device_that_was_not_asked_has_none() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open_with(crate::GpuOptions::default()).unwrap();
        check(&gpu);
        let params = Params::new(Shape { m: 64, n: 64, k: 64 });
        assert!(!runs(&gpu, Layout::NN, &params));
        let asked = crate::GpuOptions::default().matrix_units(true);
        let gpu = Gpu::open_with(asked).unwrap();
        check(&gpu);
        assert_eq!(runs(&gpu, Layout::NN, &params), gpu.unit_side().is_some());
    }
}
