//! Recommenders: the serial algorithm against one written on its own, laws of the metrics, equal bits, files, what is refused.

use gradus::random::{Permutation, Random, philox};
use gradus::recommend::{
    Convention, Features, Interactions, Loss, Metrics, Model, Optimizer, RankWeight, Recommender, sampling,
};
use gradus::{Device, Error};

mod support;

const LOSSES: [Loss; 4] = [Loss::Warp, Loss::WarpKos, Loss::Bpr, Loss::Logistic];

/// Users of three tastes: of the items of its taste each chooses about half, of the others one in twenty.
fn tastes(users: usize, items: usize, seed: u64) -> Interactions {
    let mut random = Random::new(seed, 0);
    let mut pairs = Vec::new();
    for user in 0..users as u32 {
        for item in 0..items as u32 {
            let share = if user % 3 == item % 3 { 0.5 } else { 0.05 };
            if random.uniform() < share {
                pairs.push((user, item));
            }
        }
    }
    Interactions::new(users, items, &pairs).unwrap()
}

fn all_scores(model: &Model, users: usize, items: usize) -> Vec<f32> {
    let pairs = (0..users as u32).flat_map(|user| (0..items as u32).map(move |item| (user, item)));
    let (users, items): (Vec<u32>, Vec<u32>) = pairs.unzip();
    model.predict(&users, &items).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// LightFM's algorithm in plain f64 loops, one interaction after the other, written from the text and not from the crate's code.
struct Plain {
    components: usize,
    rate: f64,
    p: Vec<Vec<f64>>,
    q: Vec<Vec<f64>>,
    user_bias: Vec<f64>,
    item_bias: Vec<f64>,
    squares: [Vec<Vec<f64>>; 2],
    bias_squares: [Vec<f64>; 2],
}

impl Plain {
    fn new(users: usize, items: usize, components: usize, rate: f64, seed: u64) -> Self {
        let start = |rows: usize, stream: u64| -> Vec<Vec<f64>> {
            let mut random = Random::new(seed, stream);
            let mut one = || f64::from(((random.uniform() - 0.5) / components as f64) as f32);
            (0..rows).map(|_| (0..components).map(|_| one()).collect()).collect()
        };
        Plain {
            components,
            rate,
            p: start(users, 0),
            q: start(items, 1),
            user_bias: vec![0.0; users],
            item_bias: vec![0.0; items],
            squares: [vec![vec![1.0; components]; users], vec![vec![1.0; components]; items]],
            bias_squares: [vec![1.0; users], vec![1.0; items]],
        }
    }

    fn score(&self, user: usize, item: usize) -> f64 {
        self.p[user].iter().zip(&self.q[item]).map(|(p, q)| p * q).sum::<f64>() + self.item_bias[item]
    }

    /// The score of factors with 12 significant bits.
    fn rough(&self, user: usize, item: usize) -> f64 {
        let rough = |x: f64| {
            let x = f64::from(x as f32);
            if x == 0.0 {
                x
            } else {
                let unit = 2f64.powi(x.abs().log2().floor() as i32 - 11);
                (x / unit).trunc() * unit
            }
        };
        let sum = self.p[user].iter().zip(&self.q[item]).map(|(&p, &q)| rough(p) * rough(q)).sum::<f64>();
        sum + self.item_bias[item]
    }

    fn adagrad(x: &mut f64, square: &mut f64, gradient: f64, rate: f64) {
        *x -= rate / square.sqrt() * gradient;
        *square += gradient * gradient;
    }

    fn update(&mut self, user: usize, positive: usize, negative: Option<usize>, c: f64, user_bias: f64) {
        let (p, up) = (self.p[user].clone(), self.q[positive].clone());
        let down = negative.map_or(vec![0.0; self.components], |negative| self.q[negative].clone());
        let rate = self.rate;
        for k in 0..self.components {
            Self::adagrad(&mut self.q[positive][k], &mut self.squares[1][positive][k], -c * p[k], rate);
            if let Some(negative) = negative {
                Self::adagrad(&mut self.q[negative][k], &mut self.squares[1][negative][k], c * p[k], rate);
            }
            Self::adagrad(&mut self.p[user][k], &mut self.squares[0][user][k], c * (down[k] - up[k]), rate);
        }
        Self::adagrad(&mut self.item_bias[positive], &mut self.bias_squares[1][positive], -c, rate);
        if let Some(negative) = negative {
            Self::adagrad(&mut self.item_bias[negative], &mut self.bias_squares[1][negative], c, rate);
        }
        Self::adagrad(&mut self.user_bias[user], &mut self.bias_squares[0][user], user_bias, rate);
    }

    fn epoch(&mut self, loss: Loss, chosen: &Interactions, seed: u64, epoch: u32) {
        let all: Vec<(usize, usize)> = chosen.triples().map(|(user, item, _)| (user as usize, item as usize)).collect();
        let order = Permutation::new(all.len() as u32, seed, epoch);
        for place in 0..all.len() as u32 {
            let number = order.at(place);
            let (user, mut positive) = all[number as usize];
            let word = |draw: u32, stream: u32| {
                philox([draw / 4, number, epoch, stream], [seed as u32, 0])[draw as usize % 4] as f64 / 2f64.powi(32)
            };
            if loss == Loss::Logistic {
                let c = 1.0 / (1.0 + (self.score(user, positive) + self.user_bias[user]).exp());
                self.update(user, positive, None, c, -c);
                continue;
            }
            let row = chosen.of(user);
            if loss == Loss::WarpKos {
                let count = row.len().min(10);
                let drawn = (0..count as u32).map(|draw| row[(word(draw, 0x706f_7369) * row.len() as f64) as usize]);
                let mut drawn: Vec<usize> = drawn.map(|item| item as usize).collect();
                drawn.sort_by(|&a, &b| self.rough(user, b).total_cmp(&self.rough(user, a)));
                positive = drawn[count.min(5) - 1];
            }
            for draw in 0..10 {
                let uniform = word(draw, 0x6e65_6761);
                if loss == Loss::Bpr {
                    let negative = all[(uniform * all.len() as f64) as usize].1;
                    if !row.contains(&(negative as u32)) {
                        let c = 1.0 / (1.0 + (self.score(user, positive) - self.score(user, negative)).exp());
                        self.update(user, positive, Some(negative), c, 0.0);
                        break;
                    }
                    continue;
                }
                let negative = (uniform * self.q.len() as f64) as usize;
                if self.rough(user, negative) > self.rough(user, positive) - 1.0 && !row.contains(&(negative as u32)) {
                    let rank = (self.q.len() - 1) / (draw as usize + 1);
                    let c = f64::from((rank.max(1) as f64).ln().min(10.0) as f32);
                    self.update(user, positive, Some(negative), c, 0.0);
                    break;
                }
            }
        }
    }
}

#[test]
fn batches_of_one_are_the_serial_algorithm() {
    let (users, items, components, seed) = (21, 30, 5, 11);
    let chosen = tastes(users, items, 3);
    for loss in LOSSES {
        let recommender = Recommender::new(users, items).loss(loss).components(components).seed(seed).batch_size(1);
        let mut model = recommender.on(&Device::reference()).unwrap();
        model.fit(&chosen, 4).unwrap();
        let mut plain = Plain::new(users, items, components, 0.05, seed);
        (0..4).for_each(|epoch| plain.epoch(loss, &chosen, seed, epoch));
        for (place, score) in all_scores(&model, users, items).into_iter().enumerate() {
            let (user, item) = (place / items, place % items);
            let expected = plain.score(user, item) + plain.user_bias[user];
            // Both are in f64, where 400 updates with other orders of sums differ by 1e-12 at most; the answer is rounded to f32 once,
            // half a unit in the last place.
            let bound = f64::from(f32::EPSILON) / 2.0 * expected.abs() + 1e-9;
            assert!((f64::from(score) - expected).abs() <= bound, "{loss:?}, {user}, {item}: {score} {expected}");
        }
    }
}

#[test]
fn every_device_makes_the_draws_of_f64() {
    // The first epoch: 1,500 interactions whose tables differ by some 1e-7. What decides is f32 on both.
    let chosen = tastes(90, 90, 5);
    for loss in LOSSES {
        let recommender = Recommender::new(90, 90).loss(loss).components(12);
        let run = |device: Device| recommender.clone().on(&device).unwrap().fit(&chosen, 1).unwrap().epochs[0];
        let double = run(Device::reference());
        for device in support::each_device() {
            let name = device.name();
            let single = run(device);
            assert_eq!((single.sampled, single.updates), (double.sampled, double.updates), "{loss:?} on {name}");
            let error = (single.loss - double.loss).abs();
            assert!(error <= 1e-5 * double.loss, "{loss:?} on {name}: {} {}", single.loss, double.loss);
        }
    }
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bits() {
    let chosen = tastes(200, 150, 1);
    for loss in LOSSES {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let recommender = Recommender::new(200, 150).loss(loss).components(9).batch_size(700);
                let mut model = recommender.on(&Device::cpu()).unwrap();
                model.fit(&chosen, 3).unwrap();
                bits(&all_scores(&model, 200, 150))
            })
        };
        let one = run(1);
        assert_eq!(one, run(1), "{loss:?}");
        assert_eq!(one, run(2), "{loss:?}");
        assert_eq!(one, run(5), "{loss:?}");
    }
}

