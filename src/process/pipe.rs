//! One stream of a child, read in its own thread, so that neither stream can block the other.

use std::io::Read;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// What a reader has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nobody holds the stream's other end any more.
    Closed,
    /// There was more than the cap.
    Flooded(usize),
}

/// The bytes read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Takes what was read. A reader that still waits keeps nothing more.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads `from` to its end. The thread is not joined: where a process that cannot be found holds the pipe, it waits on
/// alone, and the run goes on without it.
pub(super) fn read(mut from: impl Read + Send + 'static, cap: usize, news: Sender<News>) -> Kept {
    let kept = Kept::default();
    let into = kept.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut full = false;
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let mut bytes = into.0.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = cap.saturating_sub(bytes.len()).min(count);
                    bytes.extend_from_slice(&buffer[..room]);
                    if room < count && !full {
                        full = true;
                        _ = news.send(News::Flooded(cap)); // nobody listens once the run has been given up
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        _ = news.send(News::Closed);
    });
    kept
}
