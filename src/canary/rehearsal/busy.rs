//! Whether the machine has time to spare. Where it has none, how long a request took says more of who had to wait for a
//! processor than of who answered it: both arms, the proxy and the load share one machine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So far back it looks.
const WINDOW: Duration = Duration::from_secs(1);

/// With less idle time than one part in so many, the machine is busy. Measured on two cores: a rehearsal with `--fast` leaves
/// 40 to 55 in a hundred; beside four busy loops nothing is left.
const LEAST: u64 = 10;

/// What the processors did, as `/proc/stat` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent {
    idle: u64,
    all: u64,
}

/// The last looks at the processors.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(VecDeque<(Instant, Spent)>);

impl Busy {
    /// Whether the processors had no time to spare of late. Where the system does not say, they had.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        parse(&text).is_some_and(|spent| self.judge(now, spent))
    }

    fn judge(&mut self, now: Instant, spent: Spent) -> bool {
        self.0.push_back((now, spent));
        // One from before the window stays, so that there is always a whole one.
        while self
            .0
            .get(1)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.0.pop_front();
        }
        let (_, first) = self.0[0];
        let (idle, all) = (
            spent.idle.saturating_sub(first.idle),
            spent.all.saturating_sub(first.all),
        );
        all > 0 && idle * LEAST < all
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, waiting for disks, …; proc(5).
fn parse(text: &str) -> Option<Spent> {
    let numbers = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let numbers: Vec<u64> = numbers.map_while(|number| number.parse().ok()).collect();
    Some(Spent {
        idle: numbers.get(3)? + numbers.get(4)?,
        // Guests are counted among user and nice already.
        all: numbers.iter().take(8).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::rehearsal::now;

    #[test]
    fn the_processors_of_linux_are_read() {
        let text = "cpu  100 5 20 800 30 1 2 3 50 0\ncpu0 1 2 3 4\n";
        assert_eq!(parse(text), Some(Spent { idle: 830, all: 961 }));
        assert_eq!(parse(""), None);
        assert_eq!(parse("cpu  a b\n"), None);
    }

    #[test]
    fn it_is_busy_as_long_as_nothing_is_left() {
        let (start, mut busy) = (now(), Busy::default());
        let mut look =
            |ms: u64, idle: u64, all: u64| busy.judge(start + Duration::from_millis(ms), Spent { idle, all });
        assert!(!look(0, 0, 0), "one look says nothing");
        assert!(!look(500, 50, 100));
        assert!(!look(1_000, 60, 200), "60 of 200");
        assert!(look(1_500, 62, 300), "12 of 200");
        assert!(look(2_000, 62, 400), "2 of 200");
        assert!(!look(2_500, 90, 500), "28 of 200");
    }
}
