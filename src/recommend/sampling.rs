//! Sampling of training pairs: the draws, the test for a violation, the rank weight. One definition
//! for every device.
//!
//! # Epoch
//!
//! Interactions are numbered in CSR order (by user, then by item). Place `t` of epoch `e` holds the
//! interaction `Permutation::new(count, seed, e).at(t)`. The places are divided into batches of
//! `batch_size`. A batch has two phases:
//!
//! 1. **Sampling.** Each interaction of the batch gives one [`Sample`] from the parameters *at the
//!    start of the batch*.
//! 2. **Updates.** Each row that is hit (a user, an item, or with side features a row of those; its
//!    bias is one more component) applies its hits in the order of the places in the batch; within
//!    an interaction the positive item comes before the negative one. For each hit, with g from the
//!    parameters at the start of the batch (times the weight of the feature): `step = rate / √G;  x
//!    = x − step·(g + alpha·x);  G = G + g·g` (Adagrad; G starts at 1 and is used before g² is
//!    added), or `x = x − rate·(g + alpha·x)` (SGD). So only gradients are stale by up to a batch,
//!    never step sizes: a row that is hit a hundred times in a batch is slowed down as if hit one
//!    at a time. (Summing the gradients first cost .02 of precision@10 at batches of 4,096 on
//!    MovieLens; this costs nothing up to 8,192.)
//!
//! With `batch_size` 1 and alphas of 0 this is LightFM's serial algorithm; LightFM's L2 also decays
//! rows that were not hit.
//!
//! # Gradients
//!
//! With the user's vector p, the items' vectors q⁺ and q⁻, and c = [`Sample::step`]: q⁺ gets −c·p,
//! q⁻ gets c·p, p gets c·(q⁻ − q⁺); the bias of the positive item −c, of the negative one c. The
//! user's bias gets nothing (its derivative is 0), with `user_bias_gradient` LightFM's c. The
//! logistic loss has no negative item (q⁻ = 0) and its user bias gets −c.
//!
//! # Draws
//!
//! Draw `d` of interaction `n` in epoch `e` is word `d % 4` of `philox([d / 4, n, e, stream],
//! seed)`, mapped below a bound m by `(word · m) >> 32`. The streams are [`NEGATIVES`] and
//! `POSITIVES`.
//!
//! # Arithmetic
//!
//! A dot product uses eight SIMD lanes (component k in lane k % 8, in order of k), folded by
//! halves: `((l₀ + l₄) + (l₂ + l₆)) + ((l₁ + l₅) + (l₃ + l₇))`. *Decisions* (a violation, the k-th
//! positive) use f32 with factors truncated to 12 significant bits ([`cut`]): then every product is
//! exact, and a device with fused multiply-add gets the same bits as one without. *Values* (the
//! step of BPR and of the logistic loss, a prediction) use full-precision factors.

use crate::cpu::random::philox;
use crate::cpu::real::Real;

/// Random stream for drawing negative items.
pub const NEGATIVES: u32 = 0x6e65_6761;

/// Random stream for drawing positive items (k-OS).
pub(crate) const POSITIVES: u32 = 0x706f_7369;

/// Maximum number of positives drawn for k-OS.
pub(crate) const MOST_POSITIVES: usize = 64;

/// Marks the absence of an item.
pub const NO_ITEM: u32 = u32::MAX;

/// SIMD lanes of a dot product; rows are zero-padded to a multiple of it.
pub(crate) const LANES: usize = 8;

/// Maps `word` below `bound`, uniformly up to a bias of bound / 2³².
#[inline(always)]
pub fn below(word: u32, bound: u32) -> u32 {
    ((u64::from(word) * u64::from(bound)) >> 32) as u32
}

/// The random words of one interaction in one epoch.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    seed: [u32; 2],
    epoch: u32,
    interaction: u32,
    stream: u32,
    block: u32,
    words: [u32; 4],
}

impl Draws {
    /// The words of a stream.
    #[inline(always)]
    pub fn new(seed: u64, epoch: u32, interaction: u32, stream: u32) -> Self {
        let seed = [seed as u32, (seed >> 32) as u32];
        Draws { seed, epoch, interaction, stream, block: u32::MAX, words: [0; 4] }
    }

    /// Word number `draw`.
    #[inline(always)]
    pub fn word(&mut self, draw: u32) -> u32 {
        if self.block != draw / 4 {
            self.block = draw / 4;
            self.words = philox([self.block, self.interaction, self.epoch, self.stream], self.seed);
        }
        self.words[(draw % 4) as usize]
    }
}

