//! Processes of MPI that train one model together.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};
use mpi::{Threading, initialize_with_threading};

use crate::cpu::real::Real;
use crate::nn::train::reduce::Reduce;
use crate::{Error, Result};

/// Numbers per call: MPI counts in 32 bits.
const MOST: usize = 1 << 28;

/// This process as one of those that `mpirun` has started (feature `mpi`). MPI ends when it
/// and its [`Mpi::reduce`] are dropped, for which all processes wait.
///
/// ```no_run
/// use gradus::{Fit, Mpi};
/// let mpi = Mpi::start()?;
/// let fit = Fit::new().reduce(mpi.reduce()).shard(mpi.rank(), mpi.world());
/// # let _ = fit;
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Mpi {
    /// Every call of MPI holds it: MPI takes one call at a time, and none behind its end.
    universe: Arc<Mutex<Universe>>,
    rank: usize,
    world: usize,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.world)
    }
}

impl Mpi {
    /// Starts MPI in this process, once.
    ///
    /// # Errors
    /// [`Error::Exchange`] if it was started before, or cannot be called from more than one thread.
    pub fn start() -> Result<Self> {
        let failed = |message: &str| Error::Exchange { message: message.into() };
        let (universe, threading) = initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| failed("MPI was started before in this process"))?;
        if threading < Threading::Serialized {
            return Err(failed("this MPI cannot be called from several threads"));
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        Ok(Mpi { universe: Arc::new(Mutex::new(universe)), rank, world: size })
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Sums over the processes in the order of their ranks, for [`Fit::reduce`](crate::Fit::reduce).
    /// MPI itself ends all processes if one of them dies.
    pub fn reduce(&self) -> impl Reduce + use<> {
        Sums { universe: self.universe.clone(), world: self.world }
    }

    /// Ends all processes with an exit code: for an error of one, for which the others would wait.
    pub fn abort(&self, code: i32) -> ! {
        match self.universe.try_lock() {
            Ok(universe) => universe.world().abort(code),
            Err(TryLockError::Poisoned(universe)) => universe.into_inner().world().abort(code),
            // Another thread waits for the other processes: the launcher ends them when this one is
            // gone without the end of MPI.
            Err(TryLockError::WouldBlock) => std::process::exit(code),
        }
    }
}

/// Sums by MPI.
struct Sums {
    universe: Arc<Mutex<Universe>>,
    world: usize,
}

impl Reduce for Sums {
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        self.sum(numbers);
        Ok(())
    }

    fn reduce_f64(&mut self, numbers: &mut [f64]) -> Result<()> {
        self.sum(numbers);
        Ok(())
    }
}

impl Sums {
    fn sum<R: Real + Equivalence>(&self, numbers: &mut [R]) {
        for numbers in numbers.chunks_mut(MOST) {
            self.sum_chunk(numbers);
        }
    }

    /// Each process sums a part of the numbers and gathers the parts of others: the order of the sums is
    /// that of the ranks, which an all-reduce of MPI need not keep.
    fn sum_chunk<R: Real + Equivalence>(&self, numbers: &mut [R]) {
        let world = self.world;
        if world == 1 {
            return;
        }
        let each = numbers.len().div_ceil(world);
        let mut parts = numbers.to_vec();
        parts.resize(each * world, R::ZERO);
        let mut of_all = vec![R::ZERO; each * world];
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        let communicator = universe.world();
        communicator.all_to_all_into(&parts[..], &mut of_all[..]);
        let (own, others) = of_all.split_at_mut(each);
        for other in others.chunks_exact(each.max(1)) {
            own.iter_mut().zip(other).for_each(|(sum, &term)| *sum += term);
        }
        communicator.all_gather_into(&own[..], &mut parts[..]);
        numbers.copy_from_slice(&parts[..numbers.len()]);
    }
}
