//! Seeded edits of bytes, of text by its tokens, and of JSON by its structure.

use gradus::random::Random;
use serde_json::{Map, Value, json};

/// Generates edits; the same seed and stream give the same ones.
pub struct Mutator(Random);

/// The extremes of the integer types, and sizes that no small file can hold.
const WHOLE: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    65_535,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

/// Tokens that readers of tables, lines and headers handle specially.
const TOKENS: &[&str] = &[
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "\r",
    " ",
    "::",
    ":",
    "#",
    "\0",
    "\u{feff}",
    "-",
    "+",
    ".",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e38",
    "1e39",
    "1e-46",
    "1e999",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "0x10",
    "1_000",
    "1,5",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999",
    "qid:1",
    "qid:",
    "0:1",
    "1:",
    "999999:1",
    "30000000:1",
    "4294967295:1",
    "é",
    "\u{202e}",
    "userId,movieId,rating",
];

impl Mutator {
    pub fn new(seed: u64, stream: u64) -> Self {
        Mutator(Random::new(seed, stream))
    }

    /// A number below `count`; 0 if `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.0.uniform() * count as f64) as usize
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.0.uniform() < share
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn whole(&mut self) -> u64 {
        let near = *self.pick(&WHOLE);
        if self.chance(0.7) {
            near
        } else {
            near.wrapping_add(self.below(5) as u64).wrapping_sub(2)
        }
    }

    /// A range within `length`, mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.chance(0.8) { (length - start).min(16) } else { length - start };
        start..start + self.below(most + 1)
    }

    /// One to four edits of bytes, with fragments of `others`.
    pub fn bytes(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            match self.below(9) {
                0 if !bytes.is_empty() => bytes[place] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => {
                    bytes[place] = *self.pick(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b',', b'"'])
                }
                2 => drop(bytes.drain(self.range(bytes.len()))),
                3 => bytes.truncate(place),
                4 => {
                    let piece = bytes[self.range(bytes.len())].to_vec();
                    bytes.splice(place..place, piece);
                }
                5 => {
                    let other = self.pick(others);
                    let piece = other[self.range(other.len())].to_vec();
                    let replaced = self.range(bytes.len());
                    bytes.splice(replaced, piece);
                }
                6 => {
                    let mut number = self.whole().to_le_bytes();
                    if self.chance(0.5) {
                        number.reverse();
                    }
                    let size = *self.pick(&[1, 2, 4, 8]);
                    let number = if number[0] == 0 { &number[8 - size..] } else { &number[..size] };
                    bytes.iter_mut().skip(place).zip(number).for_each(|(byte, new)| *byte = *new);
                }
                7 => {
                    bytes.extend(std::iter::repeat_n(*self.pick(&[0, 0xff, b'1']), self.below(300)))
                }
                _ => {
                    let token = self.pick(TOKENS).as_bytes();
                    bytes.splice(place..place, token.iter().copied());
                }
            }
        }
    }

    /// One to four edits of text: tokens replaced, dropped, doubled; lines moved; occasionally
    /// bytes.
    pub fn text(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..=self.below(4) {
            let separators: Vec<usize> = (0..bytes.len())
                .filter(|&at| b",;\t\n :\"".contains(&bytes[at]))
                .chain([bytes.len()])
                .collect();
            let which = self.below(separators.len());
            let start = if which == 0 { 0 } else { separators[which - 1] + 1 };
            let token = start..separators[which];
            match self.below(8) {
                0..=2 => drop(bytes.splice(token, self.pick(TOKENS).bytes())),
                3 => drop(bytes.drain(token)),
                4 => {
                    let copy = bytes[token].to_vec();
                    bytes.splice(start..start, copy);
                }
                5 => {
                    let mut lines: Vec<&[u8]> =
                        bytes.split_inclusive(|&byte| byte == b'\n').collect();
                    let (from, to) = (self.below(lines.len()), self.below(lines.len()));
                    if !lines.is_empty() {
                        if self.chance(0.5) {
                            lines.swap(from, to)
                        } else {
                            lines.insert(to, lines[from])
                        }
                    }
                    *bytes = lines.concat();
                }
                6 => {
                    let digits = self.below(400);
                    bytes.splice(start..start, std::iter::repeat_n(b'9', digits));
                }
                _ => self.bytes(bytes, others),
            }
        }
    }

    /// A value that a reader of JSON may not expect.
    pub fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(self.chance(0.5)),
            2 | 3 => json!(self.whole()),
            4 => json!(-(self.below(3) as i64)),
            5 => json!(*self.pick(&[0.5, -0.0, 1e-300, 1e300, 1e39, 2.5, -1.5])),
            6 => json!(*self.pick(&[
                "",
                "NaN",
                "inf",
                "-inf",
                "adam",
                "relu",
                "mse",
                "warp",
                "é\n\u{1b}[2J"
            ])),
            7 => json!([]),
            8 => json!({}),
            9 => json!([self.whole(), self.below(4)]),
            10 => json!({ "shape": [self.below(3), self.below(3)], "data": [0.0, 1.0] }),
            _ => (0..self.below(60)).fold(json!(1), |inner, _| json!([inner])),
        }
    }

    /// One edit somewhere within a value; `words` are meaningful names.
    pub fn json(&mut self, value: &mut Value, words: &[&str]) {
        let goes_deeper = self.chance(0.8);
        match value {
            Value::Object(fields) if !fields.is_empty() && goes_deeper => {
                self.object(fields, words)
            }
            Value::Array(items) if !items.is_empty() && goes_deeper => {
                let place = self.below(items.len());
                match self.below(6) {
                    0 => drop(items.remove(place)),
                    1 => items.insert(place, items[place].clone()),
                    _ => self.json(&mut items[place], words),
                }
            }
            Value::String(text) if self.chance(0.5) && !words.is_empty() => {
                *text = (*self.pick(words)).into()
            }
            Value::Number(number) if self.chance(0.5) => {
                let near = number.as_f64().unwrap_or(0.0);
                *value = json!(*self.pick(&[
                    near + 1.0,
                    near - 1.0,
                    -near,
                    near * 1e6,
                    near / 3.0,
                    near.trunc()
                ]));
            }
            _ => *value = self.value(),
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, words: &[&str]) {
        let key = fields.keys().nth(self.below(fields.len())).cloned().unwrap_or_default();
        match self.below(8) {
            0 => drop(fields.remove(&key)),
            1 => {
                let other = if words.is_empty() { "other" } else { self.pick(words) };
                let value = if self.chance(0.5) { fields[&key].clone() } else { self.value() };
                fields.insert(other.into(), value);
            }
            _ => self.json(&mut fields[&key], words),
        }
    }
}
