//! Matrix product: properties of the tile table, translation of all shaders, results against an f64
//! product.

use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::nn::activations::Relu;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::record_in_parts;
use crate::nn::ops::matmul::*;
use crate::runtime::device::{Gpu, GpuOptions};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl;

const LAYOUTS: [Layout; 3] = [Layout::NN, Layout::NT, Layout::TN];
const EPILOGUES: [Epilogue; 3] =
    [Epilogue::Forward, Epilogue::InputGradient, Epilogue::WeightGradient];
/// ReLU, which shows both that the activation is called and that its derivative reads y.
const RELU: File = crate::runtime::wgsl::File::own(
    "relu of the tests",
    "fn activate(x: f32) -> f32 { return max(x, 0.0); }
           fn derivative(x: f32, y: f32) -> f32 { return select(0.0, 1.0, y > 0.0); }",
);
const CARD: Adapter =
    Adapter { software: false, subgroup: 32, lanes: 1024, workgroup_memory: 49_152 };
const LAVAPIPE: Adapter =
    Adapter { software: true, subgroup: 8, lanes: 1024, workgroup_memory: 32_768 };

fn shape(m: u32, n: u32, k: u32) -> Shape {
    Shape { m, n, k }
}

fn files(variant: &Variant, layout: Layout, epilogue: Epilogue) -> Vec<File> {
    let mut files = variant.sources(layout, epilogue);
    files.push(crate::runtime::wgsl::shader!("lib/numbers.wgsl"));
    if epilogue != Epilogue::WeightGradient {
        files.push(RELU);
    }
    files
}

fn combinations() -> impl Iterator<Item = (Variant, Layout, Epilogue)> {
    TILES.into_iter().flat_map(|tile| {
        [true, false].into_iter().flat_map(move |vec4| {
            LAYOUTS.into_iter().flat_map(move |layout| {
                let whole = EPILOGUES
                    .map(|epilogue| (Variant { tile, vec4, split: false }, layout, epilogue));
                let part = (Variant { tile, vec4, split: true }, layout, Epilogue::WeightGradient);
                whole.into_iter().chain([part])
            })
        })
    })
}

#[test]
fn lengths_of_four_are_read_four_at_a_time_and_others_one_by_one() {
    let vec4 = |params: Params, layout| variant(&params, layout, &LAVAPIPE).vec4;
    let product = |m, n, k| Params::new(shape(m, n, k));
    assert!(vec4(product(3, 128, 784), Layout::NN));
    assert!(vec4(product(3, 128, 784), Layout::NT));
    assert!(!vec4(product(3, 128, 784), Layout::TN));
    assert!(vec4(Params { ones: 1, ..product(785, 128, 64) }, Layout::TN));
    assert!(!vec4(Params { ones: 1, ..product(784, 128, 64) }, Layout::TN));
    assert!(!vec4(product(64, 10, 128), Layout::NN));
    assert!(!vec4(product(64, 128, 10), Layout::NT));
    for offset in [1, 2, 3, 5] {
        assert!(!vec4(Params { right_offset: offset, ..product(64, 128, 784) }, Layout::NN));
        assert!(!vec4(Params { output_offset: offset, ..product(64, 128, 784) }, Layout::NN));
    }
}

#[test]
fn software_adapters_share_values_through_subgroups_and_cards_through_workgroup_memory() {
    let core = |adapter: &Adapter| best_tile(shape(64, 128, 784), adapter).core;
    assert_eq!(core(&LAVAPIPE), Core::Register);
    assert_eq!(core(&Adapter { subgroup: 4, ..LAVAPIPE }), Core::Tiled);
    assert_eq!(core(&Adapter { subgroup: 0, ..LAVAPIPE }), Core::Tiled);
    assert_eq!(core(&CARD), Core::Tiled);
    assert_eq!(best_tile(shape(8192, 8192, 8192), &CARD), TILED_LARGE);
    assert_eq!(best_tile(shape(8192, 8192, 8192), &Adapter { lanes: 128, ..CARD }), TILED);
    assert_eq!(best_tile(shape(64, 10, 128), &CARD), TILED_SMALL);
}

