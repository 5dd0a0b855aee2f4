//! Text in `.npy`.

use crate::data::elements::Order;

/// Text of a fixed width: `<U5`, four bytes per character, or `|S5`, one.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) order: Order,
    letters: usize,
    wide: bool,
}

impl Text {
    pub(super) fn of(descr: &str) -> Option<Self> {
        let (order, kind) = descr.split_at_checked(1)?;
        let order = match order {
            ">" => Order::Big,
            "<" | "|" => Order::Little,
            _ => return None,
        };
        let (kind, letters) = kind.split_at_checked(1)?;
        let wide = match kind {
            "U" => true,
            "S" => false,
            _ => return None,
        };
        let letters =
            letters.parse().ok().filter(|&letters: &usize| (1..=1 << 16).contains(&letters))?;
        Some(Text { order, letters, wide })
    }

    /// Bytes per word.
    pub(super) fn size(self) -> usize {
        self.letters * if self.wide { 4 } else { 1 }
    }

    pub(super) fn words(self, bytes: &[u8]) -> Vec<String> {
        let word = |bytes: &[u8]| {
            let text: String = if self.wide {
                let letter = |bytes: &[u8; 4]| match self.order {
                    Order::Big => u32::from_be_bytes(*bytes),
                    Order::Little => u32::from_le_bytes(*bytes),
                };
                let letters = bytes.as_chunks::<4>().0.iter().map(letter);
                letters
                    .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            } else {
                String::from_utf8_lossy(bytes).into_owned()
            };
            text.trim_end_matches('\0').replace(char::is_control, " ")
        };
        bytes.chunks_exact(self.size()).map(word).collect()
    }
}
