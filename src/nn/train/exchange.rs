//! Training in several processes: what they exchange, and which batches each of them trains on.

use crate::data::Fingerprint;
use crate::nn::train::engine::Outcome;
use crate::nn::train::reduce::Reducer;
use crate::{Error, Result};

/// The part of a process in a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub rank: usize,
    pub world: usize,
}

impl Shard {
    /// Rejects a rank that is none.
    pub fn check(self) -> Result<()> {
        let Shard { rank, world } = self;
        if rank < world {
            return Ok(());
        }
        let found = format!("rank {rank} of {world}");
        Err(Error::option("fit", "shard", found, "a rank below the number of processes, from 0"))
    }
}

/// The numbers that follow the gradient of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tail {
    pub outcome: Outcome,
    /// A callback of the update before requests the end.
    pub asks: bool,
    pub failed: bool,
}

impl Tail {
    pub fn numbers(self) -> [f64; 4] {
        let Outcome { loss, correct } = self.outcome;
        [loss, correct, f64::from(u8::from(self.asks)), f64::from(u8::from(self.failed))]
    }

    pub fn of([loss, correct, asks, failed]: [f64; 4]) -> Self {
        Tail { outcome: Outcome { loss, correct }, asks: asks > 0.0, failed: failed > 0.0 }
    }
}

/// What a number is in the slots of others: x + −0 is x in every bit, also for x = −0.
const NOTHING: f64 = -0.0;

/// The [`Reduce`] of a training, and the part of this process in it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub reducer: Reducer,
    /// `None` if the function alone is called.
    pub shard: Option<Shard>,
    /// Devices of several kinds take part: their roundings differ.
    pub is_mixed: bool,
}

impl Exchange {
    pub fn new(reducer: Reducer, shard: Option<Shard>) -> Self {
        Exchange { reducer, shard, is_mixed: false }
    }

    /// Number of processes that share an update's batches.
    pub fn world(&self) -> usize {
        self.shard.map_or(1, |shard| shard.world)
    }

    pub fn rank(&self) -> usize {
        self.shard.map_or(0, |shard| shard.rank)
    }

    /// True for one batch in as many as there are processes; `number` counts from 0 in its update.
    pub fn owns(&self, number: usize) -> bool {
        number % self.world() == self.rank()
    }

    /// Sums of numbers over all processes, in which each has filled its own slots and left
    /// [`Exchange::slots`] in others. With an error on any process, an error on all.
    pub fn share(&self, own: Result<Vec<f64>>, length: usize) -> Result<Vec<f64>> {
        if self.shard.is_none() {
            return own;
        }
        let failed = f64::from(u8::from(own.is_err()));
        let (mut numbers, error) = match own {
            Ok(numbers) => (numbers, None),
            Err(error) => (Exchange::slots(length), Some(error)),
        };
        numbers.push(failed);
        let done = self.reducer.lock().reduce_f64(&mut numbers);
        if let Some(error) = error {
            return Err(error);
        }
        done?;
        match numbers.pop() {
            Some(0.0) => Ok(numbers),
            _ => Err(another_failed()),
        }
    }

    /// Empty slots.
    pub fn slots(length: usize) -> Vec<f64> {
        vec![NOTHING; length]
    }

    /// True on all processes if it is on one.
    pub fn any(&self, own: Result<bool>) -> Result<bool> {
        let numbers = self.share(own.map(|own| vec![f64::from(u8::from(own))]), 1)?;
        Ok(numbers[0] > 0.0)
    }

    /// An error on all processes if there is one on any.
    pub fn agree(&self, own: Result<()>) -> Result<()> {
        self.share(own.map(|()| Vec::new()), 0).map(drop)
    }

    /// What this process has found, if no process has an error.
    pub fn agree_on<T>(&self, own: Result<T>) -> Result<T> {
        match own {
            Ok(own) => self.agree(Ok(())).map(|()| own),
            Err(error) => {
                self.agree(Err(error))?;
                Err(another_failed())
            }
        }
    }

    /// The number of the first process on all of them.
    pub fn of_first(&self, own: Result<Option<f64>>) -> Result<Option<f64>> {
        if self.shard.is_none() {
            return own;
        }
        let own = own.map(|own| match (self.rank(), own) {
            (0, Some(number)) => vec![1.0, number],
            _ => Exchange::slots(2),
        });
        let numbers = self.share(own, 2)?;
        Ok((numbers[0] > 0.0).then_some(numbers[1]))
    }

