//! Hash that detects changed rows.

/// Hash of the rows: as FNV-1a, but of eight bytes at a time.
#[derive(Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub fn new() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    /// Hashes numbers, and their count.
    pub fn add_all<T: bytemuck::Pod>(&mut self, values: &[T]) {
        let (words, rest) = bytemuck::cast_slice::<T, u8>(values).as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
        self.add(values.len() as u64);
    }

    /// Hashes numbers one by one, as [`Fingerprint::add_all`] does those of a slice.
    pub fn add_each(&mut self, values: impl Iterator<Item = f32>) {
        let (mut count, mut first) = (0, None);
        for value in values {
            count += 1;
            let bits = u64::from(u32::from_le_bytes(value.to_le_bytes()));
            match first.take() {
                None => first = Some(bits),
                Some(low) => self.add(bits << 32 | low),
            }
        }
        self.add(first.unwrap_or(0));
        self.add(count);
    }

    pub fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_one_by_one_hash_as_a_slice() {
        for length in 0..6 {
            let values: Vec<f32> = (0..length).map(|number| number as f32 / 3.0).collect();
            let (mut all, mut each) = (Fingerprint::new(), Fingerprint::new());
            all.add_all(&values);
            each.add_each(values.iter().copied());
            assert_eq!(all.value(), each.value(), "{length}");
        }
    }
}