#[test]
fn two_runs_on_a_gpu_give_the_same_bits() {
    let Some(device) = support::gpu() else { return };
    let chosen = tastes(200, 150, 1);
    for loss in LOSSES {
        let run = || {
            let mut model = Recommender::new(200, 150).loss(loss).components(9).batch_size(700).on(&device).unwrap();
            model.fit(&chosen, 3).unwrap();
            let ranks = model.predict_rank(&chosen, None).unwrap();
            (bits(&all_scores(&model, 200, 150)), ranks, model.recommend_all(&[0, 1, 7], 9, true).unwrap())
        };
        assert!(run() == run(), "{loss:?}");
    }
}

#[test]
fn a_gpu_ranks_as_the_cpu_does_with_the_same_tables() {
    let Some(device) = support::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tastes.safetensors");
    let (train, test) = tastes(60, 77, 3).split(0.2, 1).unwrap();
    let mut trained = Recommender::new(60, 77).components(11).on(&device).unwrap();
    trained.fit(&train, 6).unwrap();
    trained.save(&path).unwrap();
    let single = Model::load(&path, &Device::cpu()).unwrap();
    let scores = [&trained, &single].map(|model| all_scores(model, 60, 77));
    // Eleven products and thirteen sums of numbers below 16, fused or not: 24 roundings of 2⁻²⁴ of that each.
    let bound = 24.0 * 16.0 * f32::EPSILON / 2.0;
    assert!(scores[0].iter().all(|score| score.abs() < 16.0));
    assert!(scores[0].iter().zip(&scores[1]).all(|(a, b)| (a - b).abs() <= bound));
    let ranks = [&trained, &single].map(|model| model.predict_rank(&test, Some(&train)).unwrap());
    // A rank differs only where two items lie within the bound: hardly ever.
    let differ = ranks[0].iter().zip(&ranks[1]).filter(|(a, b)| a != b).count();
    assert!(100 * differ <= test.len(), "{differ} of {}", test.len());
    let mut goes_on = Model::load(&path, &device).unwrap();
    assert_eq!(
        trained.fit_partial(&train, 2).unwrap().epochs[1].loss,
        goes_on.fit_partial(&train, 2).unwrap().epochs[1].loss
    );
    assert_eq!(bits(&all_scores(&trained, 60, 77)), bits(&all_scores(&goes_on, 60, 77)));
}

