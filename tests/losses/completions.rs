//! Losses of whole completions behind a linear layer, compared with four separate steps: products,
//! cross-entropy of the tokens, sums, loss.

use crate::support::each_device;
use gradus::losses::{
    self, CrossEntropy, Distillation, Divergence, Dpo, DpoType, LinearDpo, LinearKto, LinearOrpo,
    LinearSimpo, Loss,
};
use gradus::{Criterion, Device, Error, Evaluation, Inputs, Reduction};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, array};
use serde_json::json;

/// Multiples of 1/8 below 1: sums of up to a thousand products of two are exact in f32.
fn number(place: usize, seed: usize) -> f32 {
    ((place * 7919 + seed * 104_729 + place * place % 31) % 15) as f32 / 8.0 - 0.875
}

/// Completions in pairs, all chosen ones first.
struct Completions {
    x: Array3<f32>,
    weight: Array2<f32>,
    bias: Array1<f32>,
    targets: Array2<i64>,
    reference: [Array1<f32>; 2],
}

fn completions(pairs: usize, tokens: usize, features: usize, classes: usize) -> Completions {
    let number_of = |seed| move |(i, j): (usize, usize)| number(i * 101 + j, seed);
    let label = |(completion, token): (usize, usize)| match (completion * 5 + token) % 4 {
        3 => -100,
        _ => ((completion * 31 + token * 17) % classes) as i64,
    };
    Completions {
        x: Array3::from_shape_fn((2 * pairs, tokens, features), |(a, t, f)| {
            number((a * 53 + t) * 29 + f, 1)
        }),
        weight: Array2::from_shape_fn((classes, features), number_of(2)),
        bias: Array1::from_shape_fn(classes, |class| number(class, 3)),
        targets: Array2::from_shape_fn((2 * pairs, tokens), label),
        reference: [4, 5].map(|seed| {
            Array1::from_shape_fn(pairs, |pair| 2.0 * number(pair, seed) - tokens as f32)
        }),
    }
}

impl Completions {
    fn inputs(&self) -> Inputs<'_> {
        let inputs = Inputs::new(&self.x, &self.targets).input("linear_weight", &self.weight);
        inputs.input("linear_bias", &self.bias)
    }

    fn inputs_with_reference(&self) -> Inputs<'_> {
        self.inputs()
            .input("reference_chosen", &self.reference[0])
            .input("reference_rejected", &self.reference[1])
    }

    /// Value and gradients of DPO in four steps, each on the reference.
    fn unfused(
        &self,
        loss: &Dpo,
        average: bool,
        reduction: Reduction,
    ) -> (ArrayD<f64>, [ArrayD<f64>; 3]) {
        let (completions, tokens, features) = self.x.dim();
        let rows = self.x.to_shape((completions * tokens, features)).unwrap().to_owned();
        let logits = rows.dot(&self.weight.t()) + &self.bias;
        let labels = self.targets.to_shape(completions * tokens).unwrap().to_owned();
        let reference = Device::reference();
        let of_tokens = CrossEntropy::new().on(&reference).unwrap().reduction(Reduction::None);
        let costs = of_tokens.evaluate_f64(&Inputs::new(&logits, &labels)).unwrap();
        let kept = self
            .targets
            .map_axis(Axis(1), |row| row.iter().filter(|&&label| label != -100).count() as f64);
        let share = kept.mapv(|kept| if average { 1.0 / kept } else { 1.0 });
        let sums = costs.values.to_shape((completions, tokens)).unwrap().sum_axis(Axis(1));
        // In f32, as the loss takes them: the test requires no more digits of its sums.
        let logs = (-sums * &share).mapv(|log| log as f32);
        let (chosen, rejected) = (
            logs.slice(ndarray::s![..completions / 2]),
            logs.slice(ndarray::s![completions / 2..]),
        );
        let criterion = loss.clone().on(&reference).unwrap().reduction(reduction);
        let inputs = Inputs::named("policy_chosen", &chosen).input("policy_rejected", &rejected);
        let inputs = inputs
            .input("reference_chosen", &self.reference[0])
            .input("reference_rejected", &self.reference[1]);
        let found = criterion.evaluate_f64(&inputs).unwrap();
        let derivatives: Vec<f64> = found
            .gradient
            .iter()
            .chain(found.gradient_of("policy_rejected").unwrap())
            .copied()
            .collect();
        let upstream = Array1::from_shape_fn(completions * tokens, |row| {
            (-derivatives[row / tokens] * share[row / tokens]) as f32
        });
        let back =
            of_tokens.evaluate_f64(&Inputs::new(&logits, &labels).upstream(&upstream)).unwrap();
        let back: Array2<f64> = back.gradient.into_dimensionality().unwrap();
        let (rows, weight) = (rows.mapv(f64::from), self.weight.mapv(f64::from));
        let of_x = back
            .dot(&weight)
            .into_shape_with_order((completions, tokens, features))
            .unwrap()
            .into_dyn();
        (found.values, [of_x, back.t().dot(&rows).into_dyn(), back.sum_axis(Axis(0)).into_dyn()])
    }
}