#[test]
fn a_register_tile_needs_no_more_lanes_than_the_smallest_subgroup_has() {
    for subgroup in 8..=128 {
        for m in [16, 1 << 14] {
            let tile = best_tile(shape(m, 1024, 1024), &Adapter { subgroup, ..LAVAPIPE });
            assert!(tile.lanes <= subgroup, "{subgroup} lanes for {tile:?}");
        }
    }
}

#[test]
fn each_lane_of_a_tiled_core_brings_exactly_one_block_and_owns_its_share() {
    for tile in TILES.iter().filter(|tile| tile.core == Core::Tiled) {
        assert_eq!((tile.rows / 4 + tile.columns / 4) * (tile.k / 4), tile.lanes, "{tile:?}");
        let side = if tile.eight_by_eight { 8 } else { 4 };
        assert_eq!(tile.rows / side * (tile.columns / side), tile.lanes, "{tile:?}");
        // 32 threads are arranged 8 across and 4 down, and each four lines of k are rotated by
        // another number of the 8 vec4s.
        assert!(
            (tile.rows / side).is_multiple_of(4) && (tile.columns / side).is_multiple_of(8),
            "{tile:?}"
        );
        assert!(matches!(tile.k / 4, 2 | 4 | 8), "{tile:?}");
        // A range of a split k ends at a tile boundary.
        assert_eq!(32 % tile.k, 0, "{tile:?}");
    }
}

#[test]
fn the_smallest_tile_fits_what_every_webgpu_device_has() {
    assert!(TILED_SMALL.workgroup_memory() <= 16_384 && TILED_SMALL.lanes <= 256);
}

#[test]
fn workgroups_cover_every_output_and_no_tile_lies_wholly_outside() {
    for tile in TILES {
        for (m, n) in [(1_u32, 1_u32), (16, 32), (17, 33), (785, 128), (129, 10)] {
            let (rows, columns) = (m.div_ceil(tile.rows), n.div_ceil(tile.columns));
            assert_eq!(
                Variant { tile, vec4: false, split: false }.workgroups(shape(m, n, 1)),
                rows * columns
            );
            assert!(rows * tile.rows >= m && (rows - 1) * tile.rows < m);
            assert!(columns * tile.columns >= n && (columns - 1) * tile.columns < n);
        }
    }
}

#[test]
fn the_uniform_lies_in_memory_as_the_shader_says() {
    use std::mem::offset_of;
    let module =
        naga::front::wgsl::parse_str(shader!("ops/matmul/matmul_params.wgsl").text).unwrap();
    let (size, members) = wgsl::struct_layout(&module, "Params").expect("the shader has it");
    // The size of a uniform is a multiple of 16 bytes: the Rust struct has padding after the
    // shader's last field.
    assert_eq!((size as usize).next_multiple_of(16), size_of::<Params>());
    let own = [
        ("m", offset_of!(Params, m)),
        ("n", offset_of!(Params, n)),
        ("k", offset_of!(Params, k)),
        ("ones", offset_of!(Params, ones)),
        ("accumulate", offset_of!(Params, accumulate)),
        ("left_offset", offset_of!(Params, left_offset)),
        ("right_offset", offset_of!(Params, right_offset)),
        ("bias_offset", offset_of!(Params, bias_offset)),
        ("output_offset", offset_of!(Params, output_offset)),
        ("part_k", offset_of!(Params, part_k)),
    ];
    assert_eq!(members, own.map(|(name, offset)| (name.to_string(), offset as u32)));
}

#[test]
fn every_combination_is_valid_and_translates_to_all_four_languages() {
    for (variant, layout, epilogue) in combinations() {
        let label = format!("{variant:?} {layout:?} {epilogue:?}");
        let module =
            wgsl::parse(&label, &variant.header(), &files(&variant, layout, epilogue)).unwrap().ir;
        let capabilities = Capabilities::SUBGROUP;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
        let info = validator.validate(&module).unwrap_or_else(|error| panic!("{label}: {error:?}"));
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &module,
            &info,
            None,
            &Default::default(),
        )
        .unwrap();
        translate(&module, &info).unwrap_or_else(|error| panic!("{label}: {error}"));
    }
}

