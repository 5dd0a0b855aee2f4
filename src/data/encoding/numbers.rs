//! Where numbers lie: mean and deviation, median and quartiles, in f64, one number after the other.

/// Numbers that a [`Quantiles`] of bounded memory holds at each of its levels.
const LEVEL: usize = 4096;

/// Mean and deviation √(Σ (x − mean)² / n). The deviation of numbers that are all one is 0, whatever the rounding.
///
/// The mean moves with each number, so that large numbers which differ little, as Unix times do, keep their last digits: B. Welford, *Note
/// on a method for calculating corrected sums of squares and products* (1962).
#[derive(Debug, Default)]
pub(super) struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
    first: f64,
    differ: bool,
}

impl Moments {
    pub(super) fn add(&mut self, number: f64) {
        if self.count == 0 {
            self.first = number;
        }
        self.differ |= number != self.first;
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    pub(super) fn mean_and_deviation(&self) -> (f64, f64) {
        match (self.count, self.differ) {
            (0, _) => (0.0, 0.0),
            (_, false) => (self.first, 0.0),
            (count, true) => (self.mean, (self.squares / count as f64).sqrt()),
        }
    }
}

/// Beyond this a square leaves f64, and with it the deviation.
pub(super) const LARGEST: f64 = 1e150;

/// How much is remembered of what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// All.
    All,
    /// As much as a constant: what is said of more numbers, or of more words, is then nearly true.
    Bounded,
}

/// Numbers below which shares of all lie.
///
/// With bounded memory a level that is full is sorted, and every other number of it stands for two on the next level: exact up to 4,096
/// numbers, and of 10⁹ off by less than a three-hundredth of them in rank. J. Munro and M. Paterson, *Selection and sorting with limited
/// storage* (1980); nothing is drawn by chance.
#[derive(Debug)]
pub(super) struct Quantiles {
    memory: Memory,
    /// Numbers of weight 1, 2, 4, …
    levels: Vec<Vec<f64>>,
    /// Whether a level gives its odd numbers on the next time, not its even ones.
    odd: Vec<bool>,
}

impl Quantiles {
    pub(super) fn new(memory: Memory) -> Self {
        Quantiles { memory, levels: vec![Vec::new()], odd: vec![false] }
    }

    pub(super) fn add(&mut self, number: f64) {
        self.levels[0].push(number);
        let mut level = 0;
        while self.memory == Memory::Bounded && self.levels[level].len() == LEVEL {
            self.halve(level);
            level += 1;
        }
    }

    fn halve(&mut self, level: usize) {
        if level + 1 == self.levels.len() {
            self.levels.push(Vec::new());
            self.odd.push(false);
        }
        let mut full = std::mem::take(&mut self.levels[level]);
        full.sort_unstable_by(f64::total_cmp);
        let first = usize::from(self.odd[level]);
        self.odd[level] = first == 0;
        self.levels[level + 1].extend(full.into_iter().skip(first).step_by(2));
    }

    /// The numbers below which these shares lie, between two numbers in proportion where all are remembered; 0 of none.
    pub(super) fn at<const N: usize>(mut self, shares: [f64; N]) -> [f64; N] {
        if let [all] = &mut self.levels[..] {
            all.sort_unstable_by(f64::total_cmp);
            return shares.map(|share| quantile(all, share));
        }
        let weighted = |(level, numbers): (usize, &Vec<f64>)| {
            numbers.iter().map(move |&number| (number, 1_u64 << level)).collect::<Vec<_>>()
        };
        let mut all: Vec<(f64, u64)> = self.levels.iter().enumerate().flat_map(weighted).collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        let total: u64 = all.iter().map(|(_, weight)| weight).sum();
        shares.map(|share| {
            let place = (share * total.saturating_sub(1) as f64) as u64;
            let mut before = 0;
            let reached = |&&(_, weight): &&(f64, u64)| {
                before += weight;
                before > place
            };
            all.iter().find(reached).map_or(0.0, |(number, _)| *number)
        })
    }
}

/// The number below which a share of them lies, between two of them in proportion; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    // Halves apart: the difference of two large numbers may be none.
    sorted[below] * (1.0 - rest) + sorted[above] * rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(numbers: &[f64]) -> (f64, f64) {
        let mut moments = Moments::default();
        numbers.iter().for_each(|&number| moments.add(number));
        moments.mean_and_deviation()
    }

    #[test]
    fn large_numbers_keep_their_deviation() {
        let times: Vec<f64> = (0..100).map(|second| 1.6e9 + f64::from(second)).collect();
        let (mean, deviation) = mean_and_deviation(&times);
        assert_eq!(mean, 1.6e9 + 49.5);
        assert!((deviation - (9999.0_f64 / 12.0).sqrt()).abs() < 1e-9); // of 0 to n − 1: √((n² − 1) / 12)
        assert_eq!(mean_and_deviation(&[0.1; 7]), (0.1, 0.0));
        assert_eq!(mean_and_deviation(&[]), (0.0, 0.0));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        for memory in [Memory::All, Memory::Bounded] {
            let of = |numbers: &[f64]| {
                let mut quantiles = Quantiles::new(memory);
                numbers.iter().for_each(|&number| quantiles.add(number));
                quantiles.at([0.0, 0.25, 0.5, 1.0])
            };
            assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), [1.0, 1.75, 2.5, 4.0]);
            assert_eq!((of(&[])[2], of(&[7.0])[2]), (0.0, 7.0));
        }
    }

    #[test]
    fn quantiles_of_bounded_memory_are_nearly_true() {
        const COUNT: u32 = 1_000_000;
        let shuffled = crate::cpu::random::Permutation::new(COUNT, 7, 0);
        // In order, from the end, mixed: the same numbers.
        let orders: [&dyn Fn(u32) -> u32; 3] =
            [&|at| at, &|at| COUNT - 1 - at, &|at| shuffled.at(at)];
        for order in orders {
            let mut quantiles = Quantiles::new(Memory::Bounded);
            (0..COUNT).for_each(|at| quantiles.add(f64::from(order(at))));
            assert!(quantiles.levels.iter().map(Vec::len).sum::<usize>() < 10 * LEVEL);
            let shares = [0.25, 0.5, 0.75];
            for (found, share) in quantiles.at(shares).into_iter().zip(shares) {
                let error = (found / f64::from(COUNT) - share).abs();
                assert!(error < 0.003, "{share}: {found}");
            }
        }
    }
}
