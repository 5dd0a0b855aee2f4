//! Ctrl-C and `kill`: the first signal ends the work at its next step, a second one ends the
//! process at once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::output::{EXIT_CODE, Failure, Outcome};

/// Listens for signals from its creation until the process ends.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Interrupt {
    /// Ignores signals: they end the process by default.
    pub fn none() -> Self {
        Interrupt { asked: Arc::default(), idle: Arc::default() }
    }

    pub fn listen() -> Outcome<Self> {
        let found = Interrupt { asked: Arc::default(), idle: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the handler that sets the flag must run after those that test it.
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

    /// True once an interrupt was requested.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Return value for a callback after each step.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// From here on nothing remains to be saved: the first signal ends the process at once.
    pub fn end_at_once(&self) {
        self.idle.store(true, Ordering::Relaxed);
    }
}
