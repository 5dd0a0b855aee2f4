//! The processes of `mpirun`: what each of them does in `gradus train`.

use std::env;

use gradus::Fit;

use crate::output;
use crate::output::Outcome;

/// Variables that launchers set to the number of processes: Open MPI, MPICH, PMIx.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"];

/// The number of processes that a launcher has started; 1 without one.
fn launched() -> usize {
    let size = |name: &&str| env::var(name).ok()?.parse().ok();
    SIZES.iter().find_map(size).unwrap_or(1)
}

/// The processes that train together: one, or those of `mpirun`.
pub struct Ranks {
    #[cfg(feature = "mpi")]
    mpi: Option<gradus::Mpi>,
}

impl Ranks {
    /// Meets the other processes, if there are any.
    #[cfg(feature = "mpi")]
    pub fn meet() -> Outcome<Self> {
        let mpi = (launched() > 1).then(gradus::Mpi::start).transpose()?;
        Ok(Ranks { mpi })
    }

    /// Warns of other processes.
    #[cfg(not(feature = "mpi"))]
    pub fn meet() -> Outcome<Self> {
        let processes = launched();
        if processes > 1 {
            output::note(&format!(
                "warning: {processes} processes were started, and each trains alone: this gradus is built without the feature `mpi`"
            ));
        }
        Ok(Ranks {})
    }

    /// The number of this process, from 0, and the number of processes.
    pub fn place(&self) -> (usize, usize) {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            return (mpi.rank(), mpi.world());
        }
        (0, 1)
    }

    /// The options of a training, for this process.
    pub fn add_to(&self, fit: Fit) -> Fit {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            return fit.reduce(mpi.reduce()).shard(mpi.rank(), mpi.world());
        }
        fit
    }

    /// Ends all processes after an error of this one: the others would wait for it.
    pub fn end(&self, outcome: Outcome) -> Outcome {
        #[cfg(feature = "mpi")]
        if let (Some(mpi), Err(failure)) = (&self.mpi, &outcome)
            && !matches!(failure, output::Failure::Interrupted(_) | output::Failure::Closed)
        {
            output::exit_code(outcome);
            mpi.abort(1);
        }
        outcome
    }
}
