//! The clock. Pure code takes what it says as a value.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A clock that was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts one.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was started; never goes back.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The time of day, in UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn now() -> Timestamp {
        Timestamp::now()
    }
}