fn translate(module: &naga::Module, info: &naga::valid::ModuleInfo) -> Result<(), String> {
    use naga::back::{glsl, hlsl, msl, spv};
    spv::write_vec(
        module,
        info,
        &spv::Options { lang_version: (1, 3), ..Default::default() },
        None,
    )
    .map_err(|error| format!("SPIR-V: {error}"))?;
    let options =
        msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .map_err(|error| format!("MSL: {error}"))?;
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
    hlsl::Writer::new(&mut String::new(), &options, &hlsl::PipelineOptions::default())
        .write(module, info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    let options = glsl::Options { version: glsl::Version::Desktop(450), ..Default::default() };
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".into(),
        multiview: None,
    };
    glsl::Writer::new(&mut String::new(), module, info, &options, &pipeline, Default::default())
        .and_then(|mut writer| writer.write())
        .map_err(|error| format!("GLSL: {error}"))?;
    Ok(())
}

/// Pseudo-random numbers in (−1, 1) from a seed.
fn numbers(seed: u32, length: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

/// Inputs and initial output of a product.
struct Operands {
    left: Vec<f32>,
    right: Vec<f32>,
    bias: Vec<f32>,
    /// The initial contents of the output, with seven elements past its end that must not change.
    before: Vec<f32>,
    y: Vec<f32>,
}

impl Operands {
    fn new(p: &Params, layout: Layout) -> Self {
        let stored = if layout == Layout::TN { p.m - p.ones } else { p.m };
        let length = |offset: u32, elements: u32| (offset + elements) as usize;
        Operands {
            left: numbers(1, length(p.left_offset, stored * p.k)),
            right: numbers(2, length(p.right_offset, p.k * p.n)),
            bias: numbers(3, length(p.bias_offset, p.n)),
            before: numbers(4, length(p.output_offset, p.m * p.n) + 7),
            y: numbers(5, length(0, p.m * p.n)),
        }
    }

    /// The product at an element and the sum of its terms' magnitudes.
    fn product(&self, p: &Params, layout: Layout, row: u32, column: u32) -> (f64, f64) {
        let left = |k: u32| match layout {
            Layout::TN if p.ones == 1 && row == p.m - 1 => 1.0,
            Layout::TN => self.left[(p.left_offset + k * (p.m - p.ones) + row) as usize],
            _ => self.left[(p.left_offset + row * p.k + k) as usize],
        };
        let right = |k: u32| match layout {
            Layout::NT => self.right[(p.right_offset + column * p.k + k) as usize],
            _ => self.right[(p.right_offset + k * p.n + column) as usize],
        };
        let term = |k| f64::from(left(k)) * f64::from(right(k));
        ((0..p.k).map(term).sum(), (0..p.k).map(|k| term(k).abs()).sum())
    }

    /// The expected output at an element and the f32 tolerance: k + 2 roundings of half a unit, of
    /// sums bounded by the magnitudes.
    fn expected(
        &self,
        p: &Params,
        layout: Layout,
        epilogue: Epilogue,
        row: u32,
        column: u32,
    ) -> (f64, f64) {
        let (product, mut magnitude) = self.product(p, layout, row, column);
        let place = (row * p.n + column) as usize;
        let value = match epilogue {
            Epilogue::Forward => {
                let bias = f64::from(self.bias[p.bias_offset as usize + column as usize]);
                magnitude += bias.abs();
                (product + bias).max(0.0)
            }
            Epilogue::InputGradient => product * f64::from(u8::from(self.y[place] > 0.0)),
            Epilogue::WeightGradient => {
                let before = f64::from(self.before[p.output_offset as usize + place])
                    * f64::from(p.accumulate);
                magnitude += before.abs();
                product + before
            }
        };
        (value, f64::from(p.k + 2) * 2f64.powi(-24) * magnitude)
    }
}

fn run(
    gpu: &Gpu,
    p: &Params,
    variant: &Variant,
    layout: Layout,
    epilogue: Epilogue,
    operands: &Operands,
) -> Vec<f32> {
    let program = Program {
        label: format!("{p:?} {variant:?} {layout:?} {epilogue:?}"),
        header: variant.header(),
        files: files(variant, layout, epilogue),
        constants: vec![],
    };
    let upload = |values: &[f32]| gpu.upload("a test", values).unwrap();
    let output = upload(&operands.before);
    let (left, right) = (upload(&operands.left), upload(&operands.right));
    let (bias, y, kept) = (upload(&operands.bias), upload(&operands.y), upload(&operands.y));
    let buffers: &[&wgpu::Buffer] = match epilogue {
        Epilogue::Forward => &[&left, &right, &bias, &output, &kept],
        Epilogue::InputGradient => &[&left, &right, &output, &kept, &y],
        Epilogue::WeightGradient => &[&left, &right, &output],
    };
    let slices: Vec<Slice> = buffers.iter().map(|&buffer| buffer.into()).collect();
    if let Some(part_k) = Some(p.part_k).filter(|&part_k| part_k > 0) {
        let kind = Kind { epilogue, activation: activation(epilogue), ..Kind::plain(layout) };
        let record = |recorder: &mut Recorder| {
            record_in_parts(recorder, &kind, &variant.tile, p, part_k, &slices)
        };
        gpu.submit(&Recorder::commands_of(gpu, record).unwrap()).unwrap();
    } else {
        let kernel = gpu.kernel(&program).unwrap();
        gpu.submit([&gpu.dispatch(&kernel, p, &slices, variant.workgroups(p.shape())).unwrap()])
            .unwrap();
    }
    pollster::block_on(gpu.download(&output, 0, operands.before.len())).unwrap()
}

fn activation(epilogue: Epilogue) -> Option<&'static dyn Activation> {
    (epilogue != Epilogue::WeightGradient).then_some(&Relu as &dyn Activation)
}

