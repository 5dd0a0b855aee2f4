//! Are the probabilities right?

use crate::explain::checks::refused;
use crate::{Result, RowClasses};

/// Bins of equal width between 0 and 1.
const BINS: usize = 15;

/// Temperatures that are tried: a twentieth to twenty, by their logarithm.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Rows whose largest probability lies in one of 15 bins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Bin {
    /// The bin's limits: above the first, up to the second.
    pub limits: [f64; 2],
    /// Number of rows.
    pub rows: usize,
    /// Their mean largest probability; 0 without rows.
    pub confidence: f64,
    /// The share of them that is right; 0 without rows.
    pub accuracy: f64,
}

/// How far probabilities agree with what happens: [`calibration`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    /// Reliability: 15 bins of equal width by the largest probability.
    pub bins: Vec<Bin>,
    /// Expected calibration error (Naeini 2015): Σ over the bins of their share of the rows times
    /// |accuracy − confidence|.
    pub expected_error: f64,
    /// Brier's score (1950): the mean over the rows of Σ over the classes of (p − y)², from 0 to 2.
    /// For two classes it is twice the mean of (p − y)² of one of them.
    pub brier: f64,
    /// The mean of −ln p(target).
    pub log_loss: f64,
    /// The temperature T for which softmax(ln p / T) has the smallest log loss on these rows, from
    /// 0.05 to 20: above 1 if the model is too sure (Guo 2017).
    pub temperature: f64,
    /// The log loss at this temperature: what scaling could gain, measured on the rows that it was
    /// found on.
    pub log_loss_at_temperature: f64,
    /// The expected calibration error at this temperature.
    pub expected_error_at_temperature: f64,
}

impl Calibration {
    /// Mean largest probability minus accuracy: positive if the model is too sure.
    pub fn overconfidence(&self) -> f64 {
        let rows: usize = self.bins.iter().map(|bin| bin.rows).sum();
        let gap = |bin: &Bin| bin.rows as f64 * (bin.confidence - bin.accuracy);
        self.bins.iter().map(gap).sum::<f64>() / rows.max(1) as f64
    }

    /// True if no temperature up to the largest is best: on these rows the probabilities say no more
    /// than that all classes are alike.
    pub fn is_temperature_at_limit(&self) -> bool {
        // The search ends within a thousandth of a limit.
        self.temperature >= 0.999 * TEMPERATURES[1]
    }
}

/// Rows of logarithms of probabilities with their classes.
struct Rows {
    logarithms: Vec<f64>,
    target: Vec<usize>,
    count: usize,
}

/// Reliability, expected calibration error, Brier's score and the best temperature of rows of
/// classes.
///
/// ```
/// use gradus::explain::calibration;
/// use gradus::{Dense, Device, Sequential, losses::CrossEntropy, optimizers::Adam};
/// use ndarray::array;
/// let mut model = Sequential::new(1)
///     .then(Dense::new(2))
///     .on(&Device::cpu())?
///     .compile(CrossEntropy::new(), Adam::new())?;
/// let found = model.evaluate_rows(&array![[0.0_f32], [0.0]], &array![0_i64, 0])?;
/// let found = calibration(found.classes.as_ref().unwrap())?;
/// // Both rows are right with the probability 1/2.
/// assert!((found.expected_error - 0.5).abs() < 1e-7 && (found.brier - 0.5).abs() < 1e-7);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Input`] if the loss defines no probabilities, [`crate::Error::Empty`] without
/// rows, [`crate::Error::NonFinite`] for a probability that is not finite.
pub fn calibration(classes: &RowClasses) -> Result<Calibration> {
    let Some(probabilities) = &classes.probabilities else {
        let allowed = "a loss that does, as cross_entropy or bce_with_logits";
        return Err(refused(
            "calibration",
            "the model's loss",
            "defines no probabilities",
            allowed,
        ));
    };
    if classes.target.is_empty() {
        let (operation, name) = ("calibration".into(), "the rows".into());
        return Err(crate::Error::Empty { operation, name });
    }
    if let Some(place) = probabilities.iter().position(|p| !p.is_finite()) {
        return Err(crate::Error::NonFinite {
            operation: "calibration".into(),
            name: "the probabilities".into(),
            found: "NaN".into(),
            position: format!("row {}", place / classes.count),
            count: probabilities.iter().filter(|p| !p.is_finite()).count(),
        });
    }
    // 0 is the limit of what f64 holds: its logarithm is that of the smallest number.
    let logarithm = |p: &f64| p.max(f64::MIN_POSITIVE).ln();
    let rows = Rows {
        logarithms: probabilities.iter().map(logarithm).collect(),
        target: classes.target.clone(),
        count: classes.count,
    };
    let bins = rows.bins(1.0);
    let temperature = rows.best_temperature();
    Ok(Calibration {
        expected_error: expected_error(&bins),
        brier: brier(probabilities.as_slice().unwrap_or(&[]), &classes.target, classes.count),
        log_loss: rows.log_loss(1.0),
        temperature,
        log_loss_at_temperature: rows.log_loss(temperature),
        expected_error_at_temperature: expected_error(&rows.bins(temperature)),
        bins,
    })
}

fn brier(probabilities: &[f64], target: &[usize], count: usize) -> f64 {
    let of = |(row, &class): (&[f64], &usize)| -> f64 {
        let error = |(place, p): (usize, &f64)| (p - f64::from(u8::from(place == class))).powi(2);
        row.iter().enumerate().map(error).sum()
    };
    probabilities.chunks_exact(count).zip(target).map(of).sum::<f64>() / target.len() as f64
}

