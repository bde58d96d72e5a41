//! Ctrl-C, SIGTERM and SIGUSR1: the first asks to checkpoint and stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Whether someone asked to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to the signals from now on.
    pub(super) fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let failed =
            |cause: std::io::Error| Error::data(format!("failed to listen to signals: {cause}"));
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
            for signal in [SIGINT, SIGTERM, SIGUSR1] {
                // The order matters: the shutdown sees the flag of an *earlier* signal only.
                signal_hook::flag::register_conditional_shutdown(signal, 85, Arc::clone(&flag))
                    .map_err(failed)?;
                signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(failed)?;
            }
        }
        Ok(Self(flag))
    }

    /// Asks to stop.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