/// The first wrong element of the output.
fn fault(
    p: &Params,
    layout: Layout,
    epilogue: Epilogue,
    operands: &Operands,
    output: &[f32],
) -> Option<String> {
    let start = p.output_offset as usize;
    let end = start + (p.m * p.n) as usize;
    let outside = (0..start).chain(end..output.len());
    for place in outside {
        if output[place].to_bits() != operands.before[place].to_bits() {
            return Some(format!("element {place}, outside the output, was written"));
        }
    }
    for row in 0..p.m {
        for column in 0..p.n {
            let found = f64::from(output[start + (row * p.n + column) as usize]);
            let (expected, tolerance) = operands.expected(p, layout, epilogue, row, column);
            // NaN is in no range, so it is a fault too.
            if !(expected - tolerance..=expected + tolerance).contains(&found) {
                return Some(format!(
                    "[{row}, {column}] is {found}, not {expected} ± {tolerance:.1e}"
                ));
            }
        }
    }
    None
}

fn cases() -> Vec<Params> {
    let sizes = [
        (1, 1, 1),
        (1, 10, 1),
        (3, 5, 2),
        (5, 4, 7),
        (33, 65, 17),
        (64, 10, 128),
        (64, 128, 10),
        (20, 72, 36),
        (132, 140, 20),
    ];
    let mut cases = Vec::new();
    for (index, (m, n, k)) in sizes.into_iter().enumerate() {
        let plain = Params::new(shape(m, n, k));
        let step = [1, 4][index % 2];
        cases.push(Params { accumulate: 1, ..plain });
        cases.push(Params {
            left_offset: step,
            right_offset: 2 * step,
            bias_offset: 3 * step,
            output_offset: 5 * step,
            ..plain
        });
        cases.push(Params { m: m + 1, ones: 1, ..plain });
    }
    cases
}