/// A factor truncated to its 12 leading bits, towards zero: the product of two such numbers is
/// exact in f32.
#[inline(always)]
pub fn cut(factor: f32) -> f32 {
    f32::from_bits(factor.to_bits() & 0xffff_f000)
}

/// Σ a·b in the order defined in the module docs; the lengths are multiples of `LANES`.
#[inline(always)]
pub(crate) fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    lanes(a, b, |a, b| a * b)
}

/// Σ a·b of factors truncated to 12 bits, in f32 for every precision: used for decisions.
#[inline(always)]
pub(crate) fn decisive_dot<R: Real>(a: &[R], b: &[R]) -> f32 {
    lanes(a, b, |a, b| cut(a.to_f32()) * cut(b.to_f32()))
}

#[inline(always)]
fn lanes<A: Copy, R: Real>(a: &[A], b: &[A], product: impl Fn(A, A) -> R) -> R {
    let mut sums = [R::ZERO; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += product(a[lane], b[lane]);
        }
    }
    let half = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
    (half[0] + half[2]) + (half[1] + half[3])
}

/// WARP's cost of a rank, L(rank).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankWeight {
    /// min(ln rank, 10), as in LightFM.
    #[default]
    Log,
    /// 1 + 1/2 + … + 1/rank, as in WSABIE.
    Harmonic,
}

impl RankWeight {
    /// L(rank); L(0) = 0.
    pub fn of_rank(self, rank: u32) -> f32 {
        match self {
            _ if rank == 0 => 0.0,
            RankWeight::Log => f64::from(rank).ln().min(10.0) as f32,
            RankWeight::Harmonic => {
                (1..=rank).map(|place| 1.0 / f64::from(place)).sum::<f64>() as f32
            }
        }
    }

    /// L(max(1, ⌊(items − 1) / draws⌋)) for draws from 0 (unused: 0) to `max_sampled`: a lookup
    /// table, so that all devices use the same logarithms.
    pub fn of_draws(self, items: u32, max_sampled: u32) -> Vec<f32> {
        let estimate = |draws: u32| (items.saturating_sub(1) / draws).max(1);
        (0..=max_sampled)
            .map(|draws| if draws == 0 { 0.0 } else { self.of_rank(estimate(draws)) })
            .collect()
    }

    /// L(rank) for ranks from 0 to `items`: the table of the exact rank.
    pub fn of_ranks(self, items: u32) -> Vec<f32> {
        let mut sum = 0.0;
        (0..=items)
            .map(|rank| match self {
                RankWeight::Harmonic if rank > 0 => {
                    sum += 1.0 / f64::from(rank);
                    sum as f32
                }
                _ => self.of_rank(rank),
            })
            .collect()
    }
}

/// Training loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Draws items until one violates the margin; the rank is estimated from the number of draws.
    #[default]
    Warp,
    /// As `Warp`, for the k-th best of n drawn positives of the user.
    WarpKos,
    /// One negative, drawn by popularity; every pair counts.
    Bpr,
    /// No negatives: each interaction by its sign.
    Logistic,
}

/// Sampling rules of a device.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The loss.
    pub loss: Loss,
    /// The seed of all draws.
    pub seed: u64,
    /// Maximum draws per interaction (WARP, k-OS and BPR).
    pub max_sampled: u32,
    /// Required score margin of a positive over a negative.
    pub margin: f32,
    /// L by number of draws; with `exact_rank` by rank.
    pub rank_weights: Vec<f32>,
    /// True if the rank is counted over all items.
    pub exact_rank: bool,
    /// Rank, from 1, of the chosen positive among those drawn (k-OS).
    pub k: u32,
    /// Number of positives drawn, at most `MOST_POSITIVES` (k-OS).
    pub n: u32,
}

/// The interactions to draw from: a CSR with each row's items ascending.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Row starts of the users, and the end: `[users + 1]`.
    pub starts: &'a [u32],
    /// The items of all interactions.
    pub items: &'a [u32],
    /// The user of each interaction.
    pub users: &'a [u32],
    /// Positive if liked, negative if disliked; the magnitude is the sample weight.
    pub weights: &'a [f32],
    /// Number of items.
    pub item_count: u32,
}

impl<'a> Known<'a> {
    /// Index range of a user's interactions.
    #[inline(always)]
    pub fn row(&self, user: u32) -> std::ops::Range<usize> {
        self.starts[user as usize] as usize..self.starts[user as usize + 1] as usize
    }

