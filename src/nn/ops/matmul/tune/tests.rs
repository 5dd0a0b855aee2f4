//! Tests of the tuner: time budget, bit-equal candidates, caching, and no access to user buffers.

use crate::GpuOptions;
use crate::nn::ops::matmul::tune::*;

const RELU: crate::nn::activations::Relu = crate::nn::activations::Relu;

fn params(m: u32, n: u32, k: u32) -> Params {
    Params::new(Shape { m, n, k })
}

fn forward() -> Kind<'static> {
    Kind { epilogue: Epilogue::Forward, activation: Some(&RELU), ..Kind::plain(Layout::NN) }
}

fn gpu() -> Gpu {
    Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do")
}

#[test]
fn sizes_share_a_choice_up_to_the_next_power_of_two() {
    let of = |m, n, k| bucket(&params(m, n, k), Layout::NN, true);
    assert_eq!(of(65, 512, 784), of(128, 512, 1024));
    assert_ne!(of(64, 512, 784), of(128, 512, 784));
    assert_ne!(of(64, 512, 784), bucket(&params(64, 512, 784), Layout::NT, true));
    assert_ne!(of(64, 512, 784), bucket(&params(64, 512, 784), Layout::NN, false));
    assert_eq!(of(8192, 8192, 8192), of(4096, 4096, 4096));
    // The row of ones for the bias gradient does not move a layer of 1024 inputs to the next
    // bucket.
    let with_ones = Params { ones: 1, ..params(1025, 512, 784) };
    assert_eq!(
        bucket(&with_ones, Layout::TN, true),
        bucket(&params(1024, 512, 784), Layout::TN, true)
    );
}

#[test]
fn small_products_and_a_tuner_that_is_off_take_the_rule() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = gpu();
    let folder = tempfile::tempdir().unwrap();
    gpu.keep_choices_in(folder.path());
    let rule = |params: &Params| matmul::variant(params, Layout::NN, &adapter(&gpu));
    let (small, large) = (params(64, 10, 128), params(512, 256, 128));
    gpu.set_autotune(true);
    assert_eq!(variant(&gpu, &forward(), &small).unwrap(), rule(&small));
    gpu.set_autotune(false);
    assert_eq!(variant(&gpu, &forward(), &large).unwrap(), rule(&large));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was tuned, so nothing is kept"
    );
}

#[test]
fn what_was_chosen_is_kept_for_the_next_process() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let folder = tempfile::tempdir().unwrap();
    let size = params(512, 256, 128);
    let first = gpu();
    if matmul::candidates(size.shape(), &adapter(&first)).len() < 2 {
        return;
    }
    first.keep_choices_in(folder.path());
    first.set_autotune(true);
    let chosen = variant(&first, &forward(), &size).unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().next().expect("a file").unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&chosen.tile.name()), "{text}");
    // A tile other than the chosen one, to show that the file decides.
    let others = matmul::candidates(size.shape(), &adapter(&first));
    let other = others.into_iter().find(|tile| *tile != chosen.tile).unwrap();
    std::fs::write(&file, text.replace(&chosen.tile.name(), &other.name())).unwrap();
    let second = gpu();
    second.keep_choices_in(folder.path());
    second.set_autotune(true);
    assert_eq!(variant(&second, &forward(), &size).unwrap().tile, other);
}

#[test]
fn a_name_that_no_tile_bears_gives_the_rule() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = gpu();
    let folder = tempfile::tempdir().unwrap();
    gpu.keep_choices_in(folder.path());
    gpu.set_autotune(true);
    let size = params(512, 256, 128);
    let rule = matmul::variant(&size, Layout::NN, &adapter(&gpu));
    gpu.choices(fingerprint)
        .remember(bucket(&size, Layout::NN, rule.vec4), "a tile of another age".into());
    assert_eq!(variant(&gpu, &forward(), &size).unwrap(), rule);
}

#[test]
fn tiles_have_names_of_their_own() {
    let names: std::collections::BTreeSet<String> = TILES.iter().map(Tile::name).collect();
    assert_eq!(names.len(), TILES.len());
}

#[test]
fn every_epilogue_can_be_tried_whatever_the_sizes() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = gpu();
    let input_gradient =
        Kind { layout: Layout::NT, epilogue: Epilogue::InputGradient, ..forward() };
    let weights = Params { ones: 1, accumulate: 1, output_offset: 8, ..params(13, 12, 20) };
    for (kind, params) in [
        (forward(), params(33, 17, 9)),
        (input_gradient, params(33, 17, 9)),
        (Kind::plain(Layout::TN), weights),
    ] {
        let rule = matmul::variant(&params, kind.layout, &adapter(&gpu));
        assert_eq!(measure(&gpu, &kind, &params, rule.vec4, &[rule.tile]).unwrap(), rule.tile);
    }
}
