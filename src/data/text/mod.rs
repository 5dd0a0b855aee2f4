//! Text for language models: characters as ids, sequences of ids with the tokens that follow, and
//! the targets of masked language models.

mod masked;

use std::collections::HashMap;

use ndarray::Array2;

use crate::cpu::random::philox;
pub use crate::data::text::masked::MaskedTokens;
use crate::{Error, Result};

/// Its name in messages.
const NAME: &str = "characters";

/// Third word of the counters of starts, distinct from that of masks.
const STARTS: u32 = 0x7374_6172;

/// Up to this many characters are named in a message.
const MOST_SHOWN: usize = 100;

/// A vocabulary of characters: each has an id, its place in the list.
///
/// ```
/// use gradus::data::text::Characters;
///
/// let characters = Characters::of("hello")?;
/// assert_eq!(characters.names(), ["e", "h", "l", "o"]);
/// let ids = characters.ids("hole")?;
/// assert_eq!(ids, [1, 3, 2, 0]);
/// assert_eq!(characters.text(&ids)?, "hole");
/// assert!(characters.ids("help").is_err()); // no p
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// A model keeps its vocabulary as the names of its classes:
/// `model.set_names(Vec::new(), characters.names(), None)`, and
/// [`Characters::from_names`]`(&model.names().classes)` for a loaded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    characters: Vec<char>,
    ids: HashMap<char, i64>,
}

impl Characters {
    /// The characters of a text, sorted.
    ///
    /// # Errors
    /// [`Error::Input`] for an empty text.
    pub fn of(text: &str) -> Result<Self> {
        let found: std::collections::BTreeSet<char> = text.chars().collect();
        if found.is_empty() {
            return Err(empty("the text", "is empty"));
        }
        Ok(Self::numbered(found.into_iter().collect()))
    }

    /// The vocabulary that [`Characters::names`] gave: one character in each string, in the order
    /// of the ids.
    ///
    /// # Errors
    /// [`Error::Input`] without names, for a string that is no single character, and for a
    /// character that occurs twice.
    pub fn from_names(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Err(empty("the names", "are none"));
        }
        let refused = |id: usize, name: &str| Error::Input {
            operation: NAME.into(),
            name: format!("name {id}"),
            found: format!("is `{name}`"),
            allowed: "each must be one character that no other name is".into(),
        };
        let mut characters = Vec::with_capacity(names.len());
        for (id, name) in names.iter().enumerate() {
            let mut all = name.chars();
            match (all.next(), all.next()) {
                (Some(character), None) => characters.push(character),
                _ => return Err(refused(id, name)),
            }
        }
        let found = Self::numbered(characters);
        // Of equal characters the last id is kept.
        let is_lost = |(id, name): &(usize, &char)| found.ids.get(*name) != Some(&(*id as i64));
        match found.characters.iter().enumerate().find(is_lost) {
            Some((id, name)) => Err(refused(id, &name.to_string())),
            None => Ok(found),
        }
    }

    fn numbered(characters: Vec<char>) -> Self {
        let ids = characters.iter().zip(0..).map(|(&character, id)| (character, id)).collect();
        Characters { characters, ids }
    }

    /// Number of characters.
    #[allow(clippy::len_without_is_empty)] // There is one at least.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Each character as a string, in the order of the ids.
    pub fn names(&self) -> Vec<String> {
        self.characters.iter().map(char::to_string).collect()
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// [`Error::Input`] for the first character that the vocabulary lacks, with its position.
    pub fn ids(&self, text: &str) -> Result<Vec<i64>> {
        let id = |(place, character): (usize, char)| {
            self.ids.get(&character).copied().ok_or_else(|| self.unknown(text, place, character))
        };
        text.chars().enumerate().map(id).collect()
    }

    fn unknown(&self, text: &str, place: usize, character: char) -> Error {
        let (line, column) = text.chars().take(place).fold((1, 1), |(line, column), before| {
            if before == '\n' { (line + 1, 1) } else { (line, column + 1) }
        });
        let shown: String = self.characters.iter().take(MOST_SHOWN).collect();
        let more = if self.len() > MOST_SHOWN { " …" } else { "" };
        Error::Input {
            operation: NAME.into(),
            name: "the text".into(),
            found: format!(
                "has `{character}` at position {place} (line {line}, character {column})"
            ),
            allowed: format!("the vocabulary has {} characters: {shown}{more}", self.len()),
        }
    }

    /// The text of ids.
    ///
    /// # Errors
    /// [`Error::Input`] for the first id that is out of range, with its position.
    pub fn text(&self, ids: &[i64]) -> Result<String> {
        let character = |(place, &id): (usize, &i64)| {
            let found = usize::try_from(id).ok().and_then(|id| self.characters.get(id));
            found.copied().ok_or_else(|| Error::Input {
                operation: NAME.into(),
                name: "the ids".into(),
                found: format!("have {id} at position {place}"),
                allowed: format!("ids are 0 to {}", self.len() - 1),
            })
        };
        ids.iter().enumerate().map(character).collect()
    }
}

