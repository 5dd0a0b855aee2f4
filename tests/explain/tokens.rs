//! Results and attributions of single tokens: against a network that reads the vectors themselves,
//! and against what the model predicts.

use gradus::activations::Tanh;
use gradus::explain::IntegratedGradients;
use gradus::layers::{Flatten, TokenEmbedding};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::zoo::Gpt;
use gradus::{Dense, Device, Model, Sequential};
use ndarray::{Array2, array};

use crate::support::each_device;

/// The label that cross-entropy ignores.
const IGNORED: i64 = -100;

fn gpt(device: &Device) -> Model {
    let layers = Gpt::new(7, 5).layers(2).heads(2).width(8).build().seed(3);
    layers.on(device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap()
}

/// Rows of ids, and the ids that follow.
fn rows() -> (Array2<f32>, Array2<i64>) {
    let id = |(row, token): (usize, usize)| (3 * row + 2 * token * token) % 7;
    let ids = Array2::from_shape_fn((4, 5), |place| id(place) as f32);
    (ids, Array2::from_shape_fn((4, 5), |(row, token)| id((row, token + 1)) as i64))
}

#[test]
fn tokens_have_the_loss_and_the_probabilities_of_their_own_outputs() {
    let (ids, next) = rows();
    for device in each_device() {
        let mut model = gpt(&device);
        let found = model.evaluate_tokens(&ids, &next).unwrap();
        let logits = model.predict(&ids).unwrap();
        let classes = found.classes.as_ref().unwrap();
        let p = classes.target_probability().unwrap();
        assert_eq!((found.rows(), logits.dim()), (20, (4, 35)));
        assert!(found.squared_gradient_norm.is_none());
        for (place, &target) in next.iter().enumerate() {
            let logits = logits.as_slice().unwrap()[7 * place..][..7].iter().map(|&x| f64::from(x));
            let sum: f64 = logits.clone().map(f64::exp).sum();
            let own = logits.clone().nth(target as usize).unwrap().exp() / sum;
            let name = device.describe();
            assert!((p[place] - own).abs() < 1e-6, "{name} {place}: {} {own}", p[place]);
            assert!((found.loss[place] + own.ln()).abs() < 1e-5, "{name} {place}");
        }
        let mean = model.evaluate(&ids, &next).unwrap().loss;
        assert!((found.mean_loss() - mean).abs() < 1e-5, "{} {mean}", found.mean_loss());
        // Of rows the results are refused, and ignored labels have none.
        let error = model.evaluate_rows(&ids, &next).unwrap_err().to_string();
        assert!(error.contains("has a target for each token"), "{error}");
        let mut one = next.clone();
        one[[0, 1]] = IGNORED;
        let error = model.evaluate_tokens(&ids, &one).unwrap_err().to_string();
        assert!(error.contains("row 0, token 1") && error.contains("-100"), "{error}");
    }
}

#[test]
fn attributions_of_tokens_are_those_of_their_vectors() {
    let device = Device::reference();
    let widths =
        |layers: Sequential| layers.then(Dense::new(6).activation(Tanh)).then(Dense::new(3));
    let compile = |layers: Sequential| {
        layers.seed(5).on(&device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap()
    };
    let tokens =
        Sequential::tokens(4).named("table", TokenEmbedding::new(9, 5)).then(Flatten::new());
    let mut model = compile(widths(tokens));
    let mut of_vectors = compile(widths(Sequential::new(20)));
    let named = model.named_parameters().unwrap();
    let table = named.iter().find(|(path, _)| path == "table.weight").unwrap().1.clone();
    // A wide table: the loss depends on the tokens.
    let table = table.mapv(|x| 50.0 * x);
    model.set_named_parameters([("table.weight", table.view().into_dyn())]).unwrap();
    // The same dense layers, by their order.
    let paths = of_vectors.named_parameters().unwrap();
    let dense = named.iter().filter(|(path, _)| path != "table.weight");
    let pairs = paths.iter().zip(dense).map(|((path, _), (_, values))| (&**path, values.view()));
    of_vectors.set_named_parameters(pairs).unwrap();
    let ids = array![[0.0_f32, 3.0, 8.0, 1.0], [5.0, 5.0, 2.0, 7.0]];
    let labels = array![2_i64, 0];
    let table = table.mapv(|x| x as f32);
    let vectors = Array2::from_shape_fn((2, 20), |(row, place)| {
        table[[ids[[row, place / 5]] as usize, place % 5]]
    });
    let baseline: Vec<f32> =
        (0..5).map(|column| (0..9).map(|row| table[[row, column]]).sum::<f32>() / 9.0).collect();
    let asked = IntegratedGradients::new();
    let found = asked.attribute_tokens(&mut model, &ids, &labels).unwrap();
    let expected =
        asked.baseline(baseline.repeat(4)).attribute(&mut of_vectors, &vectors, &labels).unwrap();
    assert_eq!(found.values.dim(), (2, 4));
    for ((row, token), value) in found.values.indexed_iter() {
        let sum: f64 = (0..5).map(|place| expected.values[[row, 5 * token + place]]).sum();
        assert!(sum.abs() > 1e-4 && (value - sum).abs() < 1e-5, "{row} {token}: {value} {sum}");
    }
    for row in 0..2 {
        assert!((found.loss[row] - expected.loss[row]).abs() < 1e-6);
        assert!((found.baseline_loss[row] - expected.baseline_loss[row]).abs() < 1e-6);
    }
}

#[test]
fn attributions_of_tokens_add_up_to_the_loss_of_their_target_on_each_device() {
    let (ids, next) = rows();
    // One target a row, at another place each, and a row with two.
    let mut labels = Array2::from_elem((4, 5), IGNORED);
    for (row, place) in [(0, 0), (1, 2), (2, 4), (3, 1), (3, 3)] {
        labels[[row, place]] = next[[row, place]];
    }
    let mut first = None;
    for device in each_device() {
        let (mut model, name) = (gpt(&device), device.describe());
        let all = model.evaluate_tokens(&ids, &next).unwrap().loss;
        let found = IntegratedGradients::new().attribute_tokens(&mut model, &ids, &labels).unwrap();
        assert!(found.largest_residual() < 1e-3, "{name}: {:?}", found.residual);
        assert_eq!(found.baseline.len(), 8);
        for (row, places) in [(0, vec![0]), (1, vec![2]), (2, vec![4]), (3, vec![1, 3])] {
            let own = places.iter().map(|place| all[5 * row + place]).sum::<f64>();
            let own = own / places.len() as f64;
            assert!((found.loss[row] - own).abs() < 1e-5, "{name} {row}: {own}");
            let sum: f64 = found.values.row(row).sum();
            assert!(
                (found.loss[row] - found.baseline_loss[row] - sum).abs() < 1e-3,
                "{name} {row}"
            );
            // A causal model does not see what follows its last target.
            for (token, &part) in found.values.row(row).iter().enumerate() {
                let is_seen = token <= places[places.len() - 1];
                assert_eq!(part != 0.0, is_seen, "{name} {row} {token}: {part}");
            }
        }
        // The model is as it was, and so are its numbers on other devices.
        assert_eq!(model.evaluate_tokens(&ids, &next).unwrap().loss, all, "{name}");
        let values = found.values;
        let expected = first.get_or_insert_with(|| values.clone());
        for (a, b) in values.iter().zip(expected.iter()) {
            assert!((a - b).abs() < 2e-5, "{name}: {a} {b}");
        }
    }
}

#[test]
fn what_has_no_attributions_of_tokens_is_refused() {
    let device = Device::cpu();
    let (ids, next) = rows();
    let asked = IntegratedGradients::new();
    let mut model = gpt(&device);
    let none = Array2::from_elem((4, 5), IGNORED);
    let mut refused = |ids: &Array2<f32>, labels: &Array2<i64>, asked: &IntegratedGradients| {
        asked.attribute_tokens(&mut model, ids, labels).unwrap_err().to_string()
    };
    assert!(refused(&ids, &none, &asked).contains("row 0 are all ignored"));
    let mut outside = ids.clone();
    outside[[1, 2]] = 7.0;
    assert!(refused(&outside, &next, &asked).contains('7'));
    let short = asked.clone().baseline(vec![0.0; 3]);
    assert!(refused(&ids, &next, &short).contains("3 numbers"));
    assert!(refused(&ids, &next, &asked.clone().points(0)).contains("points"));
    let layers = Sequential::new(2).then(Dense::new(2));
    let mut dense = layers.on(&device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
    let error = asked.attribute_tokens(&mut dense, &array![[1.0_f32, 2.0]], &array![1_i64]);
    assert!(error.unwrap_err().to_string().contains("has no token embedding"));
}