#[test]
fn a_training_in_parts_is_the_training_at_once() {
    let chosen = tastes(60, 50, 2);
    let new = || Recommender::new(60, 50).components(6).on(&Device::cpu()).unwrap();
    let (mut once, mut parts) = (new(), new());
    let whole = once.fit(&chosen, 7).unwrap();
    parts.fit(&chosen, 3).unwrap();
    let rest = parts.fit_partial(&chosen, 4).unwrap();
    assert_eq!(bits(&all_scores(&once, 60, 50)), bits(&all_scores(&parts, 60, 50)));
    assert_eq!(whole.epochs[6].loss, rest.epochs[3].loss);
    assert_eq!((once.epochs(), parts.epochs()), (7, 7));
    // `fit` forgets what was learned.
    parts.fit(&chosen, 7).unwrap();
    assert_eq!(bits(&all_scores(&once, 60, 50)), bits(&all_scores(&parts, 60, 50)));
}

#[test]
fn every_loss_finds_the_tastes() {
    let (train, test) = tastes(150, 120, 9).split(0.2, 4).unwrap();
    for device in support::each_device() {
        for (loss, floor) in [(Loss::Warp, 0.75), (Loss::WarpKos, 0.75), (Loss::Bpr, 0.75)] {
            let mut model = Recommender::new(150, 120).loss(loss).components(8).on(&device).unwrap();
            let history = model.fit(&train, 40).unwrap();
            let metrics = model.evaluate(&test, Some(&train), 10).unwrap();
            // An item of the user's taste ranks above one of another with certainty, two of one taste by chance. Of the 24 items left of
            // the taste 4 are test items, of 80 others 0.8: with them at 4.8 the best AUC is about (4·0.9 + 0.8·0.3)/4.8 = 0.8.
            assert!(metrics.auc >= floor, "{loss:?} on {}: {metrics:?}", device.name());
            assert!(history.epochs[39].loss < history.epochs[0].loss, "{loss:?}");
        }
    }
}