fn empty(name: &str, found: &str) -> Error {
    let allowed = "a vocabulary has one character at least".into();
    Error::Input { operation: NAME.into(), name: name.into(), found: found.into(), allowed }
}

/// Sequences of `context` ids as features [rows, context], and for each id the one that follows as
/// targets [rows, context]: what a next-token model is trained on. A row begins `stride` ids behind
/// the last one: `context` uses each id once, 1 makes a row of each place. Ids behind the last
/// whole row are left out.
///
/// ```
/// let (x, y) = gradus::data::text::sequences(&[5, 6, 7, 8, 9], 2, 2)?;
/// assert_eq!(x, ndarray::array![[5.0, 6.0], [7.0, 8.0]]);
/// assert_eq!(y, ndarray::array![[6, 7], [8, 9]]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// [`Error::Option`] for a context or stride of 0; [`Error::Shape`] if there are fewer than
/// `context` + 1 ids.
pub fn sequences(ids: &[i64], context: usize, stride: usize) -> Result<(Array2<f32>, Array2<i64>)> {
    for (name, value) in [("context", context), ("stride", stride)] {
        if value == 0 {
            return Err(Error::option("sequences", name, value, "at least 1"));
        }
    }
    let Some(spare) = ids.len().checked_sub(1).and_then(|count| count.checked_sub(context)) else {
        return Err(Error::Shape {
            operation: "sequences".into(),
            found: format!("there are {} ids", ids.len()),
            allowed: format!("a context of {context} needs {} at least", context.saturating_add(1)),
        });
    };
    let shape = (spare / stride + 1, context);
    let id = |(row, token): (usize, usize)| ids[row * stride + token];
    let features = Array2::from_shape_fn(shape, |place| id(place) as f32);
    let targets = Array2::from_shape_fn(shape, |(row, token)| id((row, token + 1)));
    Ok((features, targets))
}