fn expected_error(bins: &[Bin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let gap = |bin: &Bin| bin.rows as f64 * (bin.accuracy - bin.confidence).abs();
    bins.iter().map(gap).sum::<f64>() / rows.max(1) as f64
}

impl Rows {
    /// ln of the sum of p^(1/T), and the largest of ln p / T, of a row.
    fn sum(&self, row: usize, temperature: f64) -> (f64, f64, usize) {
        let row = &self.logarithms[row * self.count..][..self.count];
        let best = (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
        let largest = row[best] / temperature;
        let sum: f64 = row.iter().map(|x| (x / temperature - largest).exp()).sum();
        (largest + sum.ln(), largest, best)
    }

    fn log_loss(&self, temperature: f64) -> f64 {
        let of = |(row, class): (usize, &usize)| {
            let own = self.logarithms[row * self.count + class] / temperature;
            self.sum(row, temperature).0 - own
        };
        self.target.iter().enumerate().map(of).sum::<f64>() / self.target.len() as f64
    }

    fn bins(&self, temperature: f64) -> Vec<Bin> {
        let width = 1.0 / BINS as f64;
        let limits = |bin: usize| [bin as f64 * width, (bin + 1) as f64 * width];
        let mut bins: Vec<Bin> =
            (0..BINS).map(|bin| Bin { limits: limits(bin), ..Bin::default() }).collect();
        for (row, &class) in self.target.iter().enumerate() {
            let (all, largest, best) = self.sum(row, temperature);
            let p = (largest - all).exp();
            // The upper limit belongs to a bin.
            let place = ((p / width).ceil() as usize).clamp(1, BINS) - 1;
            bins[place].rows += 1;
            bins[place].confidence += p;
            bins[place].accuracy += f64::from(u8::from(best == class));
        }
        for bin in bins.iter_mut().filter(|bin| bin.rows > 0) {
            bin.confidence /= bin.rows as f64;
            bin.accuracy /= bin.rows as f64;
        }
        bins
    }

    /// Golden-section search: the log loss is convex in 1/T, so it has one minimum.
    fn best_temperature(&self) -> f64 {
        let ratio = (5_f64.sqrt() - 1.0) / 2.0;
        let [mut low, mut high] = TEMPERATURES.map(f64::ln);
        let loss = |at: f64| self.log_loss(at.exp());
        let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
        let (mut at_left, mut at_right) = (loss(left), loss(right));
        while high - low > 1e-4 {
            if at_left <= at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - ratio * (high - low);
                at_left = loss(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + ratio * (high - low);
                at_right = loss(right);
            }
        }
        ((low + high) / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn classes(probabilities: Vec<f64>, target: Vec<usize>, count: usize) -> RowClasses {
        let rows = target.len();
        let probabilities = Array2::from_shape_vec((rows, count), probabilities).unwrap();
        RowClasses {
            count,
            predicted: vec![0; rows],
            margin: vec![0.0; rows],
            target,
            probabilities: Some(probabilities),
        }
    }

    #[test]
    fn figures_are_those_of_a_calculation_by_hand() {
        // Two rows at .8, one of them right; two at .6, both right.
        let p = vec![0.8, 0.2, 0.8, 0.2, 0.6, 0.4, 0.6, 0.4];
        let found = calibration(&classes(p, vec![0, 1, 0, 0], 2)).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(found.expected_error, 0.5 * 0.3 + 0.5 * 0.4), "{}", found.expected_error);
        let brier = (2.0 * 0.04 + 2.0 * 0.64 + 4.0 * 0.16) / 4.0;
        assert!(near(found.brier, brier), "{}", found.brier);
        let log_loss = -(0.8_f64.ln() + 0.2_f64.ln() + 2.0 * 0.6_f64.ln()) / 4.0;
        assert!(near(found.log_loss, log_loss));
        assert!(near(found.overconfidence(), (0.8 * 2.0 + 0.6 * 2.0 - 3.0) / 4.0));
        assert_eq!(found.bins.iter().map(|bin| bin.rows).collect::<Vec<_>>()[8..12], [2, 0, 0, 2]);
    }

    #[test]
    fn the_temperature_undoes_what_made_the_model_too_sure() {
        // p of T = 1 that happen as often as they say, sharpened by 2.5: exact frequencies.
        let (mut p, mut target) = (Vec::new(), Vec::new());
        for tenth in 1..10 {
            let real = f64::from(tenth) / 10.0;
            let [a, b] = [real, 1.0 - real].map(|p| p.powf(2.5));
            for row in 0..10 {
                p.extend([a / (a + b), b / (a + b)]);
                target.push(usize::from(row >= tenth));
            }
        }
        let found = calibration(&classes(p, target, 2)).unwrap();
        assert!((found.temperature - 2.5).abs() < 1e-3, "{}", found.temperature);
        assert!(!found.is_temperature_at_limit());
        // Sure of one class, and right as often as not: nothing is better than all alike.
        let none = calibration(&classes(vec![0.9, 0.1, 0.9, 0.1], vec![0, 1], 2)).unwrap();
        assert!(none.is_temperature_at_limit(), "{}", none.temperature);
        assert!(found.log_loss_at_temperature < found.log_loss);
        assert!(found.expected_error_at_temperature < 1e-4 && found.expected_error > 0.05);
    }

    #[test]
    fn without_probabilities_or_rows_it_says_so() {
        let none = RowClasses { probabilities: None, ..classes(vec![0.5, 0.5], vec![0], 2) };
        assert!(calibration(&none).unwrap_err().to_string().contains("defines no probabilities"));
        assert!(calibration(&classes(Vec::new(), Vec::new(), 2)).is_err());
        assert!(calibration(&classes(vec![f64::NAN, 0.5], vec![0], 2)).is_err());
    }
}
