//! Bit sets of rows.

/// A set of row indices, one bit each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RowSet(Vec<u64>);

impl RowSet {
    pub fn insert(&mut self, row: usize) {
        let word = row / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    pub fn contains(&self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The smallest index.
    pub fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some(64 * word + self.0[word].trailing_zeros() as usize)
    }

    /// Adds the indices of another set.
    pub fn extend(&mut self, other: &RowSet) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_by_their_numbers() {
        let mut rows = RowSet::default();
        assert_eq!((rows.len(), rows.first(), rows.contains(5)), (0, None, false));
        [130, 64, 63, 64].into_iter().for_each(|row| rows.insert(row));
        assert_eq!((rows.len(), rows.first()), (3, Some(63)));
        assert!(rows.contains(130) && !rows.contains(129) && !rows.contains(10_000));
        let mut others = RowSet::default();
        others.insert(1);
        others.extend(&rows);
        assert_eq!((others.len(), others.first()), (4, Some(1)));
    }
}