    /// True if a user has an interaction with an item, liked or not: never a negative.
    #[inline(always)]
    pub fn holds(&self, user: u32, item: u32) -> bool {
        self.items[self.row(user)].binary_search(&item).is_ok()
    }
}

/// The vectors of users and items at the start of a batch. Rows are `stride` long, a multiple of
/// `LANES`, zero-padded.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a, R> {
    /// `[users, stride]`.
    pub users: &'a [R],
    /// `[users]`.
    pub user_biases: &'a [R],
    /// `[items, stride]`.
    pub items: &'a [R],
    /// `[items]`.
    pub item_biases: &'a [R],
    /// The length of a row.
    pub stride: usize,
}

impl<'a, R: Real> Vectors<'a, R> {
    /// A user's vector.
    #[inline(always)]
    pub fn user(&self, user: u32) -> &'a [R] {
        &self.users[user as usize * self.stride..][..self.stride]
    }

    /// An item's vector.
    #[inline(always)]
    pub fn item(&self, item: u32) -> &'a [R] {
        &self.items[item as usize * self.stride..][..self.stride]
    }

    /// An item's score for decisions: the truncated dot product plus the item's bias. The user's
    /// bias cancels and is omitted.
    #[inline(always)]
    pub fn decisive(&self, user: &[R], item: u32) -> f32 {
        decisive_dot(user, self.item(item)) + self.item_biases[item as usize].to_f32()
    }

    /// The score without the user's bias.
    #[inline(always)]
    pub fn score(&self, user: &[R], item: u32) -> R {
        dot(user, self.item(item)) + self.item_biases[item as usize]
    }
}

/// The training sample of an interaction; see the module docs for its gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<R> {
    /// The positive item.
    pub positive: u32,
    /// The negative item, or [`NO_ITEM`].
    pub negative: u32,
    /// Number of negatives drawn.
    pub draws: u32,
    /// c: the weight of the pair times that of the sample. 0: no update.
    pub step: R,
    /// The loss, times the sample weight.
    pub loss: R,
}

impl<R: Real> Sample<R> {
    /// A sample without an update.
    #[inline(always)]
    fn none(positive: u32, draws: u32) -> Self {
        Sample { positive, negative: NO_ITEM, draws, step: R::ZERO, loss: R::ZERO }
    }
}

/// The sample of one interaction.
#[inline(always)]
pub fn sample<R: Real>(
    rules: &Rules,
    known: &Known,
    vectors: &Vectors<R>,
    epoch: u32,
    interaction: u32,
) -> Sample<R> {
    let weight = known.weights[interaction as usize];
    let (user, item) = (known.users[interaction as usize], known.items[interaction as usize]);
    if rules.loss == Loss::Logistic {
        return logistic(vectors, user, item, weight);
    }
    if weight <= 0.0 {
        // Disliked: not a positive, and never drawn as a negative.
        return Sample::none(item, 0);
    }
    let weight = R::from_f32(weight);
    let mut draws = Draws::new(rules.seed, epoch, interaction, NEGATIVES);
    match rules.loss {
        Loss::Bpr => bpr(rules, known, vectors, &mut draws, Positive { user, item, weight }),
        Loss::WarpKos => match kth_positive(rules, known, vectors, epoch, interaction) {
            Some(positive) => {
                warp(rules, known, vectors, &mut draws, Positive { user, item: positive, weight })
            }
            None => Sample::none(item, 0),
        },
        _ => warp(rules, known, vectors, &mut draws, Positive { user, item, weight }),
    }
}

/// A user's interaction with an item that the user likes.
#[derive(Clone, Copy)]
struct Positive<R> {
    user: u32,
    item: u32,
    weight: R,
}

/// The first draw that scores above the positive minus the margin and is unknown to the user. A
/// draw of a known item still counts as a draw.
#[inline(always)]
fn warp<R: Real>(
    rules: &Rules,
    known: &Known,
    vectors: &Vectors<R>,
    words: &mut Draws,
    interaction: Positive<R>,
) -> Sample<R> {
    let Positive { user, item: positive, weight } = interaction;
    let row = vectors.user(user);
    let bar = vectors.decisive(row, positive) - rules.margin;
    let violated = |negative: u32, score: f32, draws: u32, rank: u32| {
        let step = weight * R::from_f32(rules.rank_weights[rank as usize]);
        Sample { positive, negative, draws, step, loss: step * R::from_f32(score - bar) }
    };
    if rules.exact_rank {
        return match exact_violator(known, vectors, row, user, bar, words) {
            Some((negative, score, rank)) => violated(negative, score, known.item_count, rank),
            None => Sample::none(positive, known.item_count),
        };
    }
    for draw in 0..rules.max_sampled {
        let candidate = below(words.word(draw), known.item_count);
        let score = vectors.decisive(row, candidate);
        if score > bar && !known.holds(user, candidate) {
            return violated(candidate, score, draw + 1, draw + 1);
        }
    }
    Sample::none(positive, rules.max_sampled)
}