#[test]
fn options_change_what_they_name() {
    let chosen = tastes(60, 50, 2);
    let base = || Recommender::new(60, 50).components(6);
    let scores = |recommender: Recommender| {
        let mut model = recommender.on(&Device::cpu()).unwrap();
        model.fit(&chosen, 5).unwrap();
        bits(&all_scores(&model, 60, 50))
    };
    let plain = scores(base());
    let others = [
        ("seed", base().seed(8)),
        ("margin", base().margin(0.5)),
        ("max_sampled", base().max_sampled(3)),
        ("rank_weight", base().rank_weight(RankWeight::Harmonic)),
        ("exact_rank", base().exact_rank(true)),
        ("user_alpha", base().user_alpha(0.01)),
        ("item_alpha", base().item_alpha(0.01)),
        ("user_bias_gradient", base().user_bias_gradient(true)),
        ("batch_size", base().batch_size(7)),
        ("optimizer", base().optimizer(Optimizer::Sgd)),
        ("learning_rate", base().learning_rate(0.1)),
    ];
    for (name, other) in others {
        assert_ne!(plain, scores(other), "{name}");
    }
    let kos = || base().loss(Loss::WarpKos);
    assert_ne!(scores(kos()), scores(kos().k_of_n(1, 10)));
    // No ranking hangs on the users' biases.
    let rank = |recommender: Recommender| {
        let mut model = recommender.on(&Device::cpu()).unwrap();
        model.fit(&chosen, 5).unwrap();
        model.predict_rank(&chosen, None).unwrap()
    };
    assert_eq!(rank(base()), rank(base().user_bias_gradient(true)));
}

#[test]
fn l2_makes_the_vectors_shorter() {
    let chosen = tastes(60, 50, 2);
    let spread = |alpha: f64| {
        let recommender = Recommender::new(60, 50).user_alpha(alpha).item_alpha(alpha);
        let mut model = recommender.on(&Device::reference()).unwrap();
        model.fit(&chosen, 20).unwrap();
        all_scores(&model, 60, 50).into_iter().map(|score| score * score).sum::<f32>()
    };
    assert!(spread(1.0) < 0.5 * spread(0.0));
}

#[test]
fn weights_count_and_disliked_items_are_never_negatives() {
    // User 0 likes item 0 and dislikes all others: there is nothing to draw, so nothing moves.
    let mut triples: Vec<(u32, u32, f32)> = (1..20).map(|item| (0, item, -1.0)).collect();
    triples.push((0, 0, 1.0));
    let chosen = Interactions::weighted(1, 20, &triples).unwrap();
    for loss in [Loss::Warp, Loss::WarpKos, Loss::Bpr] {
        let mut model = Recommender::new(1, 20).loss(loss).on(&Device::cpu()).unwrap();
        let history = model.fit(&chosen, 3).unwrap();
        assert!(history.epochs.iter().all(|epoch| epoch.updates == 0), "{loss:?}");
    }
    let mut model = Recommender::new(1, 20).loss(Loss::Logistic).on(&Device::cpu()).unwrap();
    model.fit(&chosen, 30).unwrap();
    let best = model.recommend(0, 1, false).unwrap();
    assert_eq!(best[0].item, 0);
    // A weight of 3 is three times the gradient: with SGD and one interaction, three times the step of the biases.
    let step = |weight: f32| {
        let one = Interactions::weighted(1, 2, &[(0, 0, weight)]).unwrap();
        let recommender = Recommender::new(1, 2).loss(Loss::Logistic).optimizer(Optimizer::Sgd).seed(1);
        let mut model = recommender.on(&Device::reference()).unwrap();
        let before = model.predict(&[0], &[0]).unwrap()[0];
        model.fit(&one, 1).unwrap();
        model.predict(&[0], &[0]).unwrap()[0] - before
    };
    assert!((step(3.0) / step(1.0) - 3.0).abs() < 0.02); // the vectors' part, of second order, is below 1 %
}

#[test]
fn the_exact_rank_is_the_number_of_violators() {
    // Item 0 is chosen; 1 and 2 lie above it less the margin, 3 is known, 4 lies below.
    let users = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0_f32];
    let mut items = [0.0_f32; 40];
    for (item, first) in [2.0, 1.5, 3.0, 9.0, 0.5].into_iter().enumerate() {
        items[item * 8] = first;
    }
    let chosen = Interactions::new(1, 5, &[(0, 0), (0, 3)]).unwrap();
    let vectors =
        sampling::Vectors { users: &users, user_biases: &[0.0], items: &items, item_biases: &[0.0; 5], stride: 8 };
    let rules = |exact_rank: bool, rank_weights: Vec<f32>| sampling::Rules {
        loss: Loss::Warp,
        seed: 1,
        max_sampled: 10,
        margin: 1.0,
        rank_weights,
        exact_rank,
        k: 5,
        n: 10,
    };
    let mut found = [0_u32; 5];
    for epoch in 0..1000 {
        let exact = rules(true, RankWeight::Harmonic.of_ranks(5));
        let sample = sampling::sample(&exact, &chosen.known(), &vectors, epoch, 0);
        assert_eq!(sample.step, 1.5); // 1 + 1/2: two violators
        assert_eq!(sample.loss, 1.5 * if sample.negative == 1 { 0.5 } else { 2.0 });
        found[sample.negative as usize] += 1;
    }
    // 1,000 throws of a coin: four deviations are 63.
    assert_eq!((found[0], found[3], found[4]), (0, 0, 0));
    assert!(found[1].abs_diff(500) < 63, "{found:?}");
    // Drawn, the first that violates counts, and the draws before it tell the rank: ⌊4 / draws⌋.
    for epoch in 0..1000 {
        let drawn = rules(false, RankWeight::Log.of_draws(5, 10));
        let sample = sampling::sample(&drawn, &chosen.known(), &vectors, epoch, 0);
        if sample.negative == sampling::NO_ITEM {
            assert_eq!((sample.draws, sample.step), (10, 0.0));
            continue;
        }
        assert!(sample.negative == 1 || sample.negative == 2);
        let rank = (4 / sample.draws).max(1);
        assert_eq!(sample.step, f64::from(rank).ln() as f32);
        let mut draws = sampling::Draws::new(1, epoch, 0, sampling::NEGATIVES);
        let words: Vec<u32> = (0..sample.draws).map(|draw| sampling::below(draws.word(draw), 5)).collect();
        assert!(words[..words.len() - 1].iter().all(|item| ![1, 2].contains(item)), "{words:?}");
    }
}

