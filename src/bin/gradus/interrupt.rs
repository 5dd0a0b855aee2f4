//! Ctrl-C and `kill`: the first one asks the work to end at its next step, a second one ends the process at once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::output::{Failure, Outcome};

/// How a command ends that was interrupted, as shells have it for SIGINT.
pub const EXIT_CODE: u8 = 130;

/// Listens from when it is made until the process ends.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Interrupt {
    /// Hears of nothing: signals end the process as they always do.
    pub fn none() -> Self {
        Interrupt { asked: Arc::default(), idle: Arc::default() }
    }

    pub fn listen() -> Outcome<Self> {
        let found = Interrupt { asked: Arc::default(), idle: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the signal that sets the flag must not find it set.
            let listen =
                flag::register_conditional_shutdown(signal, EXIT_CODE.into(), found.asked.clone())
                    .and_then(|_| {
                        flag::register_conditional_shutdown(
                            signal,
                            EXIT_CODE.into(),
                            found.idle.clone(),
                        )
                    })
                    .and_then(|_| flag::register(signal, found.asked.clone()));
            listen.map_err(|error| Failure::Failed(format!("listening for signals: {error}")))?;
        }
        Ok(found)
    }

    /// Whether the end was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// For a callback behind each step.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// From now on nothing is left to be saved: the first one ends the process at once.
    pub fn end_at_once(&self) {
        self.idle.store(true, Ordering::Relaxed);
    }
}