/// Scores all items: the rank is the number of violators, and word 0 selects one of them in the
/// order of items.
#[inline(always)]
fn exact_violator<R: Real>(
    known: &Known,
    vectors: &Vectors<R>,
    row: &[R],
    user: u32,
    bar: f32,
    words: &mut Draws,
) -> Option<(u32, f32, u32)> {
    let violators = || {
        (0..known.item_count).filter_map(|item| {
            let score = vectors.decisive(row, item);
            (score > bar && !known.holds(user, item)).then_some((item, score))
        })
    };
    let rank = violators().count() as u32;
    let chosen = below(words.word(0), rank);
    violators().nth(chosen as usize).map(|(item, score)| (item, score, rank))
}

/// The k-th best of the liked items among min(n, known) draws from a user's interactions, with
/// replacement (the last, if there are fewer). Ties go to the earlier draw. `None` if no draw is
/// liked.
#[inline(always)]
fn kth_positive<R: Real>(
    rules: &Rules,
    known: &Known,
    vectors: &Vectors<R>,
    epoch: u32,
    interaction: u32,
) -> Option<u32> {
    let user = known.users[interaction as usize];
    let (row, vector) = (known.row(user), vectors.user(user));
    let mut words = Draws::new(rules.seed, epoch, interaction, POSITIVES);
    let (mut drawn, mut count) = ([(0.0, 0); MOST_POSITIVES], 0);
    for draw in 0..rules.n.min(row.len() as u32).min(MOST_POSITIVES as u32) {
        let place = row.start + below(words.word(draw), row.len() as u32) as usize;
        if known.weights[place] > 0.0 {
            drawn[count] = (vectors.decisive(vector, known.items[place]), known.items[place]);
            count += 1;
        }
    }
    let drawn = &drawn[..count];
    let better =
        |a: usize, b: usize| drawn[a].0 > drawn[b].0 || (drawn[a].0 == drawn[b].0 && a < b);
    let place = |draw: usize| (0..count).filter(|&other| better(other, draw)).count();
    let wanted = (rules.k as usize).min(count).wrapping_sub(1);
    (0..count).find(|&draw| place(draw) == wanted).map(|draw| drawn[draw].1)
}

/// The item of the first of `max_sampled` random interactions that is unknown to the user; c =
/// σ(−(s⁺ − s⁻)).
#[inline(always)]
fn bpr<R: Real>(
    rules: &Rules,
    known: &Known,
    vectors: &Vectors<R>,
    words: &mut Draws,
    interaction: Positive<R>,
) -> Sample<R> {
    let Positive { user, item: positive, weight } = interaction;
    let count = known.items.len() as u32;
    for draw in 0..rules.max_sampled {
        let negative = known.items[below(words.word(draw), count) as usize];
        if !known.holds(user, negative) {
            let row = vectors.user(user);
            let difference = vectors.score(row, positive) - vectors.score(row, negative);
            let (step, loss) =
                (weight * (-difference).sigmoid(), weight * (-difference).softplus());
            return Sample { positive, negative, draws: draw + 1, step, loss };
        }
    }
    Sample::none(positive, rules.max_sampled)
}

/// c = y − σ(s) with y = 1 for liked, 0 for disliked, and s with both biases: (dot + item bias) +
/// user bias.
#[inline(always)]
fn logistic<R: Real>(vectors: &Vectors<R>, user: u32, item: u32, weight: f32) -> Sample<R> {
    let score = vectors.score(vectors.user(user), item) + vectors.user_biases[user as usize];
    // 1 − σ(s) = σ(−s): one formula for both signs.
    let against = if weight > 0.0 { -score } else { score };
    let (step, size) = (R::from_f32(weight) * against.sigmoid(), R::from_f32(weight.abs()));
    Sample { positive: item, negative: NO_ITEM, draws: 0, step, loss: size * against.softplus() }
}