#[test]
fn rank_weights_are_the_published_ones() {
    assert_eq!(RankWeight::Log.of_draws(6170, 3)[1..], [6169.0_f64, 3084.0, 2056.0].map(|rank| rank.ln() as f32));
    assert_eq!(RankWeight::Log.of_rank(100_000), 10.0); // ln 100000 is 11.5
    assert_eq!(RankWeight::Log.of_draws(3, 5)[2..], [0.0; 4]); // (3 − 1) / 3 is 0, taken as rank 1: ln 1
    assert_eq!(RankWeight::Harmonic.of_rank(3), (1.0 + 0.5 + 1.0 / 3.0) as f32);
    assert_eq!(RankWeight::Harmonic.of_ranks(50)[50], RankWeight::Harmonic.of_rank(50));
}

#[test]
fn cut_products_are_exact() {
    let mut random = Random::new(2, 0);
    for _ in 0..10_000 {
        let (a, b) = (random.normal() as f32, random.normal() as f32);
        let (a, b) = (sampling::cut(a), sampling::cut(b));
        assert_eq!(f64::from(a * b), f64::from(a) * f64::from(b));
    }
    assert!((sampling::cut(1.0 + 1.0 / 4096.0), sampling::cut(-3.0)) == (1.0, -3.0));
}

#[test]
fn features_of_their_own_are_no_features() {
    let chosen = tastes(60, 50, 2);
    let own = |count: u32| {
        let triples: Vec<(u32, u32, f32)> = (0..count).map(|entity| (entity, entity, 1.0)).collect();
        Features::new(count as usize, count as usize, &triples).unwrap()
    };
    let scores = |recommender: Recommender| {
        let mut model = recommender.components(6).on(&Device::cpu()).unwrap();
        model.fit(&chosen, 5).unwrap();
        bits(&all_scores(&model, 60, 50))
    };
    let plain = Recommender::new(60, 50);
    assert_eq!(scores(plain.clone()), scores(plain.user_features(own(60)).item_features(own(50))));
}

#[test]
fn features_tell_what_is_to_be_thought_of_a_new_item() {
    // Items 60 to 89 were never chosen in training: their taste is known by a feature alone.
    let all = tastes(120, 90, 6);
    let part = |new: bool| {
        let pairs: Vec<(u32, u32)> =
            all.triples().filter(|triple| (triple.1 >= 60) == new).map(|(user, item, _)| (user, item)).collect();
        Interactions::new(120, 90, &pairs).unwrap()
    };
    let (train, test) = (part(false), part(true));
    let taste: Vec<(u32, u32, f32)> = (0..90).map(|item| (item, item % 3, 1.0)).collect();
    let auc = |features: Option<Features>| {
        let mut recommender = Recommender::new(120, 90).components(8);
        if let Some(features) = features {
            recommender = recommender.item_features(features);
        }
        let mut model = recommender.on(&Device::cpu()).unwrap();
        model.fit(&train, 30).unwrap();
        model.evaluate(&test, Some(&train), 10).unwrap().auc
    };
    let (with, without) = (auc(Some(Features::new(90, 3, &taste).unwrap())), auc(None));
    // Items of one taste tie, and ties count against: a test item of the user's taste has at worst the 20 of its taste that are left
    // above it, of 54 negatives, and five of six test items are of that taste: 5/6 · (1 − 20/54) = 0.52. With no features a new item
    // has a bias of 0 and lies below all that were drawn up.
    assert!(with > 0.52 && with > without + 0.1, "{with} {without}");
}

/// Items by score, best first, without those of `train`; of equal scores the later item first, as ties count against the earlier.
fn ranking(scores: &[f32], train: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).filter(|item| !train.contains(item)).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order
}

