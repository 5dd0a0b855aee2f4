//! Drawing, and passes over one token against passes over the whole context.

use crate::cpu::random::Random;
use crate::layers::{
    BatchNorm, Dropout, Flatten, Layer, MaskedMean, PositionEmbedding, Residual, RmsNorm,
    SelfAttention, TiedDense, TokenEmbedding,
};
use crate::losses::CrossEntropy;
use crate::nn::generate::{Generate, NOISE_STREAM, NextToken};
use crate::nn::optimizers::Sgd;
use crate::zoo::{Gpt, small_cnn};
use crate::{Dense, Device, Fit, Model, ParameterGroups, Sequential};
use ndarray::Array2;

const CONTEXT: usize = 11;
const VOCABULARY: usize = 7;

fn devices() -> Vec<Device> {
    crate::runtime::device::test_adapter::each_device()
}

fn draws(options: &Generate, logits: &[f32], count: usize) -> Vec<usize> {
    let mut random = Random::new(3, NOISE_STREAM);
    (0..count).map(|_| options.next(logits, &mut random)).collect()
}

#[test]
fn draws_follow_the_softmax() {
    // Probabilities 0.5, 0.25, 0.25 at temperature 1; 0.66, 0.17, 0.17 at one half.
    let logits = [4.0_f32.ln(), 2.0_f32.ln(), 2.0_f32.ln()];
    for (temperature, expected) in [(1.0, 0.5), (0.5, 2.0 / 3.0)] {
        let found = draws(&Generate::new().temperature(temperature), &logits, 4000);
        let share = found.iter().filter(|&&token| token == 0).count() as f64 / 4000.0;
        // Five standard deviations of a share are 0.04.
        assert!((share - expected).abs() < 0.04, "{temperature}: {share}");
    }
}

#[test]
fn top_k_leaves_out_the_unlikely_and_0_takes_the_most_likely() {
    let logits = [0.0, 0.3, 0.1, 0.2];
    let options = Generate::new().top_k(2);
    let found = draws(&options, &logits, 200);
    assert!(found.iter().all(|token| [1, 3].contains(token)));
    assert!(found.contains(&1) && found.contains(&3));
    assert_eq!(draws(&options.temperature(0.0), &logits, 3), [1, 1, 1]);
    let equal = Generate::new().temperature(0.0);
    assert_eq!(draws(&equal, &[0.5, 0.5], 2), [0, 0]);
}

#[test]
fn top_p_takes_the_fewest_tokens_that_have_the_share() {
    // Probabilities 0.5, 0.25, 0.125, 0.125.
    let logits = [4.0_f32, 2.0, 1.0, 1.0].map(f32::ln);
    let found = |options: Generate| {
        let mut found = draws(&options, &logits, 400);
        found.sort_unstable();
        found.dedup();
        found
    };
    for (share, tokens) in
        [(1e-9, &[0][..]), (0.5, &[0]), (0.51, &[0, 1]), (0.75, &[0, 1]), (1.0, &[0, 1, 2, 3])]
    {
        assert_eq!(found(Generate::new().top_p(share)), tokens, "{share}");
    }
    // Equal ones count together; a lower temperature gives the likely ones more: 0.76, 0.19; of
    // the first two alone the shares are 2/3 and 1/3.
    assert_eq!(found(Generate::new().top_p(0.76)), [0, 1, 2, 3]);
    assert_eq!(found(Generate::new().temperature(0.5).top_p(0.7)), [0]);
    assert_eq!(found(Generate::new().top_k(2).top_p(0.66)), [0]);
    assert_eq!(found(Generate::new().top_k(2).top_p(0.67)), [0, 1]);
    assert_eq!(draws(&Generate::new().temperature(0.0).top_p(0.9), &logits, 3), [0, 0, 0]);
    // A token whose logit is minus infinity has no share.
    let logits = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
    assert!(draws(&Generate::new().top_p(1.0), &logits, 50).iter().all(|&token| token == 1));
}

fn residual(inner: impl Layer) -> Residual {
    Residual::new(Sequential::block().named("norm", RmsNorm::new()).named("inner", inner))
}

/// Positions and a tied head; rotations of both kinds; queries, keys and values by a layer each;
/// a head of its own; heads of one number, and of more than a block of the kernels.
fn models() -> Vec<(&'static str, Sequential)> {
    let gpt = Gpt::new(VOCABULARY, CONTEXT).layers(2).heads(2).width(16);
    let tokens =
        |width| Sequential::tokens(CONTEXT).named("wte", TokenEmbedding::new(VOCABULARY, width));
    let attention = |heads| SelfAttention::new(heads).causal(true);
    let separate = attention(2).separate("query", "key", "value");
    vec![
        ("gpt", gpt.build()),
        ("gpt, longer positions", gpt.clone().bias(false).dropout(0.3).positions(40).build()),
        (
            "halves",
            tokens(40)
                .named("a", residual(attention(1).rotary(100.0)))
                .named("b", residual(attention(2).rotary(50.0)))
                .named("head", TiedDense::new("wte")),
        ),
        (
            "neighbours",
            tokens(12)
                .named("a", residual(separate.clone().rotary_interleaved(100.0)))
                .then(Dropout::new(0.5))
                .named("head", Dense::new(VOCABULARY)),
        ),
        (
            "heads of one number",
            tokens(3)
                .named("wpe", PositionEmbedding::new())
                .named("a", residual(attention(3)))
                .named("head", Dense::new(VOCABULARY)),
        ),
    ]
}

