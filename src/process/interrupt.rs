//! Ctrl-C and SIGTERM, as something a loop can ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Failure, Kind};

/// Watches for SIGINT and SIGTERM from when it is made; until then they end the process as usual.
#[derive(Clone, Debug)]
pub struct Interrupt {
    int: Arc<AtomicBool>,
    term: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to watch. A signal wakes the thread that called this, if it is parked.
    pub fn watch() -> Result<Self, Failure> {
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|e| Failure::new(Kind::Io, "cannot watch for signals").caused_by(e))?;
        let (this, caller) = (Self::never(), std::thread::current());
        let (int, term) = (Arc::clone(&this.int), Arc::clone(&this.term));
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let flag = if signal == SIGTERM { &term } else { &int };
                flag.store(true, Ordering::Relaxed);
                caller.unpark();
            }
        });
        Ok(this)
    }

    /// One that no signal reaches.
    pub fn never() -> Self {
        let (int, term) = (Arc::default(), Arc::default());
        Self { int, term }
    }

    /// Which signal came, since [`Self::forget`] or the beginning.
    pub fn asked(&self) -> Option<Kind> {
        if self.int.load(Ordering::Relaxed) {
            Some(Kind::Interrupted)
        } else if self.term.load(Ordering::Relaxed) {
            Some(Kind::Terminated)
        } else {
            None
        }
    }

    /// From now on only a new signal counts: the second Ctrl-C.
    pub fn forget(&self) {
        self.int.store(false, Ordering::Relaxed);
        self.term.store(false, Ordering::Relaxed);
    }
}
