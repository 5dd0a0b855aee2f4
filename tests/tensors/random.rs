//! Random numbers: known answers, properties of a shuffle, and the shader's bits against the
//! host's.

use gradus::random::{Permutation, Random, philox};

const SHADER: &str = include_str!("../../shaders/lib/random.wgsl");

/// The vectors of `kat_vectors` in the authors' Random123 library.
#[test]
fn philox_gives_the_published_answers() {
    let pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert_eq!(
        philox([u32::MAX; 4], [u32::MAX; 2]),
        [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
    );
    assert_eq!(
        philox(pi, [0xa4093822, 0x299f31d0]),
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
    );
}

#[test]
fn a_stream_is_philox_in_counting_order() {
    let mut random = Random::new(0x0123_4567_89ab_cdef, 5 << 32 | 3);
    for block in 0..3 {
        for word in philox([block, 0, 3, 5], [0x89ab_cdef, 0x0123_4567]) {
            assert_eq!(random.next_u32(), word);
        }
    }
}

/// Standard errors of n draws: mean σ/√n, variance σ²·√((κ − 1)/n), fourth moment of the normal
/// √(96/n). Bounds: five of each.
#[test]
fn uniform_and_normal_have_their_moments() {
    let n = 200_000;
    let mut random = Random::new(11, 0);
    let moments = |draws: Vec<f64>| {
        [1, 2, 4].map(|k| draws.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n))
    };
    let uniform: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
    assert!(uniform.iter().all(|u| (0.0..1.0).contains(u)));
    let [mean, square, _] = moments(uniform.iter().map(|u| (u - 0.5) * 12f64.sqrt()).collect());
    let root = f64::from(n).sqrt();
    assert!(
        mean.abs() <= 5.0 / root && (square - 1.0).abs() <= 5.0 * 0.8f64.sqrt() / root,
        "{mean} {square}"
    );
    let [mean, square, fourth] = moments((0..n).map(|_| random.normal()).collect());
    assert!(
        mean.abs() <= 5.0 / root && (square - 1.0).abs() <= 5.0 * 2f64.sqrt() / root,
        "{mean} {square}"
    );
    assert!((fourth - 3.0).abs() <= 5.0 * 96f64.sqrt() / root, "{fourth}");
}

#[test]
fn each_index_gets_a_place_of_its_own() {
    for length in (1..=130).chain([255, 256, 257, 1797, 4096, 10_000, 60_000, 65_537]) {
        for (seed, epoch) in [(0, 0), (7, 1), (u64::MAX, u32::MAX)] {
            let order = Permutation::new(length, seed, epoch);
            let mut taken = vec![false; length as usize];
            for index in 0..length {
                let place = order.at(index) as usize;
                assert!(
                    place < taken.len() && !taken[place],
                    "length {length}, seed {seed}, epoch {epoch}: {place}"
                );
                taken[place] = true;
            }
        }
    }
}

#[test]
fn lengths_at_the_edges_do_not_walk_for_ever() {
    assert_eq!(Permutation::new(0, 1, 1).at(5), 0);
    assert_eq!(Permutation::new(1, 1, 1).at(5), 0);
    let order = Permutation::new(u32::MAX, 1, 1);
    assert!(order.at(0) < u32::MAX && order.at(u32::MAX - 1) < u32::MAX);
    assert_eq!(order.at(u32::MAX), order.at(0));
}

#[test]
fn seed_and_epoch_choose_the_order() {
    let order = |seed, epoch| {
        (0..1000).map(|i| Permutation::new(1000, seed, epoch).at(i)).collect::<Vec<_>>()
    };
    assert_eq!(order(7, 3), order(7, 3));
    // Two random orders share one place on average, 20 with probability 1/20! = 4e-19.
    for other in [order(8, 3), order(7 + (1 << 32), 3), order(7, 4), (0..1000).collect()] {
        let equal = order(7, 3).iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(equal < 20, "{equal} of 1000 places are equal");
    }
}

/// Σ (observed − expected)² / expected.
fn chi_square(counts: &[f64], expected: f64) -> f64 {
    counts.iter().map(|count| (count - expected).powi(2) / expected).sum()
}

/// Exceeded with probability 4e-6 for k degrees of freedom:
/// P(χ² ≥ k + 2√(kx) + 2x) ≤ e⁻ˣ at x = 12.5
/// (B. Laurent, P. Massart, *Adaptive estimation of a quadratic functional*, 2000).
fn chi_square_bound(degrees: f64) -> f64 {
    degrees + 5.0 * (2.0 * degrees).sqrt() + 25.0
}

#[test]
fn an_index_lands_everywhere_alike_over_the_epochs() {
    for length in [2u32, 3, 5, 10, 64, 65, 100] {
        let epochs = 200 * length;
        for index in [0, 1, length / 2, length - 1] {
            let mut counts = vec![0.0; length as usize];
            for epoch in 0..epochs {
                counts[Permutation::new(length, 3, epoch).at(index) as usize] += 1.0;
            }
            let found = chi_square(&counts, 200.0);
            assert!(
                found <= chi_square_bound(f64::from(length - 1)),
                "length {length}, index {index}: {found}"
            );
        }
    }
}

