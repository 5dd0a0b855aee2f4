//! Targets of a masked language model.

use ndarray::{Array2, ArrayView2};

use crate::cpu::random::philox;
use crate::{Error, Result};

/// Label of a token that is no target: ignored by the losses of labels.
const IGNORED: i64 = -100;

/// The third word of the counter, which keeps these numbers apart from those of shuffles.
const STREAM: u32 = 0x4d4c_4d00;

/// Its name in messages.
const NAME: &str = "masked tokens";

/// Inputs and targets of a masked language model, from rows of token ids: some tokens are chosen
/// as targets and most of them are hidden, and the model is to find them from both sides.
///
/// Each token is chosen with probability `share`, independently of the others. Of the chosen ones
/// 80 % become the mask id, 10 % a random id and 10 % stay as they are: a model must not rely on
/// what it sees at any place. The label of a chosen token is its own id; all others have −100, which
/// [`crate::losses::CrossEntropy`] ignores, so that the mean is over the chosen ones. Special ids
/// (padding, `[CLS]`, `[SEP]`) and the mask id are neither chosen nor drawn.
///
/// The result depends on the seed and the place of a token alone: rows have the same masks whatever
/// rows follow. Draw anew for each epoch with another seed (dynamic masking).
///
/// Source: J. Devlin et al., *BERT: pre-training of deep bidirectional transformers for language
/// understanding* (2018), section 3.1. Hugging Face: `DataCollatorForLanguageModeling`, whose random
/// ids are of the whole vocabulary; BERT's own program chooses the same number in each row.
///
/// ```
/// use gradus::data::text::MaskedTokens;
/// use gradus::losses::CrossEntropy;
/// use gradus::optimizers::AdamW;
/// use gradus::{Dense, Device, Fit, zoo::Bert};
/// use ndarray::Array2;
///
/// // Ids 0 and 1 are padding and the mask; a row counts up from where it begins.
/// let rows = Array2::from_shape_fn((64, 8), |(row, token)| (2 + (row + token) % 10) as f32);
/// let masked = MaskedTokens::new(1, 12).special(&[0]);
/// let mut model = Bert::new(12, 8)
///     .layers(1)
///     .heads(2)
///     .width(16)
///     .hidden(32)
///     .build()
///     .named("head", Dense::new(12))
///     .on(&Device::cpu())?
///     .compile(CrossEntropy::new(), AdamW::new().learning_rate(1e-2))?;
/// let mut losses = Vec::new();
/// for epoch in 0..8 {
///     let (x, y) = masked.rows(&rows, epoch)?;
///     losses.push(model.fit(&x, &y, Fit::new().batch_size(16))?.epochs[0].loss);
/// }
/// assert!(losses[7] < losses[0], "{losses:?}");
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedTokens {
    mask: i64,
    vocabulary: usize,
    share: f64,
    masked: f64,
    random: f64,
    special: Vec<i64>,
}

impl MaskedTokens {
    /// BERT's shares, for ids from 0 to `vocabulary` − 1, of which `mask` stands for a hidden token.
    pub fn new(mask: i64, vocabulary: usize) -> Self {
        MaskedTokens {
            mask,
            vocabulary,
            share: 0.15,
            masked: 0.8,
            random: 0.1,
            special: Vec::new(),
        }
    }

    /// Probability that a token is chosen, in (0, 1] (default 0.15).
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Of the chosen tokens, the fraction that becomes the mask id and the one that becomes a random
    /// id (default 0.8 and 0.1); the rest stays as it is. In [0, 1], together at most 1.
    pub fn replaced(mut self, masked: f64, random: f64) -> Self {
        (self.masked, self.random) = (masked, random);
        self
    }

    /// Ids that are never chosen and never drawn (default none): padding, beginnings and ends.
    pub fn special(mut self, ids: &[i64]) -> Self {
        self.special = ids.to_vec();
        self
    }