/// As [`sequences`] a stride of `context` apart, from another place in each epoch: all rows begin
/// some ids later, fewer than 2 · `context`, by a number that follows from the seed and the epoch.
/// Each epoch has the same number of rows, one less than there are from the first id. Over the
/// epochs each id is seen, and all but those near the ends at every place of a row:
/// [`crate::Model::fit_epochs`].
///
/// ```
/// use gradus::data::text::shifted_sequences;
/// let ids: Vec<i64> = (0..100).collect();
/// let (x, y) = shifted_sequences(&ids, 8, 1, 3)?;
/// assert_eq!((x.dim(), y.dim()), ((11, 8), (11, 8)));
/// let start = x[[0, 0]];
/// assert!(start < 12.0 && x[[1, 0]] == start + 8.0 && y[[0, 0]] as f32 == start + 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`sequences`]. With less than 2 · `context` + 1 ids there is one row, which begins at any
/// place.
pub fn shifted_sequences(
    ids: &[i64],
    context: usize,
    seed: u64,
    epoch: u32,
) -> Result<(Array2<f32>, Array2<i64>)> {
    let all = sequences(ids, context, context)?.0.nrows();
    let rows = (all - 1).max(1);
    let used = rows * context + 1;
    let starts = ids.len() - used + 1;
    let key = [seed as u32, (seed >> 32) as u32];
    let [word, ..] = philox([epoch, 0, STARTS, 0], key);
    let start = (u64::from(word) * starts as u64) >> 32;
    sequences(&ids[start as usize..][..used], context, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_a_stride_apart_and_targets_are_the_next_ids() {
        let ids: Vec<i64> = (0..8).collect();
        let (x, y) = sequences(&ids, 3, 2).unwrap();
        assert_eq!(x, ndarray::array![[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [4.0, 5.0, 6.0]]);
        assert_eq!(y, ndarray::array![[1, 2, 3], [3, 4, 5], [5, 6, 7]]);
        assert_eq!(sequences(&ids, 7, 99).unwrap().0.nrows(), 1);
        for (context, stride, part) in
            [(0, 1, "context is 0"), (1, 0, "stride is 0"), (8, 1, "needs 9"), (usize::MAX, 1, "8")]
        {
            let message = sequences(&ids, context, stride).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(sequences(&[], 1, 1).is_err());
    }

    #[test]
    fn shifted_rows_are_the_text_from_another_place() {
        let ids: Vec<i64> = (0..103).collect();
        let mut starts = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let (x, y) = shifted_sequences(&ids, 10, 5, epoch).unwrap();
            assert_eq!(x.dim(), (9, 10));
            let start = x[[0, 0]];
            assert!(x.iter().zip(0..).all(|(id, place)| *id == start + place as f32));
            assert!(x.iter().zip(&y).all(|(id, next)| *id as i64 + 1 == *next));
            assert_eq!(shifted_sequences(&ids, 10, 5, epoch).unwrap(), (x, y));
            starts.insert(start as i64);
        }
        // A start is missing after 200 draws once in 10⁵ seeds: 13 · (12/13)²⁰⁰. From the last one
        // the last id is a target.
        assert_eq!(starts.into_iter().collect::<Vec<_>>(), (0..13).collect::<Vec<_>>());
        let of_seed = |seed| {
            let start = |epoch| shifted_sequences(&ids, 10, seed, epoch).unwrap().0[[0, 0]];
            (0..20).map(start).collect::<Vec<_>>()
        };
        assert_ne!(of_seed(1), of_seed(2));
        // One row of a short text; the whole text if it is all there is.
        assert_eq!(shifted_sequences(&ids[..15], 10, 5, 1).unwrap().0.nrows(), 1);
        assert_eq!(shifted_sequences(&ids[..11], 10, 5, 1).unwrap().0[[0, 0]], 0.0);
        assert!(shifted_sequences(&ids[..10], 10, 5, 1).is_err());
        assert!(shifted_sequences(&ids, 0, 5, 1).is_err());
    }

    #[test]
    fn names_make_the_same_vocabulary_and_errors_say_where() {
        let characters = Characters::of("b\na é").unwrap();
        assert_eq!(characters.len(), 5);
        assert_eq!(Characters::from_names(&characters.names()).unwrap(), characters);
        let message = characters.ids("ab\nax").unwrap_err().to_string();
        for part in ["`x`", "position 4", "line 2", "5 characters"] {
            assert!(message.contains(part), "{message}");
        }
        for ids in [[5], [-1]] {
            let message = characters.text(&ids).unwrap_err().to_string();
            assert!(message.contains("0 to 4") && message.contains("position 0"), "{message}");
        }
        for (names, part) in [(&["a", "bc"][..], "name 1"), (&["a", "b", "a"], "name 0"), (&[], "")]
        {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let message = Characters::from_names(&names).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(Characters::of("").is_err());
    }
}