#[test]
fn all_orders_of_few_indices_come_alike_often() {
    for (length, orders) in [(2u32, 2.0), (3, 6.0), (4, 24.0), (5, 120.0)] {
        let mut counts = std::collections::BTreeMap::<Vec<u32>, f64>::new();
        let epochs = (orders * 500.0) as u32;
        for epoch in 0..epochs {
            let order = Permutation::new(length, 19, epoch);
            *counts.entry((0..length).map(|index| order.at(index)).collect()).or_default() += 1.0;
        }
        let mut counts: Vec<f64> = counts.into_values().collect();
        counts.resize(orders as usize, 0.0);
        let found = chi_square(&counts, 500.0);
        assert!(found <= chi_square_bound(orders - 1.0), "length {length}: {found}");
    }
}

/// In a random order of n indices, a neighbour (distance 1, either side) follows in about 2 of n
/// places per pair: 2·(n − 1)/n in total, nearly Poisson-distributed. Over 200 epochs 400 are
/// expected, deviation 20; the bound is five of them.
#[test]
fn neighbours_stay_neighbours_no_more_than_by_chance() {
    for length in [100u32, 1000, 10_000] {
        let mut together = 0.0;
        for epoch in 0..200 {
            let order = Permutation::new(length, 23, epoch);
            together +=
                (1..length).filter(|&i| order.at(i).abs_diff(order.at(i - 1)) == 1).count() as f64;
        }
        let expected = 400.0 * f64::from(length - 1) / f64::from(length);
        assert!(
            (together - expected).abs() <= 5.0 * expected.sqrt(),
            "length {length}: {together}, not {expected}"
        );
    }
}

/// A module around the helper: `words` holds counter, key, length and two vectors of keys;
/// `results` six words per index.
const CHECK_IDS: &str = "
struct Words { counter: vec4<u32>, first_keys: vec4<u32>, last_keys: vec4<u32>, key: vec2<u32>, length: u32, start: u32 }
@group(0) @binding(0) var<storage, read> words: Words;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;
@compute @workgroup_size(64) fn judge(@builtin(global_invocation_id) id: vec3<u32>) {
    let bits = philox(words.counter + vec4(id.x), words.key);
    let place = permuted(words.start + id.x, words.length, words.first_keys, words.last_keys);
    for (var k = 0u; k < 4u; k++) { results[5u * id.x + k] = bits[k]; }
    results[5u * id.x + 4u] = place;
}";
const INDICES: u32 = 4096;

#[test]
fn the_shader_is_valid_wgsl() {
    let module = naga::front::wgsl::parse_str(&[SHADER, CHECK_IDS].concat()).expect("parses");
    naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::empty(),
    )
    .validate(&module)
    .expect("validates");
}

/// A bare wgpu device, without the library's runtime.
fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
    crate::support::gpu()?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))
        .expect("ours opened before");
    Some(
        pollster::block_on(adapter.request_device(&Default::default()))
            .expect("ours opened before"),
    )
}

/// Runs `judge` once over `INDICES` indices.
fn run(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    pipeline: &wgpu::ComputePipeline,
    words: &[u32; 16],
) -> Vec<u32> {
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let size = u64::from(INDICES) * 20;
    let input = buffer(64, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    let results = buffer(size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let download = buffer(size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    queue.write_buffer(&input, 0, bytemuck::bytes_of(words));
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: results.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.dispatch_workgroups(INDICES / 64, 1, 1);
    drop(pass);
    encoder.copy_buffer_to_buffer(&results, 0, &download, 0, size);
    queue.submit([encoder.finish()]);
    download.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("the results can be read"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    let bytes = download.get_mapped_range(..).expect("the results are mapped");
    bytemuck::pod_collect_to_vec(&bytes)
}

#[test]
fn the_shader_makes_the_bits_of_the_host() {
    let Some((device, queue)) = device() else { return };
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("random"),
        source: wgpu::ShaderSource::Wgsl([SHADER, CHECK_IDS].concat().into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("judge"),
        layout: None,
        module: &module,
        entry_point: Some("judge"),
        compilation_options: Default::default(),
        cache: None,
    });
    let mut random = Random::new(5, 0);
    for length in [
        0,
        1,
        2,
        3,
        5,
        15,
        16,
        17,
        64,
        65,
        257,
        4096,
        10_000,
        60_000,
        65_536,
        65_537,
        1 << 30,
        u32::MAX,
    ] {
        let counter: [u32; 4] = std::array::from_fn(|_| random.next_u32());
        let key = [random.next_u32(), random.next_u32()];
        let start = length.saturating_sub(INDICES / 2);
        let order = Permutation::new(length, u64::from(length), key[0]);
        let words = [&counter[..], &order.keys(), &key, &[length, start]].concat();
        let found = run(&device, &queue, &pipeline, &words.try_into().expect("16 words"));
        for (index, row) in (0..INDICES).zip(found.chunks_exact(5)) {
            assert_eq!(
                row[..4],
                philox(counter.map(|word| word.wrapping_add(index)), key),
                "philox, index {index}"
            );
            let asked = start.wrapping_add(index);
            assert_eq!(row[4], order.at(asked), "length {length}, index {asked}");
        }
    }
}
