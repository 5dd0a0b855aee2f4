//! Weights of items, gains and discounts of losses over lists, against sums over all pairs in f64.

use gradus::losses::{
    self, ApproxMrr, ApproxNdcg, Discount, Gain, Lambda, LambdaRank, ListMle, ListNet, Loss,
    PairwiseHinge, PairwiseLogistic, PairwiseSoftZeroOne, RankingSoftmax, UniqueSoftmax,
};
use gradus::{Criterion, Device, Inputs, Reduction, Tensor, TensorInputs};
use ndarray::{Array2, array};

use crate::support::each_device;

/// The options of the weights of pairs.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    gain: Gain,
    discount: Discount,
    relative: f64,
    normalized: bool,
    top_n: u32,
}

const PLAIN: Pairs = Pairs {
    gain: Gain::Exponential,
    discount: Discount::Log2,
    relative: 0.0,
    normalized: true,
    top_n: 0,
};

impl Pairs {
    fn gain(&self, truth: f64) -> f64 {
        if self.gain == Gain::Linear { truth } else { truth.exp2() - 1.0 }
    }

    /// Of a rank from 1.
    fn discount(&self, rank: usize) -> f64 {
        match self.discount {
            Discount::Log2 => 1.0 / (rank as f64 + 1.0).log2(),
            Discount::Reciprocal => 1.0 / rank as f64,
        }
    }

    fn kept(&self, rank: usize) -> f64 {
        let is_open = self.top_n == 0 || rank <= self.top_n as usize;
        if is_open { self.discount(rank) } else { 0.0 }
    }

    /// Value and gradient of a list with f(d) = ln(1 + e⁻ᵈ), straight from the formula.
    fn logistic(&self, scores: &[f64], truths: &[f64], weights: &[f64]) -> (f64, Vec<f64>) {
        let kept: Vec<usize> = (0..scores.len()).filter(|&i| truths[i] >= 0.0).collect();
        let before = |values: &[f64], i: usize, j: usize| {
            values[j] > values[i] || values[j] == values[i] && j < i
        };
        let rank =
            |values: &[f64], i: usize| 1 + kept.iter().filter(|&&j| before(values, i, j)).count();
        let at_best = |&i: &usize| self.gain(truths[i]) * self.kept(rank(truths, i));
        let ideal: f64 = if self.normalized { kept.iter().map(at_best).sum() } else { 1.0 };
        let (mut value, mut gradient) = (0.0, vec![0.0; scores.len()]);
        for &i in &kept {
            for &j in kept.iter().filter(|&&j| truths[i] > truths[j]) {
                let (a, b) = (rank(scores, i), rank(scores, j));
                let away = a.abs_diff(b);
                let step = match self.top_n != 0 && a.min(b) > self.top_n as usize {
                    true => 0.0,
                    false => self.discount(away) - self.discount(away + 1),
                };
                let apart = (self.kept(a) - self.kept(b)).abs();
                let discount = (1.0 - self.relative) * apart + self.relative * step;
                let gains = self.gain(truths[i]) - self.gain(truths[j]);
                let weight = if ideal == 0.0 { 0.0 } else { weights[i] * gains * discount / ideal };
                let d = scores[i] - scores[j];
                value += weight * (-d).exp().ln_1p();
                let derivative = -weight / (1.0 + d.exp());
                gradient[i] += derivative;
                gradient[j] -= derivative;
            }
        }
        (value, gradient)
    }
}

fn number(index: usize) -> f32 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 16_384.0 - 2.0
}

fn scores(lists: usize, items: usize) -> Array2<f32> {
    Array2::from_shape_fn((lists, items), |(list, item)| number(list * items + item))
}

fn truths(lists: usize, items: usize) -> Array2<f32> {
    Array2::from_shape_fn((lists, items), |(list, item)| ((list * 31 + item * 7) % 6) as f32 - 1.0)
}

/// From 0 on, in quarters.
fn weights(lists: usize, items: usize) -> Array2<f32> {
    Array2::from_shape_fn((lists, items), |(list, item)| ((list + item * 5) % 7) as f32 / 4.0)
}