#[test]
fn metrics_are_those_of_the_ranked_lists() {
    let (users, items, k) = (40, 35, 10);
    let (train, test) = tastes(users, items, 8).split(0.4, 1).unwrap();
    let mut model = Recommender::new(users, items).components(4).on(&Device::cpu()).unwrap();
    model.fit(&train, 5).unwrap();
    let scores = all_scores(&model, users, items);
    let (mut lightfm, mut implicit, mut count) = ([0.0; 6], [0.0; 3], 0.0);
    for user in 0..users {
        let wanted = test.of(user);
        if wanted.is_empty() {
            continue;
        }
        count += 1.0;
        let order = ranking(&scores[user * items..][..items], train.of(user));
        let is_hit: Vec<bool> = order.iter().map(|item| wanted.contains(item)).collect();
        let hits = is_hit[..k].iter().filter(|hit| **hit).count() as f64;
        let most = wanted.len().min(k);
        let (mut above, mut pairs) = (0.0, 0.0);
        for (place, _) in is_hit.iter().enumerate().filter(|(_, hit)| **hit) {
            above += is_hit[place..].iter().filter(|hit| !**hit).count() as f64;
            pairs += is_hit.iter().filter(|hit| !**hit).count() as f64;
        }
        let (mut precision, mut gain, mut so_far) = (0.0, 0.0, 0.0);
        for (place, _) in is_hit[..k].iter().enumerate().filter(|(_, hit)| **hit) {
            so_far += 1.0;
            precision += so_far / (place as f64 + 1.0);
            gain += 1.0 / (place as f64 + 2.0).log2();
        }
        let ideal: f64 = (0..most).map(|place| 1.0 / (place as f64 + 2.0).log2()).sum();
        let first = is_hit.iter().position(|hit| *hit).unwrap() as f64;
        let values = [
            hits / k as f64,
            hits / wanted.len() as f64,
            above / pairs,
            1.0 / (first + 1.0),
            precision / most as f64,
            gain / ideal,
        ];
        lightfm.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        // implicit's loop over the list: a miss counts the hits so far, the rest lies on a straight line.
        let (positives, negatives) = (wanted.len() as f64, (items - wanted.len()) as f64);
        let (mut hit, mut miss, mut area) = (0.0, 0.0, 0.0);
        for found in &is_hit[..k] {
            if *found {
                hit += 1.0;
            } else {
                miss += 1.0;
                area += hit;
            }
        }
        area += (hit + positives) / 2.0 * (negatives - miss);
        implicit
            .iter_mut()
            .zip([hits, most as f64, area / (positives * negatives)])
            .for_each(|(sum, value)| *sum += value);
    }
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    let found = model.evaluate(&test, Some(&train), k).unwrap();
    let Metrics { precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k, .. } = found;
    let all = [precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k];
    all.into_iter().zip(lightfm).for_each(|(found, sum)| close(found, sum / count));
    assert_eq!(found.users as f64, count);
    let other = model.evaluate_as(Convention::Implicit, &test, Some(&train), k).unwrap();
    close(other.precision_at_k, implicit[0] / implicit[1]);
    close(other.auc, implicit[2] / count);
    assert_eq!((other.map_at_k, other.ndcg_at_k), (map_at_k, ndcg_at_k));
}

#[test]
fn ties_count_against_an_item() {
    // Before training all biases are 0; with embeddings of zero features all scores are 0.
    let none = Features::new(4, 1, &[]).unwrap();
    let model = Recommender::new(1, 4).item_features(none).on(&Device::cpu()).unwrap();
    let test = Interactions::new(1, 4, &[(0, 1), (0, 2)]).unwrap();
    assert_eq!(model.predict_rank(&test, None).unwrap(), [3, 3]);
    let train = Interactions::new(1, 4, &[(0, 0)]).unwrap();
    assert_eq!(model.predict_rank(&test, Some(&train)).unwrap(), [2, 2]);
    for convention in [Convention::LightFm, Convention::Implicit] {
        for k in [1, 3, 9] {
            let metrics = model.evaluate_as(convention, &test, Some(&train), k).unwrap();
            assert!((0.0..=1.0).contains(&metrics.auc) && (0.0..=1.0).contains(&metrics.ndcg_at_k), "{metrics:?}");
        }
    }
}

#[test]
fn recommendations_are_the_best_scores_without_what_was_seen() {
    let chosen = tastes(30, 40, 3);
    let mut model = Recommender::new(30, 40).on(&Device::cpu()).unwrap();
    model.fit(&chosen, 10).unwrap();
    let scores = all_scores(&model, 30, 40);
    for user in 0..30 {
        let row = &scores[user * 40..][..40];
        let expected = ranking(row, chosen.of(user));
        let found = model.recommend(user as u32, 5, true).unwrap();
        assert_eq!(found.iter().map(|scored| scored.item).collect::<Vec<_>>(), expected[..5]);
        assert!(found.iter().all(|scored| scored.score == row[scored.item as usize]));
        assert_eq!(model.recommend(user as u32, 99, false).unwrap().len(), 40);
    }
    let similar = model.similar_items(7, 39).unwrap();
    assert!(similar.iter().all(|scored| scored.item != 7) && similar.len() == 39);
    assert!(similar.windows(2).all(|two| two[0].score >= two[1].score));
    let own_taste = similar[..10].iter().filter(|scored| scored.item % 3 == 1).count();
    assert!(own_taste >= 7, "{own_taste} of the ten most similar items are of the item's taste");
}

