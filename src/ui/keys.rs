//! Single keys, from a terminal.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use console::Term;

/// The keys that are pressed while something is shown. Ctrl-C ends the process as usual.
#[derive(Debug)]
pub struct Keys(Receiver<char>);

impl Keys {
    pub(super) fn listen() -> Self {
        let (sender, pressed) = channel();
        // It waits in a read that nothing ends but a key; the process does not wait for it.
        std::thread::spawn(move || {
            let term = Term::stderr();
            while let Ok(key) = term.read_char() {
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        Self(pressed)
    }

    /// The next key, if one is pressed in this time.
    pub fn next(&self, limit: Duration) -> Option<char> {
        self.0.recv_timeout(limit).ok()
    }
}