    /// Inputs and labels of rows of ids [rows, tokens]; both have that shape. The same seed gives
    /// the same result.
    ///
    /// # Errors
    /// [`Error::Option`] for a share outside its domain, a mask or special id outside the
    /// vocabulary, and if no id is left to be drawn; [`Error::Input`] for an id outside the
    /// vocabulary or one that is no whole number, with its place.
    pub fn rows(&self, ids: &Array2<f32>, seed: u64) -> Result<(Array2<f32>, Array2<i64>)> {
        let drawn = self.ordinary_ids()?;
        self.check_ids(ids.view())?;
        let key = [seed as u32, (seed >> 32) as u32];
        let (mut inputs, mut labels) = (ids.clone(), Array2::from_elem(ids.dim(), IGNORED));
        for (((row, token), input), label) in inputs.indexed_iter_mut().zip(labels.iter_mut()) {
            let id = *input as i64;
            if id == self.mask || self.special.contains(&id) {
                continue;
            }
            let [low, high] = [row as u32, (row as u64 >> 32) as u32];
            let [choice, kind, which, _] = philox([low, token as u32, STREAM, high], key);
            if unit(choice) >= self.share {
                continue;
            }
            *label = id;
            if unit(kind) < self.masked {
                *input = self.mask as f32;
            } else if unit(kind) < self.masked + self.random {
                // Of 2³² words each id gets the same number, or one more.
                let place = (u64::from(which) * drawn.len() as u64) >> 32;
                *input = drawn[place as usize] as f32;
            }
        }
        Ok((inputs, labels))
    }

    /// The ids that may be drawn, in order.
    fn ordinary_ids(&self) -> Result<Vec<i64>> {
        let refused = |name: &str, found: String, allowed: &str| {
            Err(Error::option(NAME, name, found, allowed))
        };
        if !(self.share > 0.0 && self.share <= 1.0) {
            return refused("share", self.share.to_string(), "> 0 and <= 1");
        }
        let (masked, random) = (self.masked, self.random);
        // 0.9 + 0.1 may be above 1 by its rounding.
        let is_share = masked >= 0.0 && random >= 0.0 && masked + random <= 1.0 + f64::EPSILON;
        if !is_share {
            let allowed = "two fractions >= 0, together at most 1";
            return refused("replaced", format!("({masked}, {random})"), allowed);
        }
        let in_vocabulary = |id: i64| usize::try_from(id).is_ok_and(|id| id < self.vocabulary);
        let below = format!("ids from 0 to {}", self.vocabulary.saturating_sub(1));
        if !in_vocabulary(self.mask) {
            return refused("mask", self.mask.to_string(), &below);
        }
        if let Some(id) = self.special.iter().find(|id| !in_vocabulary(**id)) {
            return refused("special", id.to_string(), &below);
        }
        let is_ordinary = |id: &i64| *id != self.mask && !self.special.contains(id);
        let drawn: Vec<i64> = (0..self.vocabulary as i64).filter(is_ordinary).collect();
        if drawn.is_empty() {
            let allowed = "such that an id is left beside them and the mask";
            return refused("special", format!("{:?}", self.special), allowed);
        }
        Ok(drawn)
    }

    fn check_ids(&self, ids: ArrayView2<f32>) -> Result<()> {
        let most = self.vocabulary as f32;
        let is_id = |id: f32| id >= 0.0 && id < most && id.fract() == 0.0;
        match ids.indexed_iter().find(|(_, id)| !is_id(**id)) {
            None => Ok(()),
            Some(((row, token), id)) => Err(Error::Input {
                operation: NAME.into(),
                name: "the ids".into(),
                found: format!("have {id} at row {row}, token {token}"),
                allowed: format!("whole numbers from 0 to {}", self.vocabulary - 1),
            }),
        }
    }
}

