//! Handling of repeated pairs of user and item.

use std::collections::HashMap;
use std::path::Path;

use crate::data::ratings::options::Duplicates;
use crate::data::ratings::rated::Ratings;
use crate::{Error, Result};

impl Ratings {
    /// Merges or rejects repeated pairs.
    pub(super) fn join_pairs(&mut self, path: &Path, duplicates: Duplicates) -> Result<()> {
        let duplicates = match duplicates {
            Duplicates::Auto if self.weights.is_some() && !self.has_ratings => Duplicates::Sum,
            other => other,
        };
        let mut first: HashMap<(u32, u32), usize> = HashMap::new();
        let mut kept: Vec<usize> = Vec::with_capacity(self.lines.len());
        for place in 0..self.lines.len() {
            let pair = (self.users[place], self.items[place]);
            let Some(&before) = first.get(&pair) else {
                first.insert(pair, place);
                kept.push(place);
                continue;
            };
            match duplicates {
                Duplicates::Auto | Duplicates::Refuse => {
                    return Err(self.twice(path, before, place));
                }
                Duplicates::Last if self.is_earlier(place, before) => {}
                Duplicates::Last => self.replace(before, place),
                Duplicates::Sum => self.add(before, place),
            }
        }
        let joined = self.lines.len() - kept.len();
        if joined > 0 {
            let what = match duplicates {
                Duplicates::Sum => "added up",
                _ if self.times.is_some() => "the last one by its time kept",
                _ => "the last one kept",
            };
            self.notes.push(format!("{joined} line(s) hold a user and an item again: {what}"));
            self.keep(&kept);
        }
        Ok(())
    }

    /// At equal times the later line is the later one.
    fn is_earlier(&self, place: usize, before: usize) -> bool {
        self.times.as_ref().is_some_and(|times| times[place] < times[before])
    }

    fn replace(&mut self, before: usize, place: usize) {
        self.ratings[before] = self.ratings[place];
        self.weights.iter_mut().for_each(|weights| weights[before] = weights[place]);
        self.times.iter_mut().for_each(|times| times[before] = times[place]);
    }

    /// A sum has the time of its last line.
    fn add(&mut self, before: usize, place: usize) {
        self.ratings[before] += self.ratings[place];
        self.weights.iter_mut().for_each(|weights| weights[before] += weights[place]);
        self.times.iter_mut().for_each(|times| times[before] = times[before].max(times[place]));
    }

    fn keep(&mut self, places: &[usize]) {
        fn kept<T: Copy>(values: &mut Vec<T>, places: &[usize]) {
            *values = places.iter().map(|&place| values[place]).collect();
        }
        kept(&mut self.users, places);
        kept(&mut self.items, places);
        kept(&mut self.ratings, places);
        kept(&mut self.lines, places);
        self.weights.iter_mut().for_each(|weights| kept(weights, places));
        self.times.iter_mut().for_each(|times| kept(times, places));
    }

    fn twice(&self, path: &Path, before: usize, place: usize) -> Error {
        let (user, item) = (
            &self.user_ids[self.users[place] as usize],
            &self.item_ids[self.items[place] as usize],
        );
        Error::Data {
            path: path.into(),
            position: format!("line {}", self.lines[place]),
            found: format!("user {user} and item {item} again, as in line {}", self.lines[before]),
            expected: "each pair once; --duplicates last keeps the last rating, --duplicates sum adds them up".into(),
        }
    }
}
