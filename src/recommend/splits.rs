//! Interactions to train on and those to test on.

use crate::cpu::random::{Permutation, Random};
use crate::recommend::interactions::Interactions;
use crate::{Error, Result};

impl Interactions {
    /// Splits at random: ⌊`test` · length⌋ interactions to test on, the others to train on. Both keep all users and items.
    ///
    /// # Errors
    /// [`Error::Option`] for a share outside [0, 1).
    pub fn split(&self, test: f64, seed: u64) -> Result<(Self, Self)> {
        if !(0.0..1.0).contains(&test) {
            return Err(Error::option("interactions", "test", test, "in [0, 1)"));
        }
        let count = self.share(test);
        let order = Permutation::new(self.len() as u32, seed, u32::MAX);
        let mut held_out = vec![false; self.len()];
        (0..count as u32).for_each(|index| held_out[order.at(index) as usize] = true);
        Ok(self.parted(&held_out))
    }

    /// As [`Interactions::split`], the latest to test on: what a recommender foresees. The times are those of the ratings that these were made
    /// from; of equal ones the one behind in the file is later.
    ///
    /// # Errors
    /// [`Error::Option`] for a share outside [0, 1); [`Error::Input`] if the ratings have no times, or are other ones.
    #[cfg(feature = "data")]
    pub fn split_latest(&self, test: f64, ratings: &crate::data::Ratings) -> Result<(Self, Self)> {
        if !(0.0..1.0).contains(&test) {
            return Err(Error::option("interactions", "test", test, "in [0, 1)"));
        }
        let refused = |found: &str, allowed: &str| Error::Input {
            operation: "interactions".into(),
            name: "the ratings".into(),
            found: found.into(),
            allowed: allowed.into(),
        };
        let times = ratings.times.as_ref().ok_or_else(|| {
            refused(
                "have no times",
                "a split by time needs a column of times (`timestamp`, `date`, or named)",
            )
        })?;
        let rows = |ids: Option<&super::interactions::Ids>, raw: &[String]| -> Vec<Option<u32>> {
            raw.iter().map(|id| ids.and_then(|ids| ids.row(id).ok())).collect()
        };
        let (users, items) =
            (rows(self.user_ids(), &ratings.user_ids), rows(self.item_ids(), &ratings.item_ids));
        // The place of each interaction among these, by its time and its line.
        let mut order: Vec<(f64, usize, usize)> = Vec::with_capacity(self.len());
        for (line, &time) in times.iter().enumerate() {
            let (user, item) =
                (users[ratings.users[line] as usize], items[ratings.items[line] as usize]);
            let (Some(user), Some(item)) = (user, item) else { continue };
            if let Ok(place) = self.of(user as usize).binary_search(&item) {
                order.push((time, line, self.range(user as usize).start + place));
            }
        }
        if order.len() != self.len() {
            return Err(refused(
                "are not those of the interactions",
                "give those that they were made from",
            ));
        }
        order.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut held_out = vec![false; self.len()];
        order[self.len() - self.share(test)..]
            .iter()
            .for_each(|&(_, _, place)| held_out[place] = true);
        Ok(self.parted(&held_out))
    }

    /// How many interactions a share is.
    fn share(&self, test: f64) -> usize {
        // f64 holds every count below 2³²; the 1e-9 keeps 0.29 · 100 = 28.999… from losing one.
        (test * self.len() as f64 + 1e-9).floor() as usize
    }

    /// Holds `k` random interactions of each user out to test on; a user with `k` or fewer keeps all to train on.
    ///
    /// # Errors
    /// [`Error::Option`] for a `k` of 0.
    pub fn leave_out(&self, k: usize, seed: u64) -> Result<(Self, Self)> {
        if k == 0 {
            return Err(Error::option("interactions", "k", k, "> 0"));
        }
        let mut held_out = vec![false; self.len()];
        let mut random = Random::new(seed, u64::from(u32::MAX));
        for user in 0..self.users() {
            let mut places: Vec<usize> = self.range(user).collect();
            if places.len() <= k {
                continue;
            }
            for chosen in 0..k {
                let other = chosen + (random.uniform() * (places.len() - chosen) as f64) as usize;
                places.swap(chosen, other);
                held_out[places[chosen]] = true;
            }
        }
        Ok(self.parted(&held_out))
    }
}