/// Ten roundings of f32 for each of up to 40 terms of one list, of its largest term.
fn assert_near(device: &Device, name: &str, found: f64, wanted: f64, largest: f64) {
    let ulp = if device.name() == "reference" { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let allowed = 400.0 * ulp * largest;
    assert!((found - wanted).abs() <= allowed, "{name} on {}: {found}, {wanted}", device.name());
}

#[test]
fn weights_gains_and_discounts_of_pairs_are_those_of_the_formula() {
    let (lists, items) = (5, 40);
    let (scores, truths, weights) =
        (scores(lists, items), truths(lists, items), weights(lists, items));
    let all = [
        PLAIN,
        Pairs { gain: Gain::Linear, ..PLAIN },
        Pairs { discount: Discount::Reciprocal, top_n: 5, ..PLAIN },
        Pairs { relative: 1.0, ..PLAIN },
        Pairs { relative: 0.25, normalized: false, top_n: 7, gain: Gain::Linear, ..PLAIN },
    ];
    for device in each_device() {
        for pairs in all {
            let loss = LambdaRank::new()
                .gain(pairs.gain)
                .discount(pairs.discount)
                .relative(pairs.relative)
                .normalized(pairs.normalized)
                .top_n(pairs.top_n);
            let criterion = loss.on(&device).unwrap().reduction(Reduction::None);
            let found =
                criterion.evaluate_f64(&Inputs::new(&scores, &truths).weight(&weights)).unwrap();
            for list in 0..lists {
                let row = |of: &Array2<f32>| of.row(list).mapv(f64::from).to_vec();
                let (value, gradient) =
                    pairs.logistic(&row(&scores), &row(&truths), &row(&weights));
                let name = format!("{pairs:?}, list {list}");
                assert_near(&device, &name, found.values[list], value, value);
                let largest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
                for (item, wanted) in gradient.iter().enumerate() {
                    let found = found.gradient[[list, item]];
                    assert_near(&device, &format!("{name}, item {item}"), found, *wanted, largest);
                }
            }
        }
    }
}

#[test]
fn a_weight_of_an_item_is_that_of_the_pairs_it_wins() {
    let (x, y) = (array![[1.0, 0.5, 0.25]], array![[2.0, 1.0, 0.0]]);
    let weight = array![[3.0, 0.5, 100.0]]; // the last one wins no pair
    for device in each_device() {
        let of = |criterion: Criterion| {
            criterion.evaluate(&Inputs::new(&x, &y).weight(&weight)).unwrap()
        };
        let sum = PairwiseHinge::new().on(&device).unwrap().reduction(Reduction::Sum);
        let step = of(sum.clone());
        assert_eq!(step.value(), 3.0 * 0.5 + 3.0 * 0.25 + 0.5 * 0.75);
        assert_eq!(step.gradient.as_slice().unwrap(), [-6.0, 2.5, 3.5]);
        // Three pairs, whose weights sum to 6.5.
        assert!((of(sum.clone().reduction(Reduction::Mean)).value() - 2.625 / 3.0).abs() < 1e-6);
        let weighted = of(sum.clone().reduction(Reduction::WeightedMean));
        assert!((weighted.value() - 2.625 / 6.5).abs() < 1e-6);
        // One row of weights for all lists, and a weight of the list.
        let row = array![3.0, 0.5, 100.0];
        assert!(sum.evaluate(&Inputs::new(&x, &y).weight(&row)).is_err());
        let of_list = sum.evaluate(&Inputs::new(&x, &y).weight(&array![[2.0]])).unwrap();
        assert_eq!(of_list.value(), 2.0 * 1.5);
        let logistic = PairwiseLogistic::new().on(&device).unwrap().reduction(Reduction::Sum);
        let none = array![[0.0, 0.0, 1.0]];
        let step = logistic.evaluate(&Inputs::new(&x, &y).weight(&none)).unwrap();
        assert_eq!(step.value(), 0.0);
        let soft = PairwiseSoftZeroOne::new().on(&device).unwrap().reduction(Reduction::Sum);
        let step = soft.evaluate(&Inputs::new(&x, &y).weight(&array![[0.0, 2.0, 0.0]])).unwrap();
        assert!((step.value() - 2.0 / (1.0 + 0.25_f64.exp())).abs() < 1e-6);
    }
}

#[test]
fn tensors_take_weights_of_items_by_name() {
    for device in each_device() {
        let (x, y, w) = (scores(3, 9), truths(3, 9), weights(3, 9));
        let criterion = LambdaRank::new().on(&device).unwrap().reduction(Reduction::Sum);
        let arrays = criterion.evaluate(&Inputs::new(&x, &y).weight(&w)).unwrap();
        let tensor =
            |array: &Array2<f32>| Tensor::from_array(&device, array.view().into_dyn()).unwrap();
        let (x, y, w) = (tensor(&x), tensor(&y), tensor(&w));
        let inputs = TensorInputs::new(&x, &y).input("item_weight", &w);
        let found = criterion.evaluate_tensors(&inputs).unwrap();
        assert_eq!(found.gradient.to_array().unwrap(), arrays.gradient);
        assert!((found.value().unwrap() - arrays.value()).abs() <= 1e-6 * arrays.value());
    }
}

#[test]
fn weights_of_items_are_factors_of_targets_or_averaged_under_them() {
    let (x, y) = (array![[1.0, -0.5, 2.0, 9.0]], array![[2.0, 0.0, 1.0, -1.0]]);
    let weight = array![[0.5, 3.0, 2.0, 7.0]];
    for device in each_device() {
        let each = |criterion: Criterion| criterion.reduction(Reduction::None);
        let of = |criterion: &Criterion, inputs: &Inputs| criterion.evaluate(inputs).unwrap();
        let softmax = each(RankingSoftmax::new().on(&device).unwrap());
        let found = of(&softmax, &Inputs::new(&x, &y).weight(&weight));
        let wanted = of(&softmax, &Inputs::new(&x, &array![[1.0, 0.0, 2.0, -1.0]]));
        assert_eq!((found.values, found.gradient), (wanted.values, wanted.gradient));
        // A weight of 0 leaves a target of 0, not padding.
        let none = of(&softmax, &Inputs::new(&x, &y).weight(&array![[0.0, 1.0, 0.0, 1.0]]));
        assert_eq!(none.value(), 0.0);
        let share = (0.5 * 2.0 + 2.0 * 1.0) / 3.0;
        let metrics = [
            each(ApproxNdcg::new().on(&device).unwrap()),
            each(ApproxMrr::new().on(&device).unwrap()),
            each(ListMle::new().on(&device).unwrap()),
            each(UniqueSoftmax::new().on(&device).unwrap()),
        ];
        for criterion in metrics {
            let found = of(&criterion, &Inputs::new(&x, &y).weight(&weight));
            let wanted = of(&criterion, &Inputs::new(&x, &y).weight(&array![share]));
            assert_eq!((found.values, found.gradient), (wanted.values, wanted.gradient));
            let text = criterion
                .evaluate(&Inputs::new(&x, &y).weight(&array![[1.0, -2.0, 1.0, 1.0]]))
                .unwrap_err()
                .to_string();
            assert!(text.contains("holds -2 at element 1"), "{text}");
        }
        let one = ListNet::new().on(&device).unwrap();
        let text = one.evaluate(&Inputs::new(&x, &y).weight(&weight)).unwrap_err().to_string();
        assert!(text.contains("it must be [1]"), "{text}");
    }
}

#[test]
fn approximate_ndcg_has_gains_and_discounts() {
    let (x, y) = (array![[1.0, 1.0, 7.0]], array![[3.0, 1.0, -1.0]]);
    for device in each_device() {
        let of = |loss: ApproxNdcg| {
            loss.on(&device).unwrap().value_and_gradient(&x, &y).unwrap().value()
        };
        // Both have rank 3/2.
        let log = 2.5_f64.log2();
        let wanted = [
            (ApproxNdcg::new(), (7.0 + 1.0) / log / (7.0 + 1.0 / 3.0_f64.log2())),
            (ApproxNdcg::new().gain(Gain::Linear), 4.0 / log / (3.0 + 1.0 / 3.0_f64.log2())),
            (ApproxNdcg::new().discount(Discount::Reciprocal), 8.0 / 1.5 / (7.0 + 0.5)),
        ];
        for (loss, wanted) in wanted {
            assert!((of(loss) + wanted).abs() < 1e-6, "on {}", device.name());
        }
    }
}

#[test]
fn pair_losses_take_the_same_options() {
    for name in ["pairwise_logistic", "pairwise_hinge", "pairwise_soft_zero_one", "lambda_rank"] {
        let options = serde_json::json!({
            "lambda": "ndcg", "gain": "linear", "discount": "reciprocal", "relative": 1.0,
            "normalized": false, "top_n": 4
        });
        assert!(losses::from_name(name, &options).is_ok(), "{name}");
        let text = losses::from_name(name, &serde_json::json!({"relative": 1.5})).unwrap_err();
        assert!(text.to_string().contains("in [0, 1]"), "{text}");
    }
    assert_eq!(Lambda::default(), Lambda::None);
}
