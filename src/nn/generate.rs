//! Generation: a next-token model writes ids, one after the other.

use std::any::Any;

use ndarray::Array2;

use crate::cpu::random::Random;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::model::Model;
use crate::nn::ops::attention::Attention;
use crate::{Error, Result};

/// Its name in messages.
const NAME: &str = "generate";

/// Stream of the noise, apart from the streams of initial weights.
const NOISE_STREAM: u64 = 1 << 33;

/// Options of [`Model::generate`].
///
/// ```
/// use gradus::{Device, Generate, zoo::Gpt};
///
/// let mut model = Gpt::new(5, 8).layers(1).heads(1).width(8).build().on(&Device::cpu())?;
/// let options = Generate::new().tokens(12).temperature(0.8).top_k(3).seed(1);
/// let ids = model.generate(&[0, 1], &options)?;
/// assert_eq!(ids.len(), 12);
/// assert_eq!(ids, model.generate(&[0, 1], &options)?);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generate {
    tokens: usize,
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    seed: u64,
}

impl Default for Generate {
    fn default() -> Self {
        Generate::new()
    }
}

impl Generate {
    /// 100 tokens at temperature 1, drawn from the whole vocabulary, with seed 7.
    pub fn new() -> Self {
        Generate { tokens: 100, temperature: 1.0, top_k: None, top_p: None, seed: 7 }
    }

