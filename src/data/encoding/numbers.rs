//! Streaming statistics in f64: mean and standard deviation, median and quartiles.

/// Numbers per level of a [`Quantiles`] with bounded memory.
const LEVEL: usize = 4096;

/// Mean and standard deviation √(Σ (x − mean)² / n). The deviation of equal numbers is exactly 0,
/// whatever the rounding.
///
/// The mean is updated with each number, so that large numbers with small differences, e.g. Unix
/// times, keep their last digits: B. Welford, *Note on a method for calculating corrected sums of
/// squares and products* (1962).
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

/// Beyond this value squares overflow f64, and with them the deviation.
pub(super) const LARGEST: f64 = 1e150;

/// Memory limit of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Keeps everything: exact.
    All,
    /// Bounded by a constant: approximate for more numbers or words than that.
    Bounded,
}

/// Quantiles of a stream of numbers.
///
/// With bounded memory a full level is sorted, and every other number of it moves to the next level
/// with twice the weight: exact up to 4,096 numbers, and for 10⁹ a rank error of less than a
/// three-hundredth of them. J. Munro and M. Paterson, *Selection and sorting with limited storage*
/// (1980); deterministic.
#[derive(Debug)]
pub(super) struct Quantiles {
    memory: Memory,
    /// Numbers of weight 1, 2, 4, …
    levels: Vec<Vec<f64>>,
    /// True if a level passes its odd-indexed numbers to the next level the next time, not the even
    /// ones.
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

    /// The quantiles at these fractions, interpolated linearly if all numbers are kept; 0 without
    /// numbers.
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

/// The quantile at a fraction, interpolated linearly; 0 without numbers.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    // Weighted separately: the difference of two large numbers may overflow.
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
        // Ascending, descending and shuffled orders of the same numbers.
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
