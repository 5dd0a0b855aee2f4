//! Reproducible randomness by counting: the twin of `shaders/lib/random.wgsl`, to be read beside it.
//!
//! There is no state to hand around: a random word is a function of a counter and a key, so the CPU and any GPU make the same
//! bits in any order. [`philox`] is that function, [`Random`] a stream of it for the host, [`Permutation`] a shuffle that is
//! computed index by index and never stored.
//!
//! Philox4x32-10 is from J. Salmon, M. Moraes, R. Dror and D. Shaw, *Parallel random numbers: as easy as 1, 2, 3* (2011).

use std::f64::consts::TAU;

/// Four random words for each counter and key: Philox4x32-10.
///
/// ```
/// let words = gradus::random::philox([0; 4], [0; 2]);
/// assert_eq!(words, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter;
    let mut round_key = key;
    for _ in 0..10 {
        let left = u64::from(words[0]) * 0xd251_1f53;
        let right = u64::from(words[2]) * 0xcd9e_8d57;
        words = [
            (right >> 32) as u32 ^ words[1] ^ round_key[0],
            right as u32,
            (left >> 32) as u32 ^ words[3] ^ round_key[1],
            left as u32,
        ];
        round_key =
            [round_key[0].wrapping_add(0x9e37_79b9), round_key[1].wrapping_add(0xbb67_ae85)];
    }
    words
}

/// The low and the high half.
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// A stream of random numbers on the host, named by a seed and a stream number.
///
/// Streams of one seed never overlap: word number `i` is word `i % 4` of `philox([i / 4, stream], seed)`.
///
/// ```
/// use gradus::random::Random;
///
/// let mut random = Random::new(7, 0);
/// assert_eq!(random.next_u32(), Random::new(7, 0).next_u32());
/// assert!((0.0..1.0).contains(&random.uniform()));
/// ```
#[derive(Debug, Clone)]
pub struct Random {
    key: [u32; 2],
    stream: [u32; 2],
    block: u64,
    words: [u32; 4],
    /// How many of `words` have been given out.
    given: usize,
    /// The second normal number of a pair, not yet given out.
    spare: Option<f64>,
}

impl Random {
    /// The stream from its beginning.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random {
            key: halves(seed),
            stream: halves(stream),
            block: 0,
            words: [0; 4],
            given: 4,
            spare: None,
        }
    }

    /// The next word, uniform over all `u32`.
    pub fn next_u32(&mut self) -> u32 {
        if self.given == 4 {
            let [low, high] = halves(self.block);
            self.words = philox([low, high, self.stream[0], self.stream[1]], self.key);
            self.block = self.block.wrapping_add(1);
            self.given = 0;
        }
        self.given += 1;
        self.words[self.given - 1]
    }

    /// The next number, uniform in [0, 1): a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        let low = u64::from(self.next_u32());
        let high = u64::from(self.next_u32());
        ((high << 32 | low) >> 11) as f64 * (0.5f64).powi(53)
    }

    /// The next number of the standard normal distribution.
    ///
    /// G. Box and M. Muller, *A note on the generation of random normal deviates* (1958): √(−2 ln u)·cos 2πv and √(−2 ln u)·sin 2πv.
    pub fn normal(&mut self) -> f64 {
        if let Some(second) = self.spare.take() {
            return second;
        }
        // 1 − u lies in (0, 1]: the logarithm of 0 cannot occur.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// Each bit of the result depends on each bit of `value` (the finaliser of MurmurHash3, by A. Appleby, public domain).
fn mix_bits(value: u32) -> u32 {
    let mut bits = value;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

/// A shuffle of `0..length` that is computed index by index: a bijection chosen by a seed and an epoch.
///
/// A Feistel network of eight rounds permutes the next even power of two, 256 at least; a place outside `0..length` is sent
/// through again until it falls inside ("cycle walking", J. Black and P. Rogaway, *Ciphers with arbitrary finite domains*,
/// 2002), at most four times on average if `length > 64`. Nothing is stored, so a GPU gathers a shuffled batch from 8 words.
///
/// ```
/// use gradus::random::Permutation;
///
/// let order = Permutation::new(5, 7, 0);
/// let mut places: Vec<u32> = (0..5).map(|index| order.at(index)).collect();
/// places.sort();
/// assert_eq!(places, [0, 1, 2, 3, 4]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permutation {
    length: u32,
    keys: [u32; 8],
}

impl Permutation {
    /// Marks the counters that make keys, so that none is also a counter of a [`Random`] (whose blocks stay far below 2⁶²).
    const DOMAIN: u32 = 0x7065_726d;

    /// The shuffle of `0..length` for this seed and epoch.
    pub fn new(length: u32, seed: u64, epoch: u32) -> Self {
        let first = philox([0, Self::DOMAIN, epoch, 0], halves(seed));
        let last = philox([1, Self::DOMAIN, epoch, 0], halves(seed));
        let mut keys = [0; 8];
        keys[..4].copy_from_slice(&first);
        keys[4..].copy_from_slice(&last);
        Permutation { length, keys }
    }

    /// How many indices are shuffled.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// What the shader's `permuted` takes, as two `vec4<u32>`.
    pub fn keys(&self) -> [u32; 8] {
        self.keys
    }

    /// The place that the shuffle gives to `index`. An index outside counts modulo the length; of no places the answer is 0.
    pub fn at(&self, index: u32) -> u32 {
        // Without this a length of 0 would walk for ever.
        if self.length < 2 {
            return 0;
        }
        // Four bits at least: with halves of two, eight rounds did not reach all orders of five indices alike often.
        let half_bits = ((33 - (self.length - 1).leading_zeros()) / 2).max(4);
        let mask = (1u32 << half_bits) - 1;
        // An index outside is folded in: started outside, a walk might never come to a place inside.
        let mut place = index % self.length;
        loop {
            let (mut left, mut right) = (place >> half_bits, place & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix_bits(right.wrapping_add(key)) & mask));
            }
            place = (left << half_bits) | right;
            if place < self.length {
                return place;
            }
        }
    }
}
