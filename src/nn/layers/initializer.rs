//! Initializers of layer weights: random numbers whose variance keeps the scale of signals from
//! layer to layer.
//!
//! They are drawn on the host, in f64, from a seed, and rounded to f32 once, so a model begins with
//! the same bits on every device.

use serde::{Deserialize, Serialize};

use crate::cpu::random::Random;

/// Initial distribution of a dense layer's weight matrix. Biases begin at zero.
///
/// With m inputs and n outputs; U is uniform, N normal with mean 0 and the given standard
/// deviation:
///
/// | | drawn from | variance | fits | Keras | PyTorch (`torch.nn.init`) |
/// |---|---|---|---|---|---|
/// | `GlorotUniform` | U(−a, a), a = √(6 / (m + n)) | 2 / (m + n) | tanh, sigmoid, softmax; the default, as in Keras | `glorot_uniform` | `xavier_uniform_` |
/// | `GlorotNormal` | N(√(2 / (m + n))) | 2 / (m + n) | the same | `glorot_normal`, but truncated at two deviations | `xavier_normal_` |
/// | `HeUniform` | U(−a, a), a = √(6 / m) | 2 / m | relu and its variants | `he_uniform` | `kaiming_uniform_(nonlinearity="relu")` |
/// | `HeNormal` | N(√(2 / m)) | 2 / m | the same | `he_normal`, but truncated at two deviations | `kaiming_normal_(nonlinearity="relu")` |
/// | `Zeros` | 0 | 0 | a single layer; in deeper models all units would learn the same | `zeros` | `zeros_` |
///
/// Sources: X. Glorot, Y. Bengio, *Understanding the difficulty of training deep feedforward neural
/// networks* (2010); K. He, X. Zhang, S. Ren, J. Sun, *Delving deep into rectifiers* (2015).
///
/// ```
/// use gradus::layers::Initializer;
///
/// let weights = Initializer::GlorotUniform.fill(784, 10, 7, 0);
/// assert_eq!(weights.len(), 7840);
/// assert!(weights.iter().all(|weight| weight.abs() <= 0.0870)); // √(6 / 794) = 0.08693
/// assert_eq!(weights, Initializer::GlorotUniform.fill(784, 10, 7, 0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Uniform, variance 2 / (inputs + outputs).
    #[default]
    GlorotUniform,
    /// Normal, variance 2 / (inputs + outputs).
    GlorotNormal,
    /// Uniform, variance 2 / inputs.
    HeUniform,
    /// Normal, variance 2 / inputs.
    HeNormal,
    /// All zero.
    Zeros,
}

impl Initializer {
    /// The `inputs · outputs` weights of a layer, row-major; `stream` differs for each layer of a
    /// model.
    pub fn fill(self, inputs: usize, outputs: usize, seed: u64, stream: u64) -> Vec<f32> {
        self.draw(inputs * outputs, [inputs, outputs], seed, stream)
    }

    /// As [`Initializer::fill`], for a number of weights that differs from the product of the
    /// inputs and the outputs of a unit, as in a kernel.
    pub(crate) fn draw(
        self,
        length: usize,
        [inputs, outputs]: [usize; 2],
        seed: u64,
        stream: u64,
    ) -> Vec<f32> {
        let deviation = self.variance(inputs, outputs).sqrt();
        let mut random = Random::new(seed, stream);
        let weight = |_| match self {
            Initializer::Zeros => 0.0,
            Initializer::GlorotNormal | Initializer::HeNormal => {
                (deviation * random.normal()) as f32
            }
            // U(−a, a) has variance a² / 3.
            Initializer::GlorotUniform | Initializer::HeUniform => {
                (3f64.sqrt() * deviation * (2.0 * random.uniform() - 1.0)) as f32
            }
        };
        (0..length).map(weight).collect()
    }

    fn variance(self, inputs: usize, outputs: usize) -> f64 {
        match self {
            Initializer::GlorotUniform | Initializer::GlorotNormal => {
                2.0 / (inputs as f64 + outputs as f64)
            }
            Initializer::HeUniform | Initializer::HeNormal => 2.0 / inputs as f64,
            Initializer::Zeros => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [Initializer; 4] = [
        Initializer::GlorotUniform,
        Initializer::GlorotNormal,
        Initializer::HeUniform,
        Initializer::HeNormal,
    ];

    /// The standard error of a sample variance of n values is σ²·√((κ − 1) / n), κ = 1.8 (uniform)
    /// or 3 (normal); that of the mean is σ / √n. Five standard errors give one false alarm in 1.7
    /// million, and the seed is fixed.
    #[test]
    fn mean_and_variance_are_those_of_the_formula() {
        let cases = [
            (Initializer::GlorotUniform, 2.0 / 500.0, 1.8),
            (Initializer::GlorotNormal, 2.0 / 500.0, 3.0),
            (Initializer::HeUniform, 2.0 / 300.0, 1.8),
            (Initializer::HeNormal, 2.0 / 300.0, 3.0f64),
        ];
        for (initializer, expected, kurtosis) in cases {
            let weights = initializer.fill(300, 200, 1, 0);
            let n = weights.len() as f64;
            let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
            let variance = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() <= 5.0 * (expected / n).sqrt(), "{initializer:?}: mean {mean}");
            let tolerance = 5.0 * expected * ((kurtosis - 1.0) / n).sqrt();
            assert!(
                (variance - expected).abs() <= tolerance,
                "{initializer:?}: variance {variance}, not {expected}"
            );
        }
    }

    /// The largest of 60,000 weights lies within 0.1 % of the bound, except with probability (1 −
    /// 0.001)⁶⁰⁰⁰⁰ = 10⁻²⁶.
    #[test]
    fn uniform_weights_fill_their_interval_and_stay_inside() {
        for (initializer, bound) in
            [(Initializer::GlorotUniform, 6.0f64 / 500.0), (Initializer::HeUniform, 6.0 / 300.0)]
        {
            let bound = bound.sqrt() as f32;
            let weights = initializer.fill(300, 200, 1, 0);
            let largest = weights.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
            assert!(
                largest <= bound && largest >= 0.999 * bound,
                "{initializer:?}: {largest}, bound {bound}"
            );
        }
    }

    #[test]
    fn seed_and_stream_choose_the_weights() {
        for initializer in RANDOM {
            let weights = initializer.fill(4, 3, 7, 1);
            assert_eq!(weights, initializer.fill(4, 3, 7, 1));
            assert_ne!(weights, initializer.fill(4, 3, 8, 1));
            assert_ne!(weights, initializer.fill(4, 3, 7, 2));
        }
        assert_eq!(Initializer::Zeros.fill(2, 2, 7, 1), [0.0; 4]);
    }

    #[test]
    fn names_are_snake_case() {
        let names = [RANDOM.as_slice(), &[Initializer::Zeros]].concat();
        let written = serde_json::to_string(&names).unwrap();
        assert_eq!(
            written,
            r#"["glorot_uniform","glorot_normal","he_uniform","he_normal","zeros"]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Initializer>>(&written).unwrap(), names);
        assert_eq!(Initializer::default(), Initializer::GlorotUniform);
    }
}
