//! A layer outside of a model: `testing::LayerPass` and `testing::check_layer`.

use gradus::activations::{Gelu, Relu, Tanh};
use gradus::layers::{
    Activate, AvgPool2d, BatchNorm, Builder, Conv2d, Dropout, Flatten, GroupNorm, Layer, LayerNorm,
    MaxPool2d, Residual, SelfAttention, TokenEmbedding, Value, closure,
};
use gradus::testing::{LayerPass, check_layer};
use gradus::{Dense, Device, Sequential};
use ndarray::{Array, Array2, ArrayD, IxDyn, array};

use crate::devices;

/// Layers of one op and of several, with the shapes of their samples. The first and the last op
/// work in place, are views, overwrite their upstream gradient, or have no parameters.
fn layers() -> Vec<(Box<dyn Layer>, Vec<usize>)> {
    let block = closure(|builder: &mut Builder, x: Value| {
        let y = builder.layer("down", &Dense::new(3).activation(Tanh), x)?;
        builder.layer("up", &Residual::new(Dense::new(3).activation(Gelu::new())), y)
    });
    let images = vec![5, 4, 3];
    let pooled = Sequential::block()
        .named("conv", Conv2d::new(4, 3).padding(1).activation(Relu))
        .named("pool", MaxPool2d::new(2))
        .named("flatten", Flatten::new());
    vec![
        (Box::new(Dense::new(4)), vec![3]),
        (Box::new(Conv2d::new(5, 3).stride(2).padding(1).bias(false)), images.clone()),
        (Box::new(pooled), images.clone()),
        (Box::new(MaxPool2d::new(2)), images.clone()),
        (Box::new(AvgPool2d::new(2)), images.clone()),
        (Box::new(BatchNorm::new().activation(Relu)), images.clone()),
        (Box::new(GroupNorm::new(3)), images.clone()),
        (Box::new(LayerNorm::new()), vec![7]),
        (Box::new(SelfAttention::new(2).causal(true)), vec![5, 4]),
        (Box::new(SelfAttention::new(2).causal(true).projections(false)), vec![5, 12]),
        (Box::new(Flatten::new()), images.clone()),
        (Box::new(Activate::new(Gelu::new())), images),
        (Box::new(Dropout::new(0.4)), vec![9]),
        (Box::new(block), vec![4]),
    ]
}

fn numbers(shape: &[usize], factor: f64) -> ArrayD<f64> {
    let mut number = 0;
    // Distinct, so that a pooling has one winner; of few bits.
    Array::from_shape_simple_fn(IxDyn(shape), || {
        number += 37;
        factor * (f64::from(number % 101) - 50.0)
    })
}

#[test]
fn gradients_are_those_of_central_differences_and_devices_agree_with_the_reference() {
    for (layer, input) in layers() {
        for (name, device) in devices() {
            let report = check_layer(&*layer, &input, &device).unwrap();
            let layer = layer.name();
            assert!(report.passed, "{layer} {input:?} on {name}: {}", report.place);
            assert_eq!(report.cases, if name == "reference" { 1 } else { 2 });
        }
    }
}

#[test]
fn passes_that_are_run_again_leave_the_same_bits() {
    for (layer, input) in layers() {
        for (name, device) in devices() {
            let mut pass = LayerPass::new(&*layer, &input, 3, &device).unwrap();
            let x = numbers(&pass.input_shape(), 0.0625);
            let upstream = numbers(&pass.output_shape(), 0.03125);
            let output = pass.forward(&x).unwrap();
            let gradients = pass.backward(&upstream).unwrap();
            let time = pass.run(3).unwrap();
            assert!(!time.is_zero());
            let again = pass.last().unwrap();
            assert_eq!(again, (output, gradients), "{} on {name}", layer.name());
        }
    }
}