    /// The outcomes of all processes, each of which knows those for which `owns` is true.
    pub fn outcomes(
        &self,
        own: Result<Vec<Outcome>>,
        count: usize,
        owns: impl Fn(usize) -> bool,
    ) -> Result<Vec<Outcome>> {
        let slots = own.map(|own| {
            let mut numbers = Exchange::slots(2 * count);
            let places = (0..count).filter(|&number| owns(number));
            for (place, outcome) in places.zip(own) {
                numbers[2 * place..2 * place + 2].copy_from_slice(&[outcome.loss, outcome.correct]);
            }
            numbers
        });
        let numbers = self.share(slots, 2 * count)?;
        let outcome = |pair: &[f64]| Outcome { loss: pair[0], correct: pair[1] };
        Ok(numbers.chunks_exact(2).map(outcome).collect())
    }

    /// Takes part in the exchange of an update's gradient, of `length` numbers, without one: the
    /// other processes end with an error.
    pub fn fail(&self, length: usize, is_double: bool) {
        if self.shard.is_none() {
            return;
        }
        let mut numbers = Exchange::slots(length);
        numbers.extend(Tail { failed: true, ..Tail::default() }.numbers());
        // The error of this process is reported, and not that of its last exchange.
        let mut reduce = self.reducer.lock();
        let _ = match is_double {
            true => reduce.reduce_f64(&mut numbers),
            false => {
                let mut single: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
                reduce.reduce(&mut single)
            }
        };
    }

    /// Compares what the processes begin with, by name; the kinds of devices may differ, which
    /// [`Exchange::is_mixed`] then says.
    pub fn greet(&mut self, facts: &[(&str, u64)], device: u64) -> Result<()> {
        const PARTS: usize = 4;
        let Some(Shard { rank, world }) = self.shard else { return Ok(()) };
        let each = 1 + PARTS * (facts.len() + 1);
        let mut slots = Exchange::slots(world * each);
        let all = facts.iter().map(|(_, fact)| *fact).chain([device]);
        // Parts of 16 bits are exact in f32 too.
        let parts = all.flat_map(|fact| (0..PARTS).map(move |part| fact >> (16 * part) & 0xffff));
        let own = [1.0].into_iter().chain(parts.map(|part| part as f64));
        slots[rank * each..(rank + 1) * each]
            .iter_mut()
            .zip(own)
            .for_each(|(slot, fact)| *slot = fact);
        let found = self.share(Ok(slots), world * each)?;
        let process = |rank: usize| &found[rank * each..(rank + 1) * each];
        for rank in 0..world {
            if process(rank)[0] != 1.0 {
                let found = process(rank)[0];
                return Err(Error::Exchange {
                    message: format!(
                        "{found} processes answer as rank {rank} of {world}: each must have a rank of its own, and reduce must sum"
                    ),
                });
            }
        }
        for rank in 1..world {
            for (number, (name, _)) in facts.iter().enumerate() {
                let at = 1 + PARTS * number;
                if process(rank)[at..at + PARTS] != process(0)[at..at + PARTS] {
                    return Err(Error::Exchange {
                        message: format!(
                            "rank {rank} has another {name} than rank 0: all must begin with the same"
                        ),
                    });
                }
            }
        }
        let device = |rank: usize| &process(rank)[each - PARTS..];
        self.is_mixed = (1..world).any(|rank| device(rank) != device(0));
        Ok(())
    }
}

/// The error of a process whose others have failed.
pub(crate) fn another_failed() -> Error {
    Error::Exchange { message: "another process has failed, which says why".into() }
}

/// A hash of text.
pub(crate) fn hash(text: &str) -> u64 {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add_all(text.as_bytes());
    fingerprint.value()
}

/// A hash of the bits of numbers.
pub(crate) fn hash_of_numbers<'n>(all: impl Iterator<Item = &'n [f64]>) -> u64 {
    let mut fingerprint = Fingerprint::new();
    all.for_each(|numbers| fingerprint.add_all(numbers));
    fingerprint.value()
}
