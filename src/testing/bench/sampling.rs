//! Interleaved sampling: the work, its ceilings, the next device's, and again, so that all see the
//! same machine state.

use crate::Result;
use crate::testing::bench::measurement::Effort;
use crate::testing::bench::statistics::Percentiles;

/// Minimum length of a sample: the work is repeated to fill it, so that clock resolution and
/// submission are negligible.
const SAMPLE_SECONDS: f64 = 1e-2;

/// Minimum number of samples, even beyond the time limit; one alone if that would take ten times
/// the limit.
const FEWEST: usize = 3;
const FAR_TOO_LONG: f64 = 10.0;

/// Runs the work a given number of times and returns the seconds per run.
pub(crate) type Run = Box<dyn FnMut(usize) -> Result<f64>>;

/// Baseline of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ceiling {
    /// The copy kernel on the case's buffers, or `memcpy` on all threads.
    Copy,
    /// A read of the same memory.
    Read,
    /// Chains of fused multiply-adds in registers.
    Fma,
    /// Mean squared error by a hand-written loop.
    Fused,
}

/// A case prepared on a device.
pub(crate) struct Prepared {
    /// Seconds from inputs on the device to a result: pipelines, buffers and the work.
    pub first_call: f64,
    pub work: Run,
    pub ceilings: Vec<(Ceiling, Run)>,
    pub clock: &'static str,
    /// Repetitions of the work in one run.
    pub inner: usize,
}

/// Sampling results of a case on a device.
pub(crate) struct Sampled {
    pub work: Percentiles,
    pub ceilings: Vec<(Ceiling, Percentiles)>,
    /// Runs per sample of the work.
    pub repeats: usize,
    pub samples: usize,
}

/// A series of samples.
struct Lane<'a> {
    run: &'a mut Run,
    repeats: usize,
    /// True to run once before the clock starts: work in between has evicted the caches.
    leads_in: bool,
    seconds: Vec<f64>,
}

impl<'a> Lane<'a> {
    /// Warms up: runs once untimed, to allocate memory, and once to choose the repeats per sample.
    /// Work of several seconds is warm after its first call.
    fn new(run: &'a mut Run, inner: usize, first_call: f64) -> Result<(Self, f64)> {
        if first_call < 1.0 {
            run(1)?;
        }
        let seconds = run(1)? * inner as f64;
        let repeats = repeats(seconds);
        let leads_in = seconds < SAMPLE_SECONDS;
        let round = seconds * (repeats + usize::from(leads_in)) as f64;
        Ok((Lane { run, repeats, leads_in, seconds: Vec::new() }, round))
    }

    fn sample(&mut self) -> Result<()> {
        if self.leads_in {
            (self.run)(1)?;
        }
        self.seconds.push((self.run)(self.repeats)?);
        Ok(())
    }
}

/// Repeats per sample for a run of this length: ten or more for work under a millisecond.
fn repeats(seconds: f64) -> usize {
    ((SAMPLE_SECONDS / seconds.max(1e-9)).ceil() as usize).clamp(1, 1000)
}

/// Number of samples that fit the time limit of a case.
fn fitting(effort: &Effort, round: f64) -> usize {
    let fitting = (effort.seconds / round.max(1e-9)) as usize;
    let fewest = if FEWEST as f64 * round > FAR_TOO_LONG * effort.seconds { 1 } else { FEWEST };
    effort.samples.min(fitting).max(fewest.min(effort.samples)).max(1)
}

/// Takes interleaved samples of all prepared cases.
pub(crate) fn sample(prepared: &mut [Prepared], effort: &Effort) -> Result<Vec<Sampled>> {
    let mut lanes = Vec::new();
    let mut round = 0.0;
    for one in prepared.iter_mut() {
        let (lane, seconds) = Lane::new(&mut one.work, one.inner, one.first_call)?;
        let mut own = vec![(None, lane)];
        round += seconds;
        for (ceiling, run) in &mut one.ceilings {
            let (lane, seconds) = Lane::new(run, 1, 0.0)?;
            own.push((Some(*ceiling), lane));
            round += seconds;
        }
        lanes.push(own);
    }
    let samples = fitting(effort, round);
    for _ in 0..samples {
        for (_, lane) in lanes.iter_mut().flatten() {
            lane.sample()?;
        }
    }
    Ok(lanes.into_iter().filter_map(summed_up).collect())
}

fn summed_up(own: Vec<(Option<Ceiling>, Lane)>) -> Option<Sampled> {
    let mut own = own.into_iter();
    let (_, work) = own.next()?;
    let ceilings =
        own.filter_map(|(ceiling, lane)| Some((ceiling?, Percentiles::of(lane.seconds)))).collect();
    let (repeats, samples) = (work.repeats, work.seconds.len());
    Some(Sampled { work: Percentiles::of(work.seconds), ceilings, repeats, samples })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn what_is_short_is_repeated_and_what_is_long_is_not() {
        assert_eq!([0.0, 1e-5, 1e-3, 0.5].map(repeats), [1000, 1000, 10, 1]);
    }

    #[test]
    fn samples_that_would_take_too_long_become_fewer_but_never_none() {
        let fitting = |samples, seconds, round| fitting(&Effort { samples, seconds }, round);
        assert_eq!(fitting(20, 40.0, 0.1), 20);
        assert_eq!(fitting(20, 40.0, 4.0), 10);
        assert_eq!(fitting(20, 0.5, 0.1), 5);
        assert_eq!(fitting(20, 40.0, 100.0), 3);
        assert_eq!(fitting(20, 40.0, 400.0), 1);
        assert_eq!(fitting(1, 40.0, 400.0), 1);
        assert_eq!(fitting(0, 40.0, 0.1), 1);
    }

    #[test]
    fn samples_are_taken_in_turns() {
        let log = Rc::new(RefCell::new(String::new()));
        let run = |letter: char, seconds: f64| -> Run {
            let log = log.clone();
            Box::new(move |_| {
                log.borrow_mut().push(letter);
                Ok(seconds)
            })
        };
        let one = |work, ceiling| Prepared {
            first_call: 0.0,
            work: run(work, 0.2),
            ceilings: vec![(Ceiling::Copy, run(ceiling, 0.1))],
            clock: "wall",
            inner: 1,
        };
        let found =
            sample(&mut [one('a', 'b'), one('c', 'd')], &Effort { samples: 3, seconds: 40.0 })
                .unwrap();
        // Two warm-up runs each, then interleaved.
        assert_eq!(log.borrow().as_str(), "aabbccddabcdabcdabcd");
        assert_eq!((found.len(), found[1].samples, found[1].work.median), (2, 3, 0.2));
        assert_eq!((found[0].ceilings[0].0, found[0].ceilings[0].1.median), (Ceiling::Copy, 0.1));
    }
}
