//! The serial algorithm against an independent implementation, and the order of its random draws.

use gradus::Device;
use gradus::random::{Permutation, Random, philox};
use gradus::recommend::{Interactions, Loss, RankWeight, Recommender, sampling};

use crate::{LOSSES, all_scores, support, tastes};

/// LightFM's algorithm in plain f64 loops, one interaction after another, written from its
/// description and not from the crate's code.
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
        self.p[user].iter().zip(&self.q[item]).map(|(p, q)| p * q).sum::<f64>()
            + self.item_bias[item]
    }

    /// The score of factors truncated to 12 significant bits.
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
        let sum =
            self.p[user].iter().zip(&self.q[item]).map(|(&p, &q)| rough(p) * rough(q)).sum::<f64>();
        sum + self.item_bias[item]
    }

    fn adagrad(x: &mut f64, square: &mut f64, gradient: f64, rate: f64) {
        *x -= rate / square.sqrt() * gradient;
        *square += gradient * gradient;
    }

    fn update(
        &mut self,
        user: usize,
        positive: usize,
        negative: Option<usize>,
        c: f64,
        user_bias: f64,
    ) {
        let (p, up) = (self.p[user].clone(), self.q[positive].clone());
        let down = negative.map_or(vec![0.0; self.components], |negative| self.q[negative].clone());
        let rate = self.rate;
        for k in 0..self.components {
            Self::adagrad(
                &mut self.q[positive][k],
                &mut self.squares[1][positive][k],
                -c * p[k],
                rate,
            );
            if let Some(negative) = negative {
                Self::adagrad(
                    &mut self.q[negative][k],
                    &mut self.squares[1][negative][k],
                    c * p[k],
                    rate,
                );
            }
            Self::adagrad(
                &mut self.p[user][k],
                &mut self.squares[0][user][k],
                c * (down[k] - up[k]),
                rate,
            );
        }
        Self::adagrad(&mut self.item_bias[positive], &mut self.bias_squares[1][positive], -c, rate);
        if let Some(negative) = negative {
            Self::adagrad(
                &mut self.item_bias[negative],
                &mut self.bias_squares[1][negative],
                c,
                rate,
            );
        }
        Self::adagrad(&mut self.user_bias[user], &mut self.bias_squares[0][user], user_bias, rate);
    }

    fn epoch(&mut self, loss: Loss, chosen: &Interactions, seed: u64, epoch: u32) {
        let all: Vec<(usize, usize)> =
            chosen.triples().map(|(user, item, _)| (user as usize, item as usize)).collect();
        let order = Permutation::new(all.len() as u32, seed, epoch);
        for place in 0..all.len() as u32 {
            let number = order.at(place);
            let (user, mut positive) = all[number as usize];
            let word = |draw: u32, stream: u32| {
                philox([draw / 4, number, epoch, stream], [seed as u32, 0])[draw as usize % 4]
                    as f64
                    / 2f64.powi(32)
            };
            if loss == Loss::Logistic {
                let c = 1.0 / (1.0 + (self.score(user, positive) + self.user_bias[user]).exp());
                self.update(user, positive, None, c, -c);
                continue;
            }
            let row = chosen.of(user);
            if loss == Loss::WarpKos {
                let count = row.len().min(10);
                let drawn = (0..count as u32)
                    .map(|draw| row[(word(draw, 0x706f_7369) * row.len() as f64) as usize]);
                let mut drawn: Vec<usize> = drawn.map(|item| item as usize).collect();
                drawn.sort_by(|&a, &b| self.rough(user, b).total_cmp(&self.rough(user, a)));
                positive = drawn[count.min(5) - 1];
            }
            for draw in 0..10 {
                let uniform = word(draw, 0x6e65_6761);
                if loss == Loss::Bpr {
                    let negative = all[(uniform * all.len() as f64) as usize].1;
                    if !row.contains(&(negative as u32)) {
                        let c = 1.0
                            / (1.0
                                + (self.score(user, positive) - self.score(user, negative)).exp());
                        self.update(user, positive, Some(negative), c, 0.0);
                        break;
                    }
                    continue;
                }
                let negative = (uniform * self.q.len() as f64) as usize;
                if self.rough(user, negative) > self.rough(user, positive) - 1.0
                    && !row.contains(&(negative as u32))
                {
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
        let recommender = Recommender::new(users, items)
            .loss(loss)
            .components(components)
            .seed(seed)
            .batch_size(1);
        let mut model = recommender.on(&Device::reference()).unwrap();
        model.fit(&chosen, 4).unwrap();
        let mut plain = Plain::new(users, items, components, 0.05, seed);
        (0..4).for_each(|epoch| plain.epoch(loss, &chosen, seed, epoch));
        for (place, score) in all_scores(&model, users, items).into_iter().enumerate() {
            let (user, item) = (place / items, place % items);
            let expected = plain.score(user, item) + plain.user_bias[user];
            // Both are in f64, where 400 updates with other orders of sums differ by at most 1e-12;
            // the result is rounded to f32 once, half a unit in the last place.
            let bound = f64::from(f32::EPSILON) / 2.0 * expected.abs() + 1e-9;
            assert!(
                (f64::from(score) - expected).abs() <= bound,
                "{loss:?}, {user}, {item}: {score} {expected}"
            );
        }
    }
}

#[test]
fn every_device_makes_the_draws_of_f64() {
    // The first epoch: 1,500 interactions whose tables differ by some 1e-7. The deciding scores are
    // f32 in both.
    let chosen = tastes(90, 90, 5);
    for loss in LOSSES {
        let recommender = Recommender::new(90, 90).loss(loss).components(12);
        let run = |device: Device| {
            recommender.clone().on(&device).unwrap().fit(&chosen, 1).unwrap().epochs[0]
        };
        let double = run(Device::reference());
        for device in support::each_device() {
            let name = device.name();
            let single = run(device);
            assert_eq!(
                (single.sampled, single.updates),
                (double.sampled, double.updates),
                "{loss:?} on {name}"
            );
            let error = (single.loss - double.loss).abs();
            assert!(
                error <= 1e-5 * double.loss,
                "{loss:?} on {name}: {} {}",
                single.loss,
                double.loss
            );
        }
    }
}

#[test]
fn the_exact_rank_is_the_number_of_violators() {
    // Item 0 is chosen; 1 and 2 lie above its score minus the margin, 3 is known, 4 lies below.
    let users = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0_f32];
    let mut items = [0.0_f32; 40];
    for (item, first) in [2.0, 1.5, 3.0, 9.0, 0.5].into_iter().enumerate() {
        items[item * 8] = first;
    }
    let chosen = Interactions::new(1, 5, &[(0, 0), (0, 3)]).unwrap();
    let vectors = sampling::Vectors {
        users: &users,
        user_biases: &[0.0],
        items: &items,
        item_biases: &[0.0; 5],
        stride: 8,
    };
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
    // 1,000 coin tosses: four deviations are 63.
    assert_eq!((found[0], found[3], found[4]), (0, 0, 0));
    assert!(found[1].abs_diff(500) < 63, "{found:?}");
    // With draws, the first violating one counts, and the number of draws before it determines the
    // rank: ⌊4 / draws⌋.
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
        let words: Vec<u32> =
            (0..sample.draws).map(|draw| sampling::below(draws.word(draw), 5)).collect();
        assert!(words[..words.len() - 1].iter().all(|item| ![1, 2].contains(item)), "{words:?}");
    }
}

#[test]
fn rank_weights_are_the_published_ones() {
    assert_eq!(
        RankWeight::Log.of_draws(6170, 3)[1..],
        [6169.0_f64, 3084.0, 2056.0].map(|rank| rank.ln() as f32)
    );
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