/// A model on a device whose weights are uniform in ±0.5, so that the logits are of order one and
/// attention is not uniform. As f32: the same on all devices.
fn drawn(description: Sequential, device: &Device) -> Model {
    let mut model = description.on(device).unwrap();
    let mut random = Random::new(4, 2);
    let count = model.engine.parameters().unwrap().len();
    let weights: Vec<f64> =
        (0..count).map(|_| f64::from((random.uniform() - 0.5) as f32)).collect();
    model.engine.set_parameters(&weights).unwrap();
    model
}

/// What passes over the whole window write.
fn by_whole_passes(model: &mut Model, prompt: &[i64], options: &Generate) -> Vec<i64> {
    let next = NextToken { tokens: CONTEXT, vocabulary: VOCABULARY, kept: None };
    model.write(prompt, options, next).unwrap()
}

fn prompt(length: usize) -> Vec<i64> {
    (0..length as i64).map(|place| (3 * place * place + place + 2) % VOCABULARY as i64).collect()
}

#[test]
fn passes_over_one_token_write_what_whole_passes_write() {
    for device in devices() {
        for (name, description) in models() {
            let mut model = drawn(description, &device);
            let sampled = Generate::new().tokens(CONTEXT + 4).temperature(3.0);
            let options = [sampled.temperature(0.0), sampled.seed(1), sampled.top_k(3).seed(2)];
            // One token, some, the whole context, and more than that; all by one model.
            for length in [1, 2, 5, CONTEXT - 1, CONTEXT, CONTEXT + 3] {
                for options in &options {
                    let found = model.generate(&prompt(length), options).unwrap();
                    let expected = by_whole_passes(&mut model, &prompt(length), options);
                    assert_eq!(found, expected, "{name} from {length} on {}", device.name());
                }
            }
            let sampled = model.generate(&prompt(1), &sampled.seed(1)).unwrap();
            let kinds: std::collections::BTreeSet<i64> = sampled.into_iter().collect();
            assert!(kinds.len() > 2, "{name}: {kinds:?} tests nothing");
        }
    }
}

/// Logits behind each of the tokens: by passes over the first `prompt` tokens, then over one.
fn decoded(model: &mut Model, ids: &[i32], prompt: usize) -> Vec<Vec<f64>> {
    let mut decode = |ids: &[i32], place| model.engine.decode(ids, place).unwrap().unwrap();
    let first = decode(&ids[..prompt], 0);
    let others = (prompt..ids.len()).map(|place| decode(&ids[place..=place], place));
    std::iter::once(first).chain(others).collect()
}

/// Logits of each token by one pass over the whole context, in the engine's precision.
fn whole(model: &mut Model, ids: &[i32]) -> Vec<Vec<f64>> {
    use crate::nn::train::engine::{SampleTargets, Samples};
    use crate::nn::train::features::FlatView;
    use crate::nn::train::weights::Weights;
    let features: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
    let (targets, weights) = (SampleTargets::None, Weights::default());
    let (rows, features, has_ignored, lists) = (1, &features[..], false, None);
    let samples = Samples {
        rows,
        features: FlatView::Numbers(features),
        targets,
        has_ignored,
        lists,
        weights,
    };
    let data = model.engine.load(&samples).unwrap();
    let outputs = model.engine.predict(data, 1).unwrap();
    model.engine.unload(data);
    outputs.chunks_exact(VOCABULARY).map(<[f64]>::to_vec).collect()
}

