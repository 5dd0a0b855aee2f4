//! The processes of `mpirun`: what each of them does in `gradus train`.

use std::env;

use gradus::Fit;

use crate::output;
use crate::output::Outcome;

/// Variables that launchers set to the number of processes: Open MPI, MPICH.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"];

/// What a launcher has started.
#[derive(Debug, PartialEq)]
enum Launch {
    /// This process alone.
    Alone,
    /// So many processes.
    Several(usize),
    /// Some processes: a launcher that follows PMIx says which one this is, and not of how many.
    Unknown,
}

impl Launch {
    /// What the variables of the environment say.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.parse::<usize>().ok();
        let size = SIZES.iter().find_map(|name| number(name)).or_else(|| {
            // A batch script has a process number and SLURM_NTASKS too, but it is one process: only
            // what `srun` starts is a step.
            let step = number("SLURM_STEP_NUM_TASKS");
            let in_step = || number("SLURM_STEP_ID").and_then(|_| number("SLURM_NTASKS"));
            number("SLURM_PROCID").and_then(|_| step.or_else(in_step))
        });
        match size {
            Some(0 | 1) => Launch::Alone,
            Some(size) => Launch::Several(size),
            None if variable("PMIX_RANK").is_some() => Launch::Unknown,
            None => Launch::Alone,
        }
    }

    /// What the environment of this process says.
    fn here() -> Self {
        Launch::of(|name| env::var(name).ok())
    }

    /// Warns of other processes, if there may be any.
    fn warn(&self, why: &str) {
        match self {
            Launch::Alone => {}
            Launch::Several(processes) => output::note(&format!(
                "warning: {processes} processes were started, and each trains alone: {why}"
            )),
            Launch::Unknown => output::note(&format!(
                "warning: if several processes were started (PMIX_RANK is set), each trains alone: {why}"
            )),
        }
    }
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
        let launch = Launch::here();
        let mpi = (launch != Launch::Alone).then(gradus::Mpi::start).transpose()?;
        let mpi = mpi.filter(|mpi| mpi.world() > 1);
        // A PMIx of one process is nothing to warn of: MPI knows the number.
        if let (None, Launch::Several(_)) = (&mpi, &launch) {
            launch.warn(
                "MPI knows of one; start them by its own mpirun, or by srun with the --mpi that it needs",
            );
        }
        Ok(Ranks { mpi })
    }

    /// Warns of other processes.
    #[cfg(not(feature = "mpi"))]
    pub fn meet() -> Outcome<Self> {
        Launch::here().warn("this gradus is built without the feature `mpi`");
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

    /// Ends all processes after an error of this one: the others would wait for it. An interrupted
    /// training has ended in all of them.
    pub fn end(&self, outcome: Outcome) -> Outcome {
        #[cfg(feature = "mpi")]
        if let (Some(mpi), Err(failure)) = (&self.mpi, &outcome)
            && !matches!(failure, output::Failure::Interrupted(_))
        {
            // A reader that closes the pipe is not an error, but may have ended this process before the
            // training.
            let code = match failure {
                output::Failure::Closed => 0,
                output::Failure::Usage(_) => 2,
                _ => 1,
            };
            output::exit_code(outcome);
            // MPICH's launcher drops what it has not read yet of a process that aborts: the message.
            std::thread::sleep(std::time::Duration::from_millis(200));
            mpi.abort(code);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::Launch;

    fn launch(given: &[(&str, &str)]) -> Launch {
        let find = |name: &str| given.iter().find(|(known, _)| *known == name);
        Launch::of(|name| find(name).map(|(_, value)| (*value).to_string()))
    }

    #[test]
    fn launchers_are_known_by_their_variables() {
        assert_eq!(launch(&[]), Launch::Alone);
        assert_eq!(launch(&[("OMPI_COMM_WORLD_SIZE", "4")]), Launch::Several(4));
        assert_eq!(launch(&[("PMI_SIZE", "2")]), Launch::Several(2));
        // One process of an `mpirun` that speaks PMIx.
        let one = [("OMPI_COMM_WORLD_SIZE", "1"), ("PMIX_RANK", "0")];
        assert_eq!(launch(&one), Launch::Alone);
        assert_eq!(launch(&[("PMIX_RANK", "0")]), Launch::Unknown);
        // `srun -n 4`, with PMIx and without.
        let step = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_NUM_TASKS", "4")];
        assert_eq!(launch(&step), Launch::Several(4));
        let pmix = [("PMIX_RANK", "1"), step[0], step[1], ("SLURM_STEP_ID", "0")];
        assert_eq!(launch(&pmix), Launch::Several(4));
        // The script of `sbatch -n 4`, which runs once.
        assert_eq!(launch(&step[..2]), Launch::Alone);
    }
}