    /// Number of tokens to write (default 100).
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = tokens;
        self
    }

    /// Divisor τ of the logits, ≥ 0 (default 1). Below 1 likely tokens become likelier; at 0 the
    /// most likely token is always taken, the first one of equals.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Draws from the k most likely tokens alone, k ≥ 1 (default: from all). Tokens as likely as
    /// the k-th count among them.
    pub fn top_k(mut self, tokens: usize) -> Self {
        self.top_k = Some(tokens);
        self
    }

    /// Draws from the fewest most likely tokens whose probabilities sum up to `share` of 1 at least
    /// (nucleus sampling), 0 < share ≤ 1 (default: from all); with [`Generate::top_k`] from the
    /// fewest of those. Tokens as likely as the last one count among them.
    ///
    /// Source: A. Holtzman et al., *The curious case of neural text degeneration* (2020).
    pub fn top_p(mut self, share: f64) -> Self {
        self.top_p = Some(share);
        self
    }

    /// Seed of the drawing (default 7): the same seed, model and device give the same tokens.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn check(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::option(NAME, "temperature", self.temperature, "finite and >= 0"));
        }
        if self.top_k == Some(0) {
            return Err(Error::option(NAME, "top_k", 0, "at least 1"));
        }
        match self.top_p {
            Some(share) if !(share > 0.0 && share <= 1.0) => {
                Err(Error::option(NAME, "top_p", share, "above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    /// The lowest logit to draw from; `None`: from all.
    fn least(&self, logits: &[f32]) -> Option<f32> {
        if self.top_k.is_none_or(|count| count >= logits.len()) && self.top_p.is_none() {
            return None;
        }
        let mut sorted = logits.to_vec();
        sorted.sort_unstable_by(|one, other| other.total_cmp(one));
        let count = self.top_k.unwrap_or(sorted.len()).clamp(1, sorted.len().max(1));
        let (&highest, mut least) = (sorted.first()?, *sorted.get(count - 1)?);
        if let Some(share) = self.top_p {
            let of_top = sorted.iter().take_while(|&&logit| logit >= least);
            // Equal ones have no difference to divide by a temperature of 0.
            let weight = |&logit: &f32| match logit == highest {
                true => 1.0,
                false => ((f64::from(logit) - f64::from(highest)) / self.temperature).exp(),
            };
            let weights: Vec<f64> = of_top.map(weight).collect();
            let (total, mut sum) = (weights.iter().sum::<f64>(), 0.0);
            let reached = weights.iter().position(|weight| {
                sum += weight;
                sum >= share * total
            });
            least = sorted[reached.unwrap_or(count - 1)];
        }
        Some(least)
    }

    /// The next token: argmax(logits / τ + g) with Gumbel noise g is a draw from
    /// softmax(logits / τ).
    fn next(&self, logits: &[f32], random: &mut Random) -> usize {
        let least = self.least(logits);
        let (mut best, mut highest) = (0, f64::NEG_INFINITY);
        for (token, &logit) in logits.iter().enumerate() {
            // Every token takes its noise, so that a draw does not depend on top_k
            // or top_p.
            // Below this a quotient may be infinite, and several would be equal.
            let score = if self.temperature < 1e-30 {
                f64::from(logit)
            } else {
                f64::from(logit) / self.temperature + gumbel(random)
            };
            if score > highest && least.is_none_or(|least| logit >= least) {
                (best, highest) = (token, score);
            }
        }
        best
    }
}

/// −ln(−ln u), with u in (0, 1).
fn gumbel(random: &mut Random) -> f64 {
    let u = random.uniform().max(f64::MIN_POSITIVE);
    -(-u.ln()).ln()
}

/// The sequence length and the vocabulary of a next-token model; else what is in the way.
fn next_token(graph: &Graph) -> std::result::Result<[usize; 2], String> {
    let (input, output) = (graph.shape(Value(0)), graph.shape(graph.last()));
    let Some(ids) = graph.ids_below() else {
        return Err(format!("takes numbers of shape {input:?} and no ids"));
    };
    let (&[tokens], &[rows, vocabulary]) = (&input[..], &output[..]) else {
        return Err(format!("maps {input:?} to {output:?}"));
    };
    if (rows, vocabulary) != (tokens, ids) {
        return Err(format!("maps {input:?}, ids below {ids}, to {output:?}"));
    }
    let looks_ahead = |op: &dyn Any| op.downcast_ref::<Attention>().is_some_and(|op| !op.causal);
    let has_lengths =
        |op: &dyn Any| op.downcast_ref::<Attention>().is_some_and(|op| op.has_lengths);
    if let Some(node) = graph.nodes.iter().find(|node| has_lengths(&*node.op)) {
        return Err(format!("masks padding in `{}`, which a prompt is padded with", node.path));
    }
    match graph.nodes.iter().find(|node| looks_ahead(&*node.op)) {
        Some(node) => Err(format!("attends to later tokens in `{}`", node.path)),
        None => Ok([tokens, vocabulary]),
    }
}

impl Model {
    /// The number of tokens that a next-token model sees at once; `None` for another model.
    pub fn context(&self) -> Option<usize> {
        next_token(&self.graph).ok().map(|[tokens, _]| tokens)
    }

    /// The ids that follow a prompt, drawn one by one from the probabilities of a next-token model:
    /// ids `[T]` in, logits [T, vocabulary] out, no attention to later tokens
    /// ([`crate::zoo::Gpt`]). The prompt may be longer than T: the model sees the last T tokens.
    ///
    /// The prompt is one pass, and each token then a pass over this token alone: attention keeps
    /// the keys and values of earlier tokens, until the end of this call. Three cases run all T
    /// tokens again for each new one: text longer than T, whose window moves, so that each token
    /// has another position; a model with a layer that has no pass over one token, as batch norm;
    /// on a GPU, keys and values over the binding limit. A window shorter than T is padded behind,
    /// where causal attention does not look.
    ///
    /// # Errors
    /// [`Error::Input`] for a model of another shape, an empty prompt, and ids outside of the
    /// vocabulary; [`Error::Option`] for a temperature below 0, a top_k of 0 and a top_p outside of
    /// (0, 1]; [`Error::NonFinite`] if the model's logits are NaN; device errors.
    pub fn generate(&mut self, prompt: &[i64], options: &Generate) -> Result<Vec<i64>> {
        options.check()?;
        let refused = |name: &str, found: String, allowed: String| {
            Err(Error::Input { operation: NAME.into(), name: name.into(), found, allowed })
        };
        let [tokens, vocabulary] = match next_token(&self.graph) {
            Ok(sizes) => sizes,
            Err(found) => {
                let allowed = "a causal model of tokens is needed: ids [T] in, logits \
                               [T, vocabulary] out";
                return refused("the model", found, allowed.into());
            }
        };
        if prompt.is_empty() {
            return refused("the prompt", "is empty".into(), "it needs a token at least".into());
        }
        let is_known = |id: i64| usize::try_from(id).is_ok_and(|id| id < vocabulary);
        if let Some(place) = prompt.iter().position(|&id| !is_known(id)) {
            let found = format!("has the id {} at position {place}", prompt[place]);
            return refused("the prompt", found, format!("ids are 0 to {}", vocabulary - 1));
        }
        let next = NextToken { tokens, vocabulary, kept: Some(0) };
        self.write(prompt, options, next)
    }

    /// Draws the tokens behind a checked prompt.
    fn write(
        &mut self,
        prompt: &[i64],
        options: &Generate,
        mut next: NextToken,
    ) -> Result<Vec<i64>> {
        let (mut all, mut random) = (prompt.to_vec(), Random::new(options.seed, NOISE_STREAM));
        for _ in 0..options.tokens {
            let logits = next.logits(self, &all)?;
            if let Some(token) = logits.iter().position(|logit| logit.is_nan()) {
                return Err(Error::NonFinite {
                    operation: NAME.into(),
                    name: "the logits".into(),
                    found: "NaN".into(),
                    position: format!(
                        "token {token} of position {}",
                        all.len().min(next.tokens) - 1
                    ),
                    count: logits.iter().filter(|logit| logit.is_nan()).count(),
                });
            }
            all.push(options.next(&logits, &mut random) as i64);
        }
        Ok(all.split_off(prompt.len()))
    }
}

/// How the logits of the next token are found.
#[derive(Clone, Copy, Debug)]
struct NextToken {
    /// The context.
    tokens: usize,
    vocabulary: usize,
    /// Tokens that the model has read and keeps; `None`: it runs over the whole window each time.
    kept: Option<usize>,
}

impl NextToken {
    /// The logits behind all tokens so far.
    fn logits(&mut self, model: &mut Model, all: &[i64]) -> Result<Vec<f32>> {
        // Behind the context the window moves, and with it the place of each token.
        if let Some(kept) = self.kept.take_if(|_| all.len() <= self.tokens) {
            let ids: Vec<i32> = all[kept..].iter().map(|&id| id as i32).collect();
            if let Some(logits) = model.engine.decode(&ids, kept)? {
                self.kept = Some(all.len());
                return Ok(logits.into_iter().map(|logit| logit as f32).collect());
            }
        }
        self.kept = None;
        let window = &all[all.len().saturating_sub(self.tokens)..];
        let mut row = Array2::<f32>::zeros((1, self.tokens));
        row.iter_mut().zip(window).for_each(|(place, &id)| *place = id as f32);
        let outputs = model.predict(&row)?;
        let last = (window.len() - 1) * self.vocabulary;
        Ok(outputs.iter().skip(last).take(self.vocabulary).copied().collect())
    }
}

#[cfg(test)]
mod tests;