/// The largest difference; NaN if any number is.
fn difference(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

/// Terms of the longest sum of the models: the second layer of a block of width 16.
const LONGEST_SUM: f64 = 64.0;

#[test]
fn logits_of_a_pass_over_one_token_are_those_of_a_whole_pass() {
    let ids: Vec<i32> = prompt(CONTEXT).into_iter().map(|id| id as i32).collect();
    for (name, description) in models() {
        // A sum of n products in any order is exact for weights that are n roundings off (Higham,
        // section 3.1), so two orders differ by twice what such weights move the logits. Two more:
        // the roundings of norms and of the softmax.
        let mut reference = drawn(description.clone(), &Device::reference());
        let exact = whole(&mut reference, &ids);
        let mut random = Random::new(8, 1);
        let weights = reference.engine.parameters().unwrap().into_iter().map(|weight| {
            let sign = if random.uniform() < 0.5 { 1.0 } else { -1.0 };
            weight * (1.0 + sign * LONGEST_SUM * 2f64.powi(-24))
        });
        let weights: Vec<f64> = weights.collect();
        reference.engine.set_parameters(&weights).unwrap();
        let single = 4.0 * difference(&whole(&mut reference, &ids), &exact);
        let largest = exact.iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
        assert!(single > 0.0 && single < 1e-3 * largest, "{name}: {single:e} of {largest}");
        for device in devices() {
            let tolerance = match device {
                Device::Reference => single * 2f64.powi(-29),
                _ => single,
            };
            let mut model = drawn(description.clone(), &device);
            for prompt in [1, 4, CONTEXT] {
                let expected = &whole(&mut model, &ids)[prompt - 1..];
                let off = difference(&decoded(&mut model, &ids, prompt), expected);
                let device = device.name();
                assert!(off <= tolerance, "{name} on {device}: {off:e}, allowed {tolerance:e}");
            }
        }
    }
}

#[test]
fn changed_weights_are_read_again() {
    let mut random = Random::new(6, 0);
    let mut ids = |_| (random.uniform() * VOCABULARY as f64).floor() as f32;
    let x = Array2::from_shape_fn((8, CONTEXT), &mut ids);
    let y = x.mapv(|id| (id as i64 + 1) % VOCABULARY as i64);
    let greedy = Generate::new().tokens(CONTEXT).temperature(0.0);
    for device in devices() {
        let (_, description) = models().swap_remove(0);
        let mut model = drawn(description, &device)
            .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.5))
            .unwrap();
        let mut texts = vec![model.generate(&prompt(3), &greedy).unwrap()];
        for round in 0..3 {
            if round == 2 {
                // The engine's plans are made anew.
                model
                    .set_parameter_groups(ParameterGroups::new().freeze("transformer.wpe"))
                    .unwrap();
            }
            model.fit(&x, &y, Fit::new().epochs(2).batch_size(4).progress(false)).unwrap();
            let found = model.generate(&prompt(3), &greedy).unwrap();
            let expected = by_whole_passes(&mut model, &prompt(3), &greedy);
            assert_eq!(found, expected, "round {round} on {}", device.name());
            texts.push(found);
        }
        assert_ne!(texts[0], texts[3], "the training changed nothing");
    }
}

#[test]
fn a_model_with_a_layer_that_does_not_decode_runs_over_the_whole_window() {
    let tokens = || Sequential::tokens(CONTEXT).then(TokenEmbedding::new(VOCABULARY, 4));
    let head = || Dense::new(VOCABULARY);
    let attention = || SelfAttention::new(2);
    let options = Generate::new().tokens(4).seed(3);
    for device in devices() {
        let norm = tokens().then(attention().causal(true)).then(BatchNorm::new()).then(head());
        let mut model = norm.on(&device).unwrap();
        assert_eq!(model.engine.decode(&[1], 0).unwrap(), None);
        let found = model.generate(&prompt(2), &options).unwrap();
        assert_eq!(found, by_whole_passes(&mut model, &prompt(2), &options));
        // Without attention nothing is kept, and each token is a pass of its own.
        let mut model = drawn(tokens().then(head()), &device);
        assert!(model.engine.decode(&[1], 0).unwrap().is_some());
        let found = model.generate(&prompt(2), &options).unwrap();
        assert_eq!(found, by_whole_passes(&mut model, &prompt(2), &options));
        for (name, description) in [
            ("later keys", tokens().then(attention()).then(head())),
            ("lengths", tokens().then(attention().causal(true).padding(0)).then(head())),
            ("a flatten", tokens().then(Flatten::new()).then(Dense::new(CONTEXT * VOCABULARY))),
            ("a mean", tokens().then(MaskedMean::new(0)).then(head())),
            ("a table", Sequential::of_ids(CONTEXT, [VOCABULARY, 2]).then(head())),
            ("an image", small_cnn([8, 8, 1], VOCABULARY)),
        ] {
            let mut model = description.on(&device).unwrap();
            assert_eq!(model.engine.decode(&[1], 0).unwrap(), None, "{name}");
        }
    }
}

#[test]
fn tokens_that_do_not_follow_are_refused() {
    for device in devices() {
        let (_, description) = models().swap_remove(0);
        let mut model = drawn(description, &device);
        for (ids, place) in [(&[1, 2][..], 3), (&[1][..], CONTEXT), (&[1; CONTEXT + 1][..], 0)] {
            let found = model.engine.decode(ids, place);
            let message = found.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
            assert!(message.contains("the next tokens"), "{ids:?} at {place}: {message}");
        }
    }
}

#[test]
fn keys_and_values_over_the_binding_limit_are_not_kept() {
    const TOKENS: usize = 140_000;
    for device in devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let bytes = 2 * 4 * 128 * TOKENS as u64;
        if bytes <= gpu.limits().max_storage_buffer_binding_size {
            eprintln!("ignored: the binding limit of {} is above {bytes} bytes", device.name());
            continue;
        }
        let description = Sequential::tokens(TOKENS)
            .then(TokenEmbedding::new(VOCABULARY, 128))
            .then(SelfAttention::new(1).causal(true))
            .then(Dense::new(VOCABULARY));
        let mut model = description.on(&device).unwrap();
        assert_eq!(model.engine.decode(&[1], 0).unwrap(), None);
    }
}
