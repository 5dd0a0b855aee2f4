//! Numbers whose squares overflow or underflow f32, and means over so many elements that a plain
//! sum would lose them: each device against the f64 reference, which loses nothing.

use crate::support::each_device;
use gradus::losses::{LossDefinition, from_name};
use gradus::random::Random;
use gradus::{Criterion, Device, Evaluation, Inputs};
use ndarray::{Array1, Array2};
use serde_json::Value;

/// Magnitudes of vectors: at both ends their squares are 0 or infinite in f32.
const SIZES: [f32; 8] = [1e-30, 1e-25, 1e-19, 1e-3, 1.0, 1e18, 1e25, 3e35];

fn loss(name: &str, options: &str) -> Box<dyn LossDefinition> {
    let options: Value = serde_json::from_str(options).unwrap();
    from_name(name, &options).unwrap()
}

fn rows(seed: u64, size: f32, columns: usize) -> Array2<f32> {
    let mut random = Random::new(seed, 0);
    Array2::from_shape_simple_fn((6, columns), || size * random.normal() as f32)
}

/// Sums of a few hundred squares and their roots: some ten roundings of f32 relative to the largest
/// number of a gradient.
fn assert_alike(found: &Evaluation, wanted: &Evaluation, names: &[&str], what: &str) {
    let close = |a: f64, b: f64, size: f64| a == b || (a - b).abs() <= 3e-6 * size + 4e-38;
    // Near the end of f32 a row's distance may overflow, and there is nothing to compare.
    if wanted.value() > 1e37 {
        return;
    }
    let (value, right) = (found.value(), wanted.value());
    assert!(close(value, right, right.abs().max(1.0)), "{what}: {value} and not {right}");
    for name in names {
        let [found, wanted] =
            [found, wanted].map(|of| of.gradient_of(name).unwrap().mapv(f64::from));
        let largest = wanted.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        // A gradient for vectors as short as 1e-38 overflows f32.
        if largest > 1e37 {
            continue;
        }
        // A triplet's gradient is the difference of two unit vectors; its error is relative to 1,
        // however small the difference.
        let size = if what.starts_with("triplet_margin") { largest.max(1.0) } else { largest };
        for (a, b) in found.iter().zip(&wanted) {
            assert!(close(*a, *b, size), "{what}: gradient of {name}: {a} and not {b}");
        }
    }
}

/// Asserts that all devices agree with the reference for vectors of all sizes.
fn check<'a>(
    name: &str,
    options: &str,
    names: &[&'static str],
    inputs: impl Fn(&'a [Array2<f32>; 3]) -> Inputs<'a>,
) {
    // Of one size, and a huge vector beside a tiny one.
    let sizes = SIZES.iter().map(|&size| [size; 3]).chain([
        [1e20, 1e-25, 1e-3],
        [1e-25, 1e20, 1e18],
        [1.0, 1e25, 1e-30],
    ]);
    for size in sizes {
        // Shorter vectors vanish beside the 1e-6 that a triplet adds, so all distances are equal;
        // and beside a huge vector the difference of two distances is only rounding error.
        let is_small = !options.contains("epsilon") && size[0] < 1e-5;
        if name == "triplet_margin" && (is_small || size[0] != size[1]) {
            continue;
        }
        // A single column has only the angles 0 and π.
        for columns in [3, 70, 300] {
            // Leaked: the inputs of a loss borrow them, and these are a few small arrays of a test.
            let vectors: &'a [Array2<f32>; 3] =
                Box::leak(Box::new([0, 1, 2].map(|k| rows(1 + k as u64, size[k], columns))));
            let evaluate = |device: &Device| {
                Criterion::from_boxed(loss(name, options), device)
                    .unwrap()
                    .evaluate(&inputs(vectors))
                    .unwrap()
            };
            let wanted = evaluate(&Device::Reference);
            for device in each_device() {
                let what = format!(
                    "{name} {options} of {size:?}, {columns} columns on {}",
                    device.describe()
                );
                assert_alike(&evaluate(&device), &wanted, names, &what);
            }
        }
    }
}

#[test]
fn lengths_and_distances_are_right_where_their_squares_leave_f32() {
    let signs = Array1::from_shape_fn(6, |row| if row % 2 == 0 { 1.0_f32 } else { -1.0 });
    let flags = signs.mapv(|sign| f32::from(sign > 0.0));
    let labels = Array1::from_shape_fn(6, |row| (row / 2) as i64);
    for options in ["{}", r#"{"epsilon": 1e-30}"#] {
        check("cosine_similarity", options, &["predictions"], |v| Inputs::new(&v[0], &v[1]));
    }
    let signs: &'static Array1<f32> = Box::leak(Box::new(signs));
    // Not at the margin of 0, which the cosine equals for vectors that vanish beside the 1e-12.
    check("cosine_embedding", r#"{"margin": 0.3}"#, &["first", "second"], |v| {
        Inputs::named("first", &v[0]).input("second", &v[1]).input("targets", signs)
    });
    let flags: &'static Array1<f32> = Box::leak(Box::new(flags));
    for options in ["{}", r#"{"epsilon": 0.0}"#] {
        check("contrastive", options, &["first", "second"], |v| {
            Inputs::named("first", &v[0]).input("second", &v[1]).input("targets", flags)
        });
    }
    for options in
        ["{}", r#"{"epsilon": 0.0}"#, r#"{"swap": true}"#, r#"{"p": 3.0}"#, r#"{"p": 1.0}"#]
    {
        check("triplet_margin", options, &["anchor", "positive", "negative"], |v| {
            Inputs::named("anchor", &v[0]).input("positive", &v[1]).input("negative", &v[2])
        });
    }
    check("info_nce", "{}", &["first", "second"], |v| {
        Inputs::named("first", &v[0]).input("second", &v[1])
    });
    let labels: &'static Array1<i64> = Box::leak(Box::new(labels));
    for name in ["batch_triplet", "sup_con", "circle"] {
        check(name, "{}", &["predictions"], |v| Inputs::new(&v[0], labels));
    }
}

#[test]
fn the_mean_of_twenty_million_equal_elements_is_exact() {
    const COUNT: usize = 20_000_000;
    for (name, x, y) in [("mse", 0.1_f32, 0.0_f32), ("mae", 0.7, 0.4), ("mse", 3.3, 1.1)] {
        let (predictions, targets) = (Array1::from_elem(COUNT, x), Array1::from_elem(COUNT, y));
        let (one, other) = (Array1::from_elem(1, x), Array1::from_elem(1, y));
        for device in
            each_device().into_iter().filter(|device| !device.describe().contains("reference"))
        {
            let criterion = Criterion::from_boxed(loss(name, "{}"), &device).unwrap();
            // From the device itself: the element's own rounding in f32 does not belong to the sum.
            let wanted = criterion.evaluate(&Inputs::new(&one, &other)).unwrap().value();
            let value = criterion.evaluate(&Inputs::new(&predictions, &targets)).unwrap().value();
            assert!(
                ((value - wanted) / wanted).abs() < 1e-7,
                "{name} on {}: {value} {wanted}",
                device.describe()
            );
        }
    }
}
