//! Edge cases of the embedding losses: zero, equal, huge and tiny vectors, one row, one column, all
//! labels equal or all different, NaN in one row, masked rows.

#![allow(
    clippy::approx_constant,
    reason = "the derivative at right angles is what it is, √½ or not"
)]

use crate::support::each_device;
use gradus::losses;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction};
use ndarray::{Array1, Array2, ArrayD, array};

/// A row of two or three vectors with the results of PyTorch 2.15 in f64, for inputs rounded to
/// f32. At a hinge's boundary the gradient is that of the active side, as in earlier versions; 2.15
/// gives 0.
struct Edge {
    loss: &'static str,
    options: &'static str,
    truth: Option<f64>,
    vectors: &'static [&'static [f64]],
    value: f64,
    gradients: &'static [&'static [f64]],
}

#[rustfmt::skip]
const EDGES: &[Edge] = &[
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0]], value: 1.0, gradients: &[&[-60000000.0, -80000000.0]] },
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[3.0, 4.0], &[0.0, 0.0]], value: 1.0, gradients: &[&[0.0, 0.0]] },
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[3.0, 4.0], &[3.0, 4.0]], value: 0.0, gradients: &[&[0.0, 2.775557562e-17]] },
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[10000.0, -20000.0], &[30000.0, 10000.0]], value: 0.8585786438, gradients: &[&[-3.959797975e-05, -1.979898987e-05]] },
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[3e-20, 4e-20], &[3.0, -1.0]], value: 1.0, gradients: &[&[-94868329.8, 31622776.6]] },
    Edge { loss: "cosine_similarity", options: r#"{}"#, truth: None, vectors: &[&[2.0], &[-3.0]], value: 2.0, gradients: &[&[0.0]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[0.0, 0.0], &[3.0, 4.0]], value: 1.0, gradients: &[&[-600000.0012, -800000.0016], &[0.0, 0.0]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[3.0, 4.0], &[3.0, 4.0]], value: 3.996802889e-14, gradients: &[&[-4.815592369e-15, -6.411537967e-15], &[-4.815592369e-15, -6.411537967e-15]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[1.0, 0.0], &[0.0, 1.0]], value: 1.0, gradients: &[&[0.0, -1.0], &[-1.0, 0.0]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[10000.0, -20000.0], &[30000.0, 10000.0]], value: 0.8585786438, gradients: &[&[-3.959797975e-05, -1.979898987e-05], &[-9.899494937e-06, 2.969848481e-05]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[3e-20, 4e-20], &[3.0, -1.0]], value: 1.0, gradients: &[&[-948683.2999, 316227.7666], &[-4.743416349e-15, -1.423024905e-14]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(1.0), vectors: &[&[2.0], &[3.0]], value: 1.806332861e-13, gradients: &[&[-1.251221349e-13], &[-3.708144902e-14]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[0.0, 0.0], &[3.0, 4.0]], value: 0.0, gradients: &[&[6e5, 8e5], &[0.0, 0.0]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[3.0, 4.0], &[3.0, 4.0]], value: 1.0, gradients: &[&[4.815592369e-15, 6.411537967e-15], &[4.815592369e-15, 6.411537967e-15]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[1.0, 0.0], &[0.0, 1.0]], value: 0.0, gradients: &[&[0.0, 1.0], &[1.0, 0.0]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[10000.0, -20000.0], &[30000.0, 10000.0]], value: 0.1414213562, gradients: &[&[3.959797975e-05, 1.979898987e-05], &[9.899494937e-06, -2.969848481e-05]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[3e-20, 4e-20], &[3.0, -1.0]], value: 1.581138783e-14, gradients: &[&[948683.2999, -316227.7666], &[4.743416349e-15, 1.423024905e-14]] },
    Edge { loss: "cosine_embedding", options: r#"{}"#, truth: Some(-1.0), vectors: &[&[2.0], &[3.0]], value: 1.0, gradients: &[&[1.251221349e-13], &[3.708144902e-14]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 1.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 1.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]], value: 2.0, gradients: &[&[0.0, -1.0], &[0.0, 1.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 1.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0], &[0.0, 6.0]], value: 2.0, gradients: &[&[-1.0, 0.0], &[1.0, 1.0], &[0.0, -1.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 1.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[10000.0, 0.0], &[-10000.0, 30000.0], &[20000.0, 10000.0]], value: 30001.0, gradients: &[&[2.0, 0.0], &[-1.0, 1.0], &[-1.0, -1.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 1.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1e-20, 0.0], &[0.0, 2e-20], &[0.0, 0.0]], value: 1.0, gradients: &[&[0.0, -1.0], &[-1.0, 1.0], &[1.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]], value: 2.0, gradients: &[&[0.0, -1.0], &[0.0, 1.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0], &[0.0, 6.0]], value: 0.0, gradients: &[&[-0.6, 0.2], &[0.6, 0.8], &[0.0, -1.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0}"#, truth: None, vectors: &[&[10000.0, 0.0], &[-10000.0, 30000.0], &[20000.0, 10000.0]], value: 21914.37713, gradients: &[&[1.261806977, -0.1249435132], &[-0.5547001962, 0.8320502943], &[-0.7071067812, -0.7071067812]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0}"#, truth: None, vectors: &[&[1e-20, 0.0], &[0.0, 2e-20], &[0.0, 0.0]], value: 1.0, gradients: &[&[-0.5527864045, -0.894427191], &[-0.4472135955, 0.894427191], &[1.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[-0.7071067812, -0.7071067812], &[0.7071067812, 0.7071067812]] },
    Edge { loss: "triplet_margin", options: r#"{}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]], value: 1.999997586, gradients: &[&[-0.7071057812, -1.707106781], &[-1.000001e-06, 1.0], &[0.7071067812, 0.7071067812]] },
    Edge { loss: "triplet_margin", options: r#"{}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0], &[0.0, 6.0]], value: 0.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{}"#, truth: None, vectors: &[&[10000.0, 0.0], &[-10000.0, 30000.0], &[20000.0, 10000.0]], value: 21914.37713, gradients: &[&[1.261806977, -0.1249435131], &[-0.5547001963, 0.8320502943], &[-0.7071067812, -0.7071067812]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]], value: 2.0, gradients: &[&[0.0, -1.0], &[0.0, 1.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0], &[0.0, 6.0]], value: 2.394448725, gradients: &[&[-0.6, -0.8], &[-0.2320502943, 1.354700196], &[0.8320502943, -0.5547001962]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true}"#, truth: None, vectors: &[&[10000.0, 0.0], &[-10000.0, 30000.0], &[20000.0, 10000.0]], value: 21914.37713, gradients: &[&[1.261806977, -0.1249435132], &[-0.5547001962, 0.8320502943], &[-0.7071067812, -0.7071067812]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true}"#, truth: None, vectors: &[&[1e-20, 0.0], &[0.0, 2e-20], &[0.0, 0.0]], value: 1.0, gradients: &[&[-0.5527864045, -0.894427191], &[-0.4472135955, 0.894427191], &[1.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 10.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 10.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1.0, 2.0], &[1.0, 3.0], &[1.0, 2.0]], value: 2.0, gradients: &[&[0.0, -1.0], &[0.0, 1.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 10.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[0.0, 0.0], &[3.0, 4.0], &[0.0, 6.0]], value: 0.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 10.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[10000.0, 0.0], &[-10000.0, 30000.0], &[20000.0, 10000.0]], value: 19334.88838, gradients: &[&[0.5614996206, -0.4487587762], &[-0.02561288929, 0.9846455075], &[-0.5358867313, -0.5358867313]] },
    Edge { loss: "triplet_margin", options: r#"{"p": 10.0, "epsilon": 0.0}"#, truth: None, vectors: &[&[1e-20, 0.0], &[0.0, 2e-20], &[0.0, 0.0]], value: 1.0, gradients: &[&[-0.99804859, -0.9991219084], &[-0.001951409977, 0.9991219084], &[1.0, 0.0]] },
    Edge { loss: "triplet_margin", options: r#"{"epsilon": 0.0, "swap": true, "margin": 1.0}"#, truth: None, vectors: &[&[0.0, 0.0], &[2.0, 0.0], &[1.0, 3.0]], value: 0.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(1.0), vectors: &[&[1.0, 2.0], &[1.0, 2.0]], value: 0.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(1.0), vectors: &[&[3.0, 4.0], &[3.0, 3.5]], value: 0.25, gradients: &[&[0.0, 1.0], &[0.0, -1.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(1.0), vectors: &[&[10000.0, -20000.0], &[30000.0, 10000.0]], value: 1300000000.0, gradients: &[&[-40000.0, -60000.0], &[40000.0, 60000.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(1.0), vectors: &[&[0.0], &[0.25]], value: 0.0625, gradients: &[&[-0.5], &[0.5]] },
    Edge { loss: "contrastive", options: r#"{}"#, truth: Some(1.0), vectors: &[&[1.0, 2.0], &[1.0, 2.0]], value: 2e-12, gradients: &[&[2e-06, 2e-06], &[-2e-06, -2e-06]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(0.0), vectors: &[&[1.0, 2.0], &[1.0, 2.0]], value: 1.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(0.0), vectors: &[&[3.0, 4.0], &[3.0, 3.5]], value: 0.25, gradients: &[&[0.0, -1.0], &[0.0, 1.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(0.0), vectors: &[&[10000.0, -20000.0], &[30000.0, 10000.0]], value: 0.0, gradients: &[&[0.0, 0.0], &[0.0, 0.0]] },
    Edge { loss: "contrastive", options: r#"{"epsilon": 0.0}"#, truth: Some(0.0), vectors: &[&[0.0], &[0.25]], value: 0.5625, gradients: &[&[1.5], &[-1.5]] },
    Edge { loss: "contrastive", options: r#"{}"#, truth: Some(0.0), vectors: &[&[1.0, 2.0], &[1.0, 2.0]], value: 0.9999971716, gradients: &[&[-1.414211562, -1.414211562], &[1.414211562, 1.414211562]] },
];

fn criterion(loss: &str, options: &str, device: &Device) -> Criterion {
    let options = serde_json::from_str(options).expect("options are JSON");
    let loss = losses::from_name(loss, &options).unwrap_or_else(|error| panic!("{error}"));
    Criterion::from_boxed(loss, device).expect("the device opened before")
}

/// Off by at most 1e-5 of the largest; if that is 0, since the terms cancel, by 1e-6 of the terms,
/// which are 1.
fn is_near(found: &[f64], expected: &[f64], exact: bool) -> bool {
    let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let tolerance = match (exact, largest < 1e-11) {
        (true, _) => 1e-8 * largest + 1e-12,
        (false, true) => 1e-6,
        (false, false) => 1e-5 * largest,
    };
    // Written so that NaN fails.
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance)
}

fn gradients(found: &Evaluation<f64>) -> Vec<Vec<f64>> {
    let others = found.others.iter().map(|(_, gradient)| gradient);
    std::iter::once(&found.gradient)
        .chain(others)
        .map(|gradient| gradient.iter().copied().collect())
        .collect()
}

#[test]
fn losses_over_vectors_are_right_at_their_edges() {
    let mut failures = Vec::new();
    for device in each_device() {
        for edge in EDGES {
            let criterion = criterion(edge.loss, edge.options, &device).reduction(Reduction::Sum);
            let rows: Vec<Array2<f32>> = edge
                .vectors
                .iter()
                .map(|vector| {
                    Array2::from_shape_fn((1, vector.len()), |(_, column)| vector[column] as f32)
                })
                .collect();
            let truth: Option<Array1<f32>> = edge.truth.map(|truth| array![truth as f32]);
            let names: Vec<&str> =
                criterion.loss().arguments().iter().map(|argument| argument.name).collect();
            let mut inputs = Inputs::named(names[0], &rows[0]);
            for (name, row) in names.iter().zip(&rows).skip(1) {
                inputs = inputs.input(name, row);
            }
            if let Some(truth) = &truth {
                inputs = inputs.input("targets", truth);
            }
            let found = criterion
                .evaluate_f64(&inputs)
                .unwrap_or_else(|error| panic!("{}: {error}", edge.loss));
            let exact = device.name() == "reference";
            let derivatives = gradients(&found);
            let is_right = is_near(&[found.value()], &[edge.value], exact)
                && derivatives.len() == edge.gradients.len()
                && derivatives
                    .iter()
                    .zip(edge.gradients)
                    .all(|(found, expected)| is_near(found, expected, exact));
            if !is_right {
                failures.push(format!(
                    "{} {} {} of {:?}, {:?}: {:e}, {derivatives:?} instead of {:e}, {:?}",
                    device.name(),
                    edge.loss,
                    edge.options,
                    edge.vectors,
                    edge.truth,
                    found.value(),
                    edge.value,
                    edge.gradients
                ));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

const OVER_LABELS: [&str; 5] =
    ["sup_con", "nt_xent", "multi_similarity", "circle", "batch_triplet"];

/// Numbers of both signs, different in every row.
fn embeddings(rows: usize, columns: usize, size: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| {
        size * (1.7 * r as f32 + 2.3 * (c * c) as f32 + 0.4).sin()
    })
}

fn over_labels(
    loss: &str,
    device: &Device,
    rows: &Array2<f32>,
    labels: &Array1<i64>,
) -> Evaluation<f64> {
    let found = criterion(loss, "{}", device).evaluate_f64(&Inputs::new(rows, labels));
    found.unwrap_or_else(|error| panic!("{loss}: {error}"))
}

#[test]
fn a_row_without_what_its_loss_needs_counts_for_nothing() {
    for device in each_device() {
        for (loss, labels, count) in [
            ("sup_con", array![0_i64, 1, 2, 3], 0),
            ("nt_xent", array![0_i64, 1, 2, 3], 0),
            ("circle", array![0_i64, 1, 2, 3], 0),
            ("circle", array![5_i64, 5, 5, 5], 0),
            ("batch_triplet", array![0_i64, 1, 2, 3], 0),
            ("batch_triplet", array![5_i64, 5, 5, 5], 0),
            ("sup_con", array![0_i64, 0, 2, 3], 2),
            ("multi_similarity", array![0_i64, 1, 2, 3], 4),
        ] {
            let found = over_labels(loss, &device, &embeddings(4, 6, 1.0), &labels);
            assert_eq!(found.count, count, "{} {loss} {labels}", device.name());
            if count == 0 {
                assert_eq!(found.value(), 0.0, "{} {loss}", device.name());
                assert!(found.gradient.iter().all(|&x| x == 0.0), "{} {loss}", device.name());
            }
        }
        // Only positives: the denominator of each pair is the pair itself.
        let found =
            over_labels("nt_xent", &device, &embeddings(4, 6, 1.0), &array![5_i64, 5, 5, 5]);
        assert_eq!((found.value(), found.count), (0.0, 4), "{}", device.name());
        for loss in OVER_LABELS {
            let found = over_labels(loss, &device, &embeddings(1, 6, 1.0), &array![3_i64]);
            assert!(
                found.value() == 0.0 && found.gradient.iter().all(|&x| x == 0.0),
                "{} {loss}",
                device.name()
            );
        }
    }
}

#[test]
fn one_row_or_one_column_has_no_gradient() {
    for device in each_device() {
        for options in [r#"{"symmetric": true}"#, "{}"] {
            let criterion = criterion("info_nce", options, &device);
            let (first, second) = (embeddings(1, 5, 1.0), embeddings(1, 5, 3.0));
            let found = criterion
                .evaluate_f64(&Inputs::named("first", &first).input("second", &second))
                .unwrap();
            // A softmax over one candidate: 0 except for the rounding of a score over 0.07.
            assert!(found.value().abs() < 1e-5, "{}: {}", device.name(), found.value());
            assert!(
                gradients(&found).iter().flatten().all(|x| x.abs() < 1e-4),
                "{}",
                device.name()
            );
            let (first, second) = (embeddings(5, 1, 1.0), embeddings(5, 1, 3.0));
            let found = criterion
                .evaluate_f64(&Inputs::named("first", &first).input("second", &second))
                .unwrap();
            // The direction of a one-column embedding is its sign: terms of up to 1/(0.07 |x|), |x|
            // > 0.05, that cancel to about 1e-7 of them.
            assert!(
                gradients(&found).iter().flatten().all(|x| x.abs() < 1e-3),
                "{}",
                device.name()
            );
        }
    }
}

#[test]
fn nan_in_one_row_makes_every_row_nan_and_over_vectors_its_own_alone() {
    for device in each_device() {
        let mut rows = embeddings(5, 6, 1.0);
        rows[[2, 3]] = f32::NAN;
        for loss in OVER_LABELS {
            let criterion = criterion(loss, "{}", &device).reduction(Reduction::None);
            let labels = array![0_i64, 1, 0, 1, 0];
            let found = criterion.evaluate_f64(&Inputs::new(&rows, &labels)).unwrap();
            assert!(
                found.values.iter().all(|x| x.is_nan()),
                "{} {loss}: {}",
                device.name(),
                found.values
            );
            assert!(found.gradient.iter().all(|x| x.is_nan()), "{} {loss}", device.name());
        }
        let criterion = criterion("triplet_margin", "{}", &device).reduction(Reduction::None);
        let (positive, negative) = (embeddings(5, 6, 2.0), embeddings(5, 6, 0.5));
        let inputs = Inputs::named("anchor", &rows)
            .input("positive", &positive)
            .input("negative", &negative);
        let found = criterion.evaluate_f64(&inputs).unwrap();
        let nan: Vec<bool> = found.values.iter().map(|x| x.is_nan()).collect();
        assert_eq!(nan, [false, false, true, false, false], "{}", device.name());
        for gradient in gradients(&found) {
            let is_right = gradient
                .chunks(6)
                .enumerate()
                .all(|(row, cells)| cells.iter().all(|x| x.is_nan() == (row == 2)));
            assert!(is_right, "{}", device.name());
        }
    }
}

/// These losses depend only on directions.
#[test]
fn the_length_of_an_embedding_changes_no_value() {
    let labels = array![0_i64, 1, 0, 1, 1, 2, 0];
    for device in each_device() {
        for loss in OVER_LABELS {
            let usual = over_labels(loss, &device, &embeddings(7, 9, 1.0), &labels);
            for size in [1e4, 1e-9] {
                let found = over_labels(loss, &device, &embeddings(7, 9, size), &labels);
                // Each score is off by a few roundings, which γ or β multiplies by up to 200.
                let off = (found.value() - usual.value()).abs();
                assert!(
                    off <= 1e-4 * usual.value().abs(),
                    "{} {loss} {size}: {off}",
                    device.name()
                );
            }
            let tiny = over_labels(loss, &device, &embeddings(7, 9, 1e-20), &labels);
            assert!(
                tiny.value().is_finite() && tiny.gradient.iter().all(|x| x.is_finite()),
                "{} {loss}",
                device.name()
            );
        }
    }
}

/// A zero vector has no direction: its scores are 0, and its gradient is divided by 1e-12.
#[test]
fn a_zero_vector_is_divided_by_the_shortest_length() {
    let labels = array![0_i64, 1, 0, 1, 0];
    let mut rows = embeddings(5, 6, 1.0);
    rows.row_mut(1).fill(0.0);
    for loss in OVER_LABELS {
        let expected = over_labels(loss, &Device::reference(), &rows, &labels);
        for device in each_device() {
            let found = over_labels(loss, &device, &rows, &labels);
            assert!(
                (found.value() - expected.value()).abs() <= 1e-4 * expected.value(),
                "{} {loss}",
                device.name()
            );
            // The zero vector's cells are 1e12 times the others': each kind is compared relative to
            // its own largest.
            let is_near = |rows: std::ops::Range<usize>| {
                let cells = |gradient: &ArrayD<f64>| {
                    gradient.as_slice().unwrap()[6 * rows.start..6 * rows.end].to_vec()
                };
                let (found, expected) = (cells(&found.gradient), cells(&expected.gradient));
                let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
                found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 1e-4 * largest)
            };
            assert!(is_near(1..2) && is_near(2..5), "{} {loss}", device.name());
        }
    }
}

#[test]
fn a_masked_row_has_no_value_and_is_a_candidate_of_the_others() {
    let rows = embeddings(6, 5, 1.0);
    let labels = array![0_i64, 0, 1, 1, 0, 1];
    let mask = array![true, true, false, true, true, true];
    for device in each_device() {
        for loss in OVER_LABELS {
            let criterion = criterion(loss, "{}", &device).reduction(Reduction::None);
            let all = criterion.evaluate_f64(&Inputs::new(&rows, &labels)).unwrap();
            let some = criterion.evaluate_f64(&Inputs::new(&rows, &labels).mask(&mask)).unwrap();
            for row in 0..6 {
                let expected = if mask[row] { all.values[row] } else { 0.0 };
                assert_eq!(some.values[row], expected, "{} {loss}", device.name());
            }
            // Different pairs may be the hardest of a row.
            let is_mined = loss == "batch_triplet";
            assert!(
                is_mined || some.gradient.as_slice().unwrap()[10..15].iter().any(|&x| x != 0.0),
                "{} {loss}",
                device.name()
            );
        }
    }
}

/// More rows than one chunk of scores holds: the sum of the chunks' gradients is the full gradient.
#[test]
fn scores_in_chunks_give_what_f64_gives() {
    let (rows, columns) = (2500, 8);
    let (first, second) = (embeddings(rows, columns, 1.0), embeddings(rows, columns, 1.5));
    let second = &second + &(0.3 * &embeddings(rows, columns, 7.0).mapv(f32::cos));
    let inputs = Inputs::named("first", &first).input("second", &second);
    let options = r#"{"symmetric": true, "temperature": 0.5}"#;
    let expected =
        criterion("info_nce", options, &Device::reference()).evaluate_f64(&inputs).unwrap();
    for device in each_device() {
        let found = criterion("info_nce", options, &device).evaluate_f64(&inputs).unwrap();
        assert!(
            (found.value() - expected.value()).abs() <= 1e-5 * expected.value(),
            "{}",
            device.name()
        );
        for (found, expected) in gradients(&found).iter().zip(gradients(&expected)) {
            let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
            let is_right =
                found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 1e-4 * largest);
            assert!(is_right, "{}", device.name());
        }
    }
}

#[test]
fn shapes_and_labels_that_do_not_fit_are_refused() {
    let device = Device::cpu();
    let (rows, labels) = (embeddings(4, 3, 1.0), array![0_i64, 1, 0]);
    let error = criterion("sup_con", "{}", &device)
        .evaluate(&Inputs::new(&rows, &labels))
        .unwrap_err()
        .to_string();
    assert!(error.contains("[4, 3]") && error.contains("targets is [3]"), "{error}");
    let labels = array![0_i64, 1, 0, 1 << 40];
    let error = criterion("sup_con", "{}", &device)
        .evaluate(&Inputs::new(&rows, &labels))
        .unwrap_err()
        .to_string();
    assert!(error.contains("32 bits"), "{error}");
    let (flat, other) = (array![1.0_f32, 2.0], array![1.0_f32, 2.0]);
    let inputs = Inputs::named("first", &flat).input("second", &other);
    let error = criterion("info_nce", "{}", &device).evaluate(&inputs).unwrap_err().to_string();
    assert!(error.contains("an embedding in each row"), "{error}");
}