fn compare(title: &str, found: &ArrayD<f64>, exact: &ArrayD<f64>, share: f64) {
    assert_eq!(found.shape(), exact.shape(), "{title}");
    let largest = exact.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (found, exact) in found.iter().zip(exact) {
        assert!(
            (found - exact).abs() <= share * largest,
            "{title}: {found} instead of {exact}, of at most {largest}"
        );
    }
}

#[test]
fn fused_gives_what_four_steps_give() {
    // The last shape has 48 MiB of logits: two chunks on the GPU, several on the CPU.
    for (pairs, tokens, features, classes) in
        [(1, 1, 1, 2), (3, 5, 4, 7), (2, 70, 9, 131), (8, 24, 3, 32_771)]
    {
        let completions = completions(pairs, tokens, features, classes);
        for (loss_type, average) in [(DpoType::Sigmoid, false), (DpoType::NcaPair, true)] {
            let loss = Dpo::new().beta(0.25).loss_type(loss_type);
            for reduction in [Reduction::Mean, Reduction::None] {
                let (value, gradients) = completions.unfused(&loss, average, reduction);
                for device in each_device() {
                    let title = format!(
                        "{pairs}x{tokens}x{features}x{classes} {loss_type:?} on {}",
                        device.name()
                    );
                    let fused =
                        LinearDpo::of(loss.clone()).average_log_prob(average).on(&device).unwrap();
                    let found = fused
                        .reduction(reduction)
                        .evaluate_f64(&completions.inputs_with_reference())
                        .unwrap();
                    // The comparison value is itself rounded to f32 midway: log-probabilities of up
                    // to 70 tokens of about 5 each, 350 · 2⁻²⁴, times β are 5e-6 of h. A sum over
                    // 32,771 classes rounds √32,771 · 2⁻²⁴ = 1.1e-5 of its intermediate sums, which
                    // are several times its result: 1e-4, the bound of the golden cases.
                    compare(&title, &found.values, &value, 1e-5);
                    compare(&title, &found.gradient, &gradients[0], 1e-4);
                    for (name, exact) in
                        ["linear_weight", "linear_bias"].iter().zip(&gradients[1..])
                    {
                        compare(
                            &format!("{title}, {name}"),
                            found.gradient_of(name).unwrap(),
                            exact,
                            1e-4,
                        );
                    }
                }
            }
        }
    }
}

fn is_finite(found: &Evaluation<f64>) -> bool {
    let others = found.others.iter().map(|(_, gradient)| gradient);
    others.chain([&found.gradient, &found.values]).flatten().all(|x| x.is_finite())
}

#[test]
fn an_answer_without_tokens_has_log_probability_0() {
    let mut completions = completions(2, 3, 4, 5);
    completions.targets.row_mut(2).fill(-100); // the rejected completion of the first pair
    let desirable = array![1.0_f32, -1.0, 1.0, -1.0];
    let reference = Array1::<f32>::zeros(4);
    for device in each_device() {
        let each = |loss: &dyn Fn() -> Criterion| loss().reduction(Reduction::None);
        let dpo = each(&|| LinearDpo::new().on(&device).unwrap())
            .evaluate_f64(&completions.inputs())
            .unwrap();
        let simpo = each(&|| LinearSimpo::new().on(&device).unwrap())
            .evaluate_f64(&completions.inputs())
            .unwrap();
        let inputs =
            completions.inputs().input("reference", &reference).input("desirable", &desirable);
        let kto = each(&|| LinearKto::new().on(&device).unwrap()).evaluate_f64(&inputs).unwrap();
        for found in [&dpo, &simpo, &kto] {
            assert!(is_finite(found), "{}", device.name());
            assert!(
                found.gradient.index_axis(Axis(0), 2).iter().all(|&g| g == 0.0),
                "{}",
                device.name()
            );
        }
        assert_eq!(kto.values[2], 0.5, "{}", device.name());
        // Its odds are infinite: the pair is excluded.
        let orpo =
            LinearOrpo::new().on(&device).unwrap().evaluate_f64(&completions.inputs()).unwrap();
        assert!(is_finite(&orpo) && orpo.count == 1, "{}", device.name());
        let mask = array![false, true];
        let masked = LinearOrpo::new()
            .on(&device)
            .unwrap()
            .evaluate_f64(&completions.inputs().mask(&mask))
            .unwrap();
        assert_eq!(
            (orpo.value(), &orpo.gradient),
            (masked.value(), &masked.gradient),
            "{}",
            device.name()
        );
        completions.targets.fill(-100);
        for name in ["linear_dpo", "linear_simpo", "linear_orpo"] {
            let loss = losses::from_name(name, &json!({})).unwrap();
            let found = Criterion::from_boxed(loss, &device)
                .unwrap()
                .evaluate_f64(&completions.inputs())
                .unwrap();
            assert!(
                is_finite(&found) && found.gradient.iter().all(|&g| g == 0.0),
                "{} {name}",
                device.name()
            );
        }
        completions.targets.slice_mut(ndarray::s![..2, ..]).fill(1);
        completions.targets.row_mut(3).fill(2);
    }
}