#[test]
fn a_saved_recommender_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tastes.safetensors");
    let chosen = tastes(40, 45, 3);
    let genres: Vec<(u32, u32, f32)> = (0..45).map(|item| (item, item % 3, 0.5)).collect();
    for device in [Device::cpu(), Device::reference()] {
        let features = Features::with_identity(45, 3, &genres).unwrap();
        let recommender = Recommender::new(40, 45).item_features(features).components(5).item_alpha(0.001).seed(3);
        let mut model = recommender.on(&device).unwrap();
        model.fit(&chosen, 4).unwrap();
        model.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!(bits(&all_scores(&model, 40, 45)), bits(&all_scores(&loaded, 40, 45)));
        assert_eq!(model.recommend(3, 5, true).unwrap(), loaded.recommend(3, 5, true).unwrap());
        assert_eq!(model.seen(), loaded.seen());
        assert_eq!(
            model.fit_partial(&chosen, 2).unwrap().epochs[1].loss,
            loaded.fit_partial(&chosen, 2).unwrap().epochs[1].loss
        );
        assert_eq!(bits(&all_scores(&model, 40, 45)), bits(&all_scores(&loaded, 40, 45)));
    }
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Model::load(&path, &Device::cpu()), Err(Error::Data { .. })));
    std::fs::write(&path, b"no tensors at all").unwrap();
    assert!(matches!(Model::load(&path, &Device::cpu()), Err(Error::Data { .. })));
    assert!(matches!(Model::load(folder.path().join("none"), &Device::cpu()), Err(Error::Io { .. })));
    // A dense model is none.
    let dense = gradus::Sequential::new(1).then(gradus::Dense::new(1)).on(&Device::cpu()).unwrap();
    dense.save(&path).unwrap();
    assert!(Model::load(&path, &Device::cpu()).unwrap_err().to_string().contains("gradus_recommender"));
}

#[test]
fn splits_part_the_interactions() {
    let all = tastes(50, 60, 4);
    let (train, test) = all.split(0.2, 3).unwrap();
    assert_eq!(test.len(), all.len() / 5);
    let mut both: Vec<_> = train.triples().chain(test.triples()).map(|(user, item, _)| (user, item)).collect();
    both.sort_unstable();
    assert_eq!(both, all.triples().map(|(user, item, _)| (user, item)).collect::<Vec<_>>());
    assert_eq!(all.split(0.2, 3).unwrap(), (train, test.clone()));
    assert_ne!(all.split(0.2, 4).unwrap().1, test);
    assert_eq!(all.split(0.0, 3).unwrap().1.len(), 0);
    let few = Interactions::new(2, 9, &[(0, 1), (0, 4), (1, 0), (1, 2), (1, 7)]).unwrap();
    let (train, test) = few.leave_out(2, 5).unwrap();
    assert_eq!((train.of(0).len(), test.of(0).len(), train.of(1).len(), test.of(1).len()), (2, 0, 1, 2));
    assert_eq!(few.leave_out(2, 5).unwrap(), (train, test));
}