/// Runs all cases through some tiles. Each pair of tile and layout uses one of the epilogues, so
/// that every epilogue meets every core and every layout: a pipeline for each triple would take the
/// software compiler minutes.
fn compare(gpu: &Gpu, tiles: &[Tile]) {
    for p in cases() {
        for (index, &tile) in tiles.iter().enumerate() {
            for (place, layout) in LAYOUTS.into_iter().enumerate() {
                if p.ones == 1 && layout != Layout::TN {
                    continue;
                }
                let epilogue = EPILOGUES[(place + index) % 3];
                let variant = Variant { tile, vec4: p.is_aligned(layout), split: false };
                let operands = Operands::new(&p, layout);
                let output = run(gpu, &p, &variant, layout, epilogue, &operands);
                if let Some(fault) = fault(&p, layout, epilogue, &operands, &output) {
                    panic!("{p:?} {variant:?} {layout:?} {epilogue:?}: {fault}");
                }
            }
        }
    }
}

#[test]
fn all_tiles_and_layouts_equal_the_product_in_f64() {
    crate::runtime::device::test_adapter::needs_gpu!();
    compare(
        &Gpu::open_with(GpuOptions::default())
            .expect("these tests need an adapter, a software one will do"),
        &TILES,
    );
}

#[test]
fn both_cores_equal_the_product_in_f64_with_bounds_checked() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default().checked(true))
        .expect("these tests need an adapter, a software one will do");
    compare(&gpu, &[REGISTER, TILED_SMALL]);
}

/// k large enough that sums in another order differ; lengths that leave tails in every tile.
const DEEP: [(u32, u32, u32); 2] = [(68, 76, 404), (35, 41, 403)];

#[test]
fn all_tiles_give_the_same_bits() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    for (m, n, k) in DEEP {
        for layout in LAYOUTS {
            let p = Params::new(shape(m, n, k));
            let operands = Operands::new(&p, layout);
            let vec4 = p.is_aligned(layout);
            // One scalar access variant is enough: the core alone determines the order of a sum.
            if !vec4 && layout != Layout::NN {
                continue;
            }
            let product = |tile, p: &Params| {
                run(
                    &gpu,
                    p,
                    &Variant { tile, vec4, split: false },
                    layout,
                    Epilogue::WeightGradient,
                    &operands,
                )
            };
            let first = product(TILES[0], &p);
            for tile in &TILES[1..] {
                // Compared as numbers, so that 0 equals −0.
                assert!(product(*tile, &p) == first, "{tile:?} {layout:?} {p:?}");
            }
            // The comparison can fail: with another split, k is summed in another order.
            assert!(product(TILES[0], &Params { part_k: 32, ..p }) != first, "{layout:?} {p:?}");
        }
    }
}

#[test]
fn all_tiles_give_the_same_bits_for_a_split_k() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let p = Params { part_k: 96, ..Params::new(shape(35, 40, 404)) };
    let operands = Operands::new(&p, Layout::NN);
    let product = |tile| {
        let variant = Variant { tile, vec4: true, split: true };
        run(&gpu, &p, &variant, Layout::NN, Epilogue::Forward, &operands)
    };
    let first = product(TILES[0]);
    for tile in &TILES[1..] {
        assert!(product(*tile) == first, "{tile:?}");
    }
}

#[test]
fn a_split_k_gives_the_product_in_f64_in_every_layout_and_epilogue() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let checked = Gpu::open_with(GpuOptions::default().checked(true))
        .expect("these tests need an adapter, a software one will do");
    // k of one range and a remainder, of many, and a multiple; ranges of 32 and of 64.
    for (m, n, k, part_k) in
        [(5, 7, 33, 32), (36, 12, 500, 64), (13, 10, 256, 32), (1, 1, 1025, 64)]
    {
        for (index, tile) in [REGISTER_SMALL, TILED_SMALL].into_iter().enumerate() {
            for (place, layout) in LAYOUTS.into_iter().enumerate() {
                let plain = Params { part_k, ..Params::new(shape(m, n, k)) };
                let odd = Params {
                    left_offset: 1,
                    right_offset: 2,
                    bias_offset: 3,
                    output_offset: 5,
                    ..plain
                };
                let ones = Params { m: m + 1, ones: 1, accumulate: 1, ..plain };
                for p in [plain, odd, ones] {
                    if p.ones == 1 && layout != Layout::TN {
                        continue;
                    }
                    let epilogue = EPILOGUES[(place + index + n as usize) % 3];
                    let operands = Operands::new(&p, layout);
                    let variant = Variant { tile, vec4: p.is_aligned(layout), split: true };
                    let gpu = if p.left_offset == 1 { &checked } else { &gpu };
                    let output = run(gpu, &p, &variant, layout, epilogue, &operands);
                    if let Some(fault) = fault(&p, layout, epilogue, &operands, &output) {
                        panic!("{p:?} {variant:?} {layout:?} {epilogue:?}: {fault}");
                    }
                }
            }
        }
    }
}