#[test]
fn certain_answers_give_numbers() {
    // Every token has probability 1 in f32, except in the second pair's rejected completion, where
    // it is 0.
    let x = Array3::from_shape_fn(
        (4, 2, 1),
        |(completion, ..)| if completion == 3 { -1.0 } else { 1.0 },
    );
    let (weight, targets) = (array![[200.0_f32], [-200.0]], Array2::<i64>::zeros((4, 2)));
    let inputs = Inputs::new(&x, &targets).input("linear_weight", &weight);
    for device in each_device() {
        for name in ["linear_dpo", "linear_simpo", "linear_orpo"] {
            let loss = losses::from_name(name, &json!({})).unwrap();
            let found =
                Criterion::from_boxed(loss, &device).unwrap().evaluate_f64(&inputs).unwrap();
            assert!(is_finite(&found), "{} {name}: {found:?}", device.name());
        }
    }
}

#[test]
fn odd_pairs_labels_out_of_range_and_a_negative_beta_are_named() {
    let refused = |completions: &Completions| {
        LinearDpo::new()
            .on(&Device::reference())
            .unwrap()
            .evaluate(&completions.inputs())
            .unwrap_err()
            .to_string()
    };
    let mut odd = completions(2, 3, 4, 5);
    odd.x = odd.x.slice(ndarray::s![..3, .., ..]).to_owned();
    odd.targets = odd.targets.slice(ndarray::s![..3, ..]).to_owned();
    assert!(refused(&odd).contains("first axis must be even"), "{}", refused(&odd));
    let mut labels = completions(2, 3, 4, 5);
    labels.targets[[1, 2]] = 5;
    let criterion = LinearDpo::new().on(&Device::reference()).unwrap();
    let error = criterion.evaluate(&labels.inputs()).unwrap_err();
    assert!(matches!(error, Error::Label { row: 5, label: 5, classes: 5, .. }), "{error}");
    // The labels and hidden states of a masked pair, or of an ignored token, are not read.
    labels.x[[1, 0, 0]] = f32::NAN;
    let ignored = labels.targets.indexed_iter().find(|(_, label)| **label == -100).unwrap().0;
    labels.x[[ignored.0, ignored.1, 0]] = f32::INFINITY;
    let mask = array![true, false];
    for device in each_device() {
        let found = LinearDpo::new()
            .on(&device)
            .unwrap()
            .evaluate_f64(&labels.inputs().mask(&mask))
            .unwrap();
        assert!(is_finite(&found) && found.count == 1, "{}", device.name());
    }
    let refused = losses::from_name("linear_dpo", &json!({"beta": -1.0})).unwrap_err().to_string();
    assert!(refused.starts_with("linear_dpo: beta is -1"), "{refused}");
}

#[test]
fn nan_comes_out_of_its_pair_alone() {
    let mut completions = completions(2, 3, 4, 5);
    completions.targets.fill(1);
    completions.x[[2, 1, 0]] = f32::NAN;
    for device in each_device() {
        let criterion = LinearDpo::new().on(&device).unwrap().reduction(Reduction::None);
        let found = criterion.evaluate_f64(&completions.inputs()).unwrap();
        assert!(
            found.values[0].is_nan() && found.values[1].is_finite(),
            "{}: {}",
            device.name(),
            found.values
        );
        for (completion, gradient) in found.gradient.outer_iter().enumerate() {
            assert!(
                gradient.iter().all(|g| g.is_nan() == (completion % 2 == 0)),
                "{}: {completion}",
                device.name()
            );
        }
        assert!(
            found.gradient_of("linear_weight").unwrap().iter().all(|g| g.is_nan()),
            "{}",
            device.name()
        );
    }
}

#[test]
fn a_student_near_its_teacher_keeps_the_digits_of_their_divergence() {
    // The divergence is about β(1 − β)/2 · 1e-6 ·…, of terms of size 1: cancellation would leave
    // none of its digits in f32.
    let teacher = Array2::from_shape_fn((5, 40), |(i, j)| 3.0 * number(i * 40 + j, 7));
    let student =
        &teacher + &Array2::from_shape_fn((5, 40), |(i, j)| number(i * 40 + j, 8) / 1024.0);
    for beta in [0.0, 0.1, 0.5, 1.0] {
        let loss = || Distillation::new().divergence(Divergence::Jsd).beta(beta);
        let exact = loss()
            .on(&Device::reference())
            .unwrap()
            .value_and_gradient(&student, &teacher)
            .unwrap();
        assert!(exact.value() > 0.0 && exact.value() < 1e-5, "{}", exact.value());
        for device in each_device() {
            let found = loss().on(&device).unwrap().value_and_gradient(&student, &teacher).unwrap();
            // ln(p/q) is about 1e-3 with a common error of about 1e-7, which affects the value in
            // second order.
            let off = (found.value() - exact.value()).abs() / exact.value();
            assert!(
                off <= 2e-5,
                "{} at β {beta}: {} instead of {}",
                device.name(),
                found.value(),
                exact.value()
            );
        }
    }
}