/// A word as a number in [0, 1).
fn unit(word: u32) -> f64 {
    f64::from(word) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: usize = 100;
    const MASK: i64 = 3;

    /// Ids 4 to 99, with 0 behind them and 1 in front.
    fn ids() -> Array2<f32> {
        Array2::from_shape_fn((2000, 50), |(row, token)| match token {
            0 => 1.0,
            45.. => 0.0,
            _ => (4 + (7 * row + 13 * token) % 96) as f32,
        })
    }

    fn masked() -> MaskedTokens {
        MaskedTokens::new(MASK, VOCABULARY).special(&[0, 1, 2])
    }

    /// True if a count of `trials` events of probability `p` is within six standard deviations of
    /// its mean, √(n p (1 − p)) each: a right program is outside once in 5·10⁸ seeds.
    fn is_binomial(count: usize, trials: usize, p: f64) -> bool {
        let (n, count) = (trials as f64, count as f64);
        (count - n * p).abs() <= 6.0 * (n * p * (1.0 - p)).sqrt()
    }

    #[test]
    fn the_shares_are_those_of_bert() {
        let (ids, trials) = (ids(), 2000 * 44);
        for (masked, [share, hidden, random]) in [
            (masked(), [0.15, 0.8, 0.1]),
            (masked().share(0.4).replaced(0.5, 0.3), [0.4, 0.5, 0.3]),
        ] {
            let (x, y) = masked.rows(&ids, 11).unwrap();
            let (mut chosen, mut as_mask, mut kept) = (0, 0, 0);
            let mut drawn = vec![0; VOCABULARY];
            for ((id, input), label) in ids.iter().zip(&x).zip(&y) {
                if *label == IGNORED {
                    assert_eq!(id, input, "a token that is no target was changed");
                    continue;
                }
                assert_eq!(*label as f32, *id, "the label is the token itself");
                assert!(*label > MASK, "special ids are never chosen");
                chosen += 1;
                match *input {
                    input if input == MASK as f32 => as_mask += 1,
                    input if input == *id => kept += 1,
                    input => drawn[input as usize] += 1,
                }
            }
            assert!(is_binomial(chosen, trials, share), "{chosen} of {trials}");
            assert!(is_binomial(as_mask, chosen, hidden), "{as_mask} of {chosen}");
            // One in 96 random ids is the token's own.
            let stays = 1.0 - hidden - random + random / 96.0;
            assert!(is_binomial(kept, chosen, stays), "{kept} of {chosen}");
            assert_eq!(drawn[..4], [0; 4], "special ids and the mask are never drawn");
            let all: usize = drawn.iter().sum();
            assert!(
                drawn[4..].iter().all(|&count| is_binomial(count, all, 1.0 / 96.0)),
                "{drawn:?}"
            );
        }
    }

    #[test]
    fn a_seed_and_a_place_decide() {
        let (ids, masked) = (ids(), masked());
        let all = masked.rows(&ids, 5).unwrap();
        assert_eq!(all, masked.rows(&ids, 5).unwrap());
        assert_ne!(all, masked.rows(&ids, 6).unwrap());
        assert_ne!(all, masked.rows(&ids, 5 << 32).unwrap());
        let first = ids.slice(ndarray::s![..7, ..]).to_owned();
        let (x, y) = masked.rows(&first, 5).unwrap();
        assert_eq!(x, all.0.slice(ndarray::s![..7, ..]));
        assert_eq!(y, all.1.slice(ndarray::s![..7, ..]));
        // All tokens, and always the mask.
        let (x, y) = masked.share(1.0).replaced(1.0, 0.0).rows(&first, 5).unwrap();
        assert!(x.iter().all(|id| [0.0, 1.0, MASK as f32].contains(id)));
        assert_eq!(y.iter().filter(|label| **label != IGNORED).count(), 7 * 44);
        // Or never: the targets are what stands there.
        let (x, y) = self::masked().share(1.0).replaced(0.0, 0.0).rows(&first, 5).unwrap();
        assert!(x == first && y.iter().filter(|label| **label != IGNORED).count() == 7 * 44);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let ids = ndarray::array![[5.0, 4.0]];
        for (masked, part) in [
            (masked().share(0.0), "share is 0"),
            (masked().share(1.1), "share is 1.1"),
            (masked().share(f64::NAN), "share is NaN"),
            (masked().replaced(0.8, 0.3), "(0.8, 0.3)"),
            (masked().replaced(f64::NAN, 0.1), "(NaN, 0.1)"),
            (masked().replaced(0.5, -0.1), "(0.5, -0.1)"),
            (MaskedTokens::new(100, 100), "mask is 100"),
            (MaskedTokens::new(-1, 100), "mask is -1"),
            (MaskedTokens::new(0, 0), "mask is 0"),
            (masked().special(&[100]), "special is 100"),
            (MaskedTokens::new(0, 2).special(&[1]), "an id is left"),
        ] {
            let message = masked.rows(&ids, 1).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for wrong in [f32::NAN, -1.0, 100.0, 4.5, f32::INFINITY] {
            let message = masked().rows(&ndarray::array![[5.0, wrong]], 1).unwrap_err().to_string();
            assert!(message.contains("row 0, token 1"), "{message}");
        }
        assert!(masked().replaced(0.9, 0.1).rows(&ids, 1).is_ok());
        assert_eq!(masked().rows(&Array2::zeros((0, 3)), 1).unwrap().0.dim(), (0, 3));
    }

    #[test]
    fn a_mask_in_the_text_is_no_target() {
        let masked =
            Array2::from_shape_fn((50, 8), |(_, token)| if token == 2 { MASK as f32 } else { 7.0 });
        let all = MaskedTokens::new(MASK, VOCABULARY).share(1.0);
        let (_, labels) = all.rows(&masked, 1).unwrap();
        for ((_, token), label) in labels.indexed_iter() {
            assert_eq!(*label, if token == 2 { IGNORED } else { 7 });
        }
    }
}
