//! Whether a weight is in force, waited for.

use std::time::Duration;

use super::place::Placed;
use crate::canary::mesh::Lag;
use crate::config::units::Weight;
use crate::failure::{Failure, Kind};
use crate::process::Clock;

/// How long a weight may take until every proxy shows it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long it is between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until every proxy shows this weight; how many do. `Stuck` when they do not in time, with what to type by hand.
pub(super) fn in_force(placed: &Placed, weight: Weight) -> Result<usize, Failure> {
    let proxies = placed.proxies(&placed.target.look(&placed.cluster)?);
    let clock = Clock::start();
    loop {
        let lag = match proxies.show(&placed.cluster, weight) {
            Ok(count) => return Ok(count),
            Err(lag) => lag,
        };
        // Who cannot be seen now will hardly be seen soon.
        if clock.elapsed() > LIMIT || matches!(lag, Lag::Unseen(_)) {
            let (name, service) = (placed.target.name(), &placed.target.service);
            let message = format!("the {name} gives the canary {weight}, and it is not proven to be in force: {lag}");
            return Err(Failure::new(Kind::Stuck, message).hint(format!(
                "istioctl proxy-status -n {}    says which proxies lag; {service} is what they call",
                placed.target.namespace
            )));
        }
        std::thread::sleep(PAUSE);
    }
}
