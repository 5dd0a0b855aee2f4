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

    pub fn value(&self) -> u64 {
        self.0
    }
}