#[test]
fn only_few_and_deep_outputs_of_a_card_are_split_and_the_parts_cover_k() {
    assert_eq!(split(shape(64, 10, 1 << 15), &LAVAPIPE), None);
    assert_eq!(
        split(shape(64, 10, 1 << 20), &LAVAPIPE),
        Some(1 << 15),
        "longer loops are cut off there"
    );
    assert_eq!(split(shape(4096, 4096, 4096), &CARD), None);
    assert_eq!(split(shape(64, 128, 500), &CARD), None, "two parts would be too shallow");
    for (m, n, k) in [(129, 10, 4096), (64, 10, 784), (785, 10, 60_000), (1, 1, u32::MAX / 2)] {
        let part_k = split(shape(m, n, k), &CARD).unwrap();
        let parts = k.div_ceil(part_k);
        assert!(part_k.is_multiple_of(32) && part_k >= LEAST_PART, "{part_k}");
        assert!((2..=MOST_PARTS).contains(&parts), "{parts}");
        assert!((parts - 1) * part_k < k, "the last of {parts} parts has nothing to do");
        let most =
            [TILED_SMALL, REGISTER_SMALL].map(|tile| parts * tile.workgroups(shape(m, n, k)));
        // An extra workgroup, which folding into two dimensions produces, would write past the end
        // of the partial sums.
        assert!(most.iter().all(|&workgroups| workgroups <= 65_535), "{most:?}");
    }
}

#[test]
fn the_candidates_are_few_fit_the_adapter_and_begin_with_the_rules() {
    let weak = Adapter { lanes: 128, workgroup_memory: 16_384, ..CARD };
    let terms = Adapter { subgroup: 4, ..LAVAPIPE };
    for adapter in [CARD, weak, LAVAPIPE, terms, Adapter { subgroup: 0, ..LAVAPIPE }] {
        for (m, n, k) in
            [(1, 1, 1), (64, 128, 784), (512, 512, 512), (1024, 1024, 1024), (8192, 8192, 8192)]
        {
            let tiles = candidates(shape(m, n, k), &adapter);
            assert_eq!(tiles[0], best_tile(shape(m, n, k), &adapter));
            assert!((1..=5).contains(&tiles.len()), "{tiles:?}");
            let different: std::collections::HashSet<_> = tiles.iter().collect();
            assert_eq!(different.len(), tiles.len(), "{tiles:?}");
            for tile in tiles {
                assert!(
                    tile.workgroup_memory() <= adapter.workgroup_memory
                        && tile.lanes <= adapter.lanes,
                    "{tile:?}"
                );
                assert!(tile.core == Core::Tiled || tile.lanes <= adapter.subgroup, "{tile:?}");
            }
        }
    }
}

#[test]
fn a_wrong_element_or_a_stray_write_is_found() {
    let p = Params { output_offset: 1, ..Params::new(shape(3, 5, 2)) };
    let operands = Operands::new(&p, Layout::NN);
    let mut right = operands.before.clone();
    for row in 0..3 {
        for column in 0..5 {
            let (value, _) =
                operands.expected(&p, Layout::NN, Epilogue::WeightGradient, row, column);
            right[(1 + row * 5 + column) as usize] = value as f32;
        }
    }
    let check = |output: &[f32]| fault(&p, Layout::NN, Epilogue::WeightGradient, &operands, output);
    assert_eq!(check(&right), None);
    for (place, wrong) in [(0, 0.5), (1, f32::NAN), (7, right[7] * 1.01), (16, 0.5)] {
        let mut output = right.clone();
        output[place] = wrong;
        assert!(check(&output).is_some(), "{wrong} at {place} was not found");
    }
}
