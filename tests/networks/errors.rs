//! What does not fit is refused, with what was asked, found and allowed.

use gradus::layers::{
    BatchNorm, Conv2d, Flatten, GroupNorm, MaxPool2d, Residual, SelfAttention, TokenEmbedding,
};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, Sgd};
use gradus::{Dense, Device, Fit, Sequential};
use ndarray::{Array1, Array2, Array4};

fn refused(model: Sequential) -> String {
    model.on(&Device::cpu()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn layers_that_do_not_fit_their_input() {
    let image = || Sequential::images([8, 6, 4]);
    for (model, parts) in [
        (image().then(Conv2d::new(6, 3).groups(4)), ["groups", "4"]),
        (image().then(Conv2d::new(6, 3).groups(0)), ["groups", "0"]),
        (image().then(Conv2d::new(6, 9)), ["kernel", "9"]),
        (image().then(Conv2d::new(6, 3).padding(3)), ["padding", "3"]),
        (image().then(Conv2d::new(6, 3).stride(0)), ["stride", "0"]),
        (image().then(Conv2d::new(0, 3)), ["filters", "0"]),
        (image().then(MaxPool2d::new(2).padding(2)), ["padding", "2"]),
        (image().then(MaxPool2d::new(0)), ["kernel", "0"]),
        (image().then(GroupNorm::new(3)), ["groups", "3"]),
        (image().then(Residual::new(Conv2d::new(5, 3).padding(1))), ["[8, 6, 5]", "[8, 6, 4]"]),
        (Sequential::new(12).then(Conv2d::new(3, 3)), ["[12]", "[height, width, channels]"]),
        (Sequential::new(12).then(SelfAttention::new(3)), ["[12]", "[tokens, width]"]),
        (
            Sequential::tokens(4).then(TokenEmbedding::new(9, 10)).then(SelfAttention::new(3)),
            ["heads", "10"],
        ),
        (image().then(Dense::new(3)).then(TokenEmbedding::new(9, 10)), ["first layer", "ids"]),
        (Sequential::block().then(Dense::new(3)), ["block", "Sequential::new"]),
        (Sequential::images([0, 6, 4]).then(Flatten::new()), ["[0, 6, 4]", "at least 1"]),
    ] {
        let message = refused(model);
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
    }
}

#[test]
fn rows_that_do_not_fit_the_model() {
    let mut model = Sequential::images([4, 4, 1])
        .then(Flatten::new())
        .then(Dense::new(2))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let labels = Array1::from(vec![0_i64, 1]);
    let images = Array4::<f32>::zeros((2, 4, 5, 1));
    let message = model.fit(&images, &labels, Fit::new()).unwrap_err().to_string();
    assert!(message.contains("[2, 4, 5, 1]") && message.contains("[rows, 4, 4, 1]"), "{message}");
    // Flat rows are the same images.
    model.fit(&Array2::<f32>::zeros((2, 16)), &labels, Fit::new()).unwrap();
    model.fit(&Array4::<f32>::zeros((2, 4, 4, 1)), &labels, Fit::new()).unwrap();
}

#[test]
fn tokens_out_of_range_and_labels_of_another_shape() {
    let mut model = Sequential::tokens(3)
        .then(TokenEmbedding::new(5, 4))
        .then(Dense::new(5))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let mut ids = Array2::<f32>::zeros((2, 3));
    let labels = Array2::<i64>::zeros((2, 3));
    model.fit(&ids, &labels, Fit::new()).unwrap();
    let short = Array1::<i64>::zeros(2);
    let message = model.fit(&ids, &short, Fit::new()).unwrap_err().to_string();
    assert!(message.contains("[2, 3]"), "{message}");
    ids[[1, 2]] = 5.0;
    let message = model.fit(&ids, &labels, Fit::new()).unwrap_err().to_string();
    assert!(message.contains("row 1, column 2") && message.contains("0 to 4"), "{message}");
}

#[test]
fn batch_norm_over_one_value_per_channel() {
    for (name, device) in crate::devices() {
        let mut model = Sequential::new(3)
            .then(BatchNorm::new())
            .then(Dense::new(2))
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        let (x, y) = (Array2::<f32>::ones((1, 3)), Array1::<i64>::zeros(1));
        let message = model.fit(&x, &y, Fit::new()).unwrap_err().to_string();
        assert!(
            message.contains("batch norm") && message.contains("of 1 rows"),
            "{name}: {message}"
        );
        model.predict(&x).unwrap();
    }
}

#[test]
fn a_last_batch_of_one_row_under_batch_norm_is_refused_before_the_first_step() {
    for (rows, size, fits) in
        [(9, 4, false), (10, 4, true), (8, 4, true), (1, 4, false), (3, 1, false)]
    {
        let network = Sequential::new(4).then(Dense::new(4)).then(BatchNorm::new());
        let model = network.then(Dense::new(1)).on(&Device::cpu()).unwrap();
        let mut model = model.compile(Mse::new(), Sgd::new()).unwrap();
        let x = Array2::from_shape_fn((rows, 4), |(i, j)| (i * j) as f32 / 10.0);
        let before = model.named_parameters().unwrap();
        let fit = Fit::new().epochs(1).batch_size(size);
        let found = model.fit(&x, &Array2::<f32>::zeros((rows, 1)), fit);
        assert_eq!(found.is_ok(), fits, "{rows} rows by {size}: {found:?}");
        if let Err(error) = found {
            let message = error.to_string();
            let is_reported =
                message.contains("a last batch of 1 of") && message.contains("batch norm");
            assert!(is_reported, "{message}");
            assert_eq!(model.named_parameters().unwrap(), before);
        }
    }
}

#[test]
fn graphs_that_would_not_train_as_they_read() {
    use gradus::layers::{Activate, closure};
    let chain = || Sequential::new(4).then(Dense::new(4));
    let dead = closure(|builder, x| {
        builder.layer("aux", &Dense::new(4), x)?;
        builder.layer("out", &Dense::new(1), x)
    });
    let message = refused(chain().named("head", dead));
    assert!(message.contains("`head.aux`") && message.contains("nothing reads"), "{message}");
    let first = closure(|builder, x| {
        let y = builder.layer("out", &Dense::new(1), x)?;
        builder.layer("aux", &Dense::new(4), x)?;
        Ok(y)
    });
    let message = refused(chain().named("head", first));
    assert!(message.contains("`head.aux`"), "{message}");
    let message = refused(Sequential::new(2).then(Activate::new(gradus::activations::Identity)));
    assert!(message.contains("compute nothing"), "{message}");
    for twice in [
        chain().named("fc", Dense::new(2)).named("fc", Dense::new(2)),
        chain().named("layers.0", Dense::new(2)),
        chain().named("bn", BatchNorm::new()).named("bn", BatchNorm::new()),
    ] {
        let message = refused(twice);
        assert!(message.contains("two parameters `") && message.contains("name"), "{message}");
    }
    let ids = Residual::new(Sequential::block().then(TokenEmbedding::new(10, 4)));
    let message = refused(Sequential::tokens(4).then(ids.shortcut("s", Dense::new(4))));
    assert!(message.contains("s") && message.contains("[4]"), "{message}");
}

#[test]
fn a_fused_head_is_a_dense_layer() {
    let model = Sequential::new(4).then(Dense::new(6)).then(gradus::layers::LayerNorm::new());
    let model = model.on(&Device::cpu()).unwrap();
    let loss = gradus::losses::LinearCrossEntropy::new();
    let message = model.compile(loss, Adam::new()).unwrap_err().to_string();
    assert!(message.contains("the last layer") && message.contains("Dense"), "{message}");
}

#[test]
fn targets_of_sequences_by_their_shape() {
    let mut model = Sequential::tokens(3)
        .then(TokenEmbedding::new(5, 4))
        .then(Dense::new(5))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let ids = Array2::<f32>::zeros((2, 3));
    let transposed = Array2::<i64>::zeros((3, 2));
    let message = model.fit(&ids, &transposed, Fit::new()).unwrap_err().to_string();
    assert!(message.contains("[3, 2]") && message.contains("[2, 3]"), "{message}");
    model.fit(&ids, &Array1::<i64>::zeros(6), Fit::new()).unwrap();
}