/// That an error's message holds these words.
fn says<T: std::fmt::Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let message = outcome.unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    says(Interactions::new(3, 4, &[(0, 0), (0, 4)]), &["item of number 1", "is 4", "0 to 3"]);
    says(Interactions::new(3, 4, &[(3, 0)]), &["user of number 0", "0 to 2"]);
    says(Interactions::new(3, 4, &[(1, 1), (0, 0), (1, 1)]), &["number 2", "user 1 and item 1 again", "number 0"]);
    says(Interactions::weighted(3, 4, &[(1, 1, f32::NAN)]), &["weight of number 0", "NaN"]);
    says(Interactions::weighted(3, 4, &[(1, 1, 0.0)]), &["weight of number 0", "not 0"]);
    says(Interactions::new(0, 4, &[]), &["users is 0"]);
    says(Features::new(2, 2, &[(0, 2, 1.0)]), &["feature of number 0", "0 to 1"]);
    says(Features::new(2, 2, &[(0, 1, f32::INFINITY)]), &["weight of number 0", "inf"]);
    says(Features::with_identity(2, 2, &[(0, 2, 1.0)]), &["feature of number 0", "0 to 1"]);
    let all = tastes(6, 9, 1);
    for share in [-0.1, 1.0, f64::NAN] {
        says(all.split(share, 1), &["test is", "[0, 1)"]);
    }
    says(all.leave_out(0, 1), &["k is 0"]);
    let cpu = Device::cpu();
    let base = || Recommender::new(6, 9);
    says(base().components(0).on(&cpu), &["components is 0"]);
    says(base().learning_rate(f64::NAN).on(&cpu), &["learning_rate is NaN"]);
    says(base().max_sampled(0).on(&cpu), &["max_sampled is 0"]);
    says(base().margin(f32::NAN).on(&cpu), &["margin is NaN"]);
    says(base().k_of_n(3, 2).on(&cpu), &["k is 3", "n, which is 2"]);
    says(base().k_of_n(3, 65).on(&cpu), &["n is 65", "64"]);
    says(base().user_alpha(-1.0).on(&cpu), &["user_alpha is -1"]);
    says(base().item_alpha(f64::INFINITY).on(&cpu), &["item_alpha is inf"]);
    says(base().batch_size(0).on(&cpu), &["batch_size is 0"]);
    says(base().user_features(Features::new(5, 1, &[]).unwrap()).on(&cpu), &["user features are of 5", "there are 6"]);
    let mut model = base().on(&cpu).unwrap();
    says(model.recommend(2, 3, true), &["user 2", "no interactions"]);
    says(model.fit(&tastes(6, 8, 1), 1), &["[6, 8]", "[6 users, 9 items]"]);
    says(model.fit(&Interactions::new(6, 9, &[]).unwrap(), 1), &["interactions hold no rows"]);
    model.fit(&Interactions::new(6, 9, &[(0, 1), (1, 2)]).unwrap(), 1).unwrap();
    says(model.recommend(6, 3, true), &["user 6", "never seen", "0 to 5"]);
    says(model.recommend(4, 3, true), &["user 4", "no interactions"]);
    says(model.predict(&[0], &[9]), &["item 9", "never seen", "0 to 8"]);
    says(model.predict(&[0, 1], &[1]), &["users are [2]", "items are [1]"]);
    says(model.similar_items(9, 1), &["item 9"]);
    says(model.evaluate(&all, None, 0), &["k is 0"]);
    says(model.evaluate(&Interactions::new(6, 9, &[]).unwrap(), None, 10), &["test interactions hold no rows"]);
    says(model.predict_rank(&tastes(5, 9, 1), None), &["test are [5, 9]"]);
    let mut wild = base().learning_rate(1e30).optimizer(Optimizer::Sgd).on(&cpu).unwrap();
    says(wild.fit(&all, 30), &["learning_rate is 1000", "epoch 1 did not stay finite", "lower"]);
}

/// LightFM 1.17 on the same file with 32 components, 20 epochs, learning rate 0.05, means of its own three splits.
const LIGHTFM: [(Loss, [f64; 3]); 4] = [
    (Loss::Warp, [0.149, 0.134, 0.907]),
    (Loss::WarpKos, [0.140, 0.130, 0.875]),
    (Loss::Bpr, [0.120, 0.117, 0.846]),
    (Loss::Logistic, [0.100, 0.086, 0.867]),
];

#[test]
#[ignore = "needs GRADUS_MOVIELENS: the path of ratings.csv of MovieLens latest-small (2016)"]
fn movielens_is_ranked_as_well_as_lightfm_does() {
    let path = std::env::var("GRADUS_MOVIELENS").expect("GRADUS_MOVIELENS names ratings.csv");
    let ratings = gradus::data::read_ratings(path).unwrap();
    let all = Interactions::from_ratings(&ratings, 4.0, false).unwrap();
    assert_eq!((all.users(), all.items()), (671, 6170));
    let on = |device: &Device, recommender: Recommender| {
        let mut sums = [0.0; 3];
        for seed in 1..=3 {
            let (train, test) = all.split(0.2, seed).unwrap();
            assert_eq!(train.len(), 41_255);
            let mut model = recommender.clone().components(32).seed(seed).on(device).unwrap();
            model.fit(&train, 20).unwrap();
            let found = model.evaluate(&test, Some(&train), 10).unwrap();
            let values = [found.precision_at_k, found.recall_at_k, found.auc];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / 3.0);
        }
        sums
    };
    for device in [Some(Device::cpu()), support::gpu()].into_iter().flatten() {
        for (loss, theirs) in LIGHTFM {
            let ours = on(&device, Recommender::new(671, 6170).loss(loss));
            println!("{loss:?} on {}: {ours:.4?} against {theirs:?}", device.name());
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                assert!(ours >= theirs - 0.005, "{loss:?}");
            }
        }
    }
    let best = on(&Device::cpu(), Recommender::new(671, 6170).max_sampled(100));
    println!("WARP of 100 draws: {best:.4?}");
    assert!(best.into_iter().zip(LIGHTFM[0].1).all(|(ours, theirs)| ours > theirs));
}