#[test]
fn a_dense_layer_gives_the_numbers_of_its_formula() {
    for (name, device) in devices() {
        let mut pass = LayerPass::new(&Dense::new(2), &[3], 2, &device).unwrap();
        let names: Vec<String> = pass.parameters().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["weight", "bias"]);
        assert_eq!((pass.input_shape(), pass.output_shape()), (vec![2, 3], vec![2, 2]));
        // Numbers of few bits: sums are exact. f32 and f64 are both taken.
        let weight = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let (x, upstream) =
            (array![[1.0, 0.5, -1.0], [0.0, 2.0, 0.25]], array![[1.0, 0.5], [-2.0, 1.0]]);
        pass.set_parameter("weight", &weight).unwrap();
        pass.set_parameter("bias", &array![0.25, -0.5]).unwrap();
        assert_eq!(pass.parameters()[0].1, weight.mapv(f64::from).into_dyn());
        let weight = weight.mapv(f64::from);
        let y = pass.forward(&x).unwrap();
        assert_eq!(y, (x.dot(&weight) + array![0.25, -0.5]).into_dyn(), "{name}");
        let found = pass.backward(&upstream).unwrap();
        assert_eq!(found.input, upstream.dot(&weight.t()).into_dyn(), "{name}");
        let of_weight = x.t().dot(&upstream).into_dyn();
        let of_bias = upstream.sum_axis(ndarray::Axis(0)).into_dyn();
        let expected = vec![("weight".to_string(), of_weight), ("bias".to_string(), of_bias)];
        assert_eq!(found.parameters, expected, "{name}");
    }
}

#[test]
fn parameters_of_a_block_have_its_names() {
    let (block, input) = layers().pop().unwrap();
    let pass = LayerPass::new(&*block, &input, 1, &Device::cpu()).unwrap();
    let names: Vec<String> = pass.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["down.weight", "down.bias", "up.weight", "up.bias"]);
}

#[test]
fn what_does_not_fit_a_pass_is_refused() {
    let new = |layer: &dyn Layer, input: &[usize], rows| {
        LayerPass::new(layer, input, rows, &Device::cpu()).map(|_| ()).unwrap_err().to_string()
    };
    let says = |message: String, parts: &[&str]| {
        parts.iter().for_each(|part| assert!(message.contains(part), "{message}: no {part}"));
    };
    says(new(&Dense::new(2), &[3], 0), &["rows", "0", ">= 1"]);
    says(new(&Dense::new(2), &[3, 0], 1), &["[3, 0]", "at least 1"]);
    says(new(&Dense::new(2), &[usize::MAX], 2), &["2 rows", "2³² − 1"]);
    says(new(&Dense::new(0), &[3], 1), &["units", "0"]);
    says(new(&TokenEmbedding::new(5, 4), &[3], 1), &["token_embedding", "ids"]);
    let attention = SelfAttention::new(2).projections(false);
    says(new(&attention, &[3, 8], 1), &["[3, 8]", "[tokens, 3 width]"]);
    says(new(&attention.separate("q", "k", "v"), &[3, 12], 1), &["projections", "separate"]);
    let mut pass = LayerPass::new(&Dense::new(2), &[3], 4, &Device::cpu()).unwrap();
    let (x, upstream) = (Array2::<f32>::zeros((4, 3)), Array2::<f32>::zeros((4, 2)));
    says(pass.run(1).unwrap_err().to_string(), &["run", "forward and backward first"]);
    says(pass.backward(&upstream).unwrap_err().to_string(), &["backward", "forward first"]);
    says(pass.forward(&upstream).unwrap_err().to_string(), &["[4, 2]", "[4, 3]"]);
    pass.forward(&x).unwrap();
    says(pass.backward(&x).unwrap_err().to_string(), &["upstream", "[4, 3]", "[4, 2]"]);
    says(pass.last().map(|_| ()).unwrap_err().to_string(), &["last", "backward first"]);
    says(pass.set_parameter("gamma", &x).unwrap_err().to_string(), &["gamma", "weight, bias"]);
    says(pass.set_parameter("weight", &x).unwrap_err().to_string(), &["[4, 3]", "[3, 2]"]);
    let none = LayerPass::new(&Flatten::new(), &[3], 1, &Device::cpu());
    says(
        none.unwrap().set_parameter("weight", &x).unwrap_err().to_string(),
        &["weight", "it has none"],
    );
}
