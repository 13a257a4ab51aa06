//! Which policy and which waivers are in force.

use std::path::Path;

use jiff::civil::Date;

use super::Policy;
use crate::config::gate::Gate;
use crate::config::service::Service;
use crate::config::waivers::{self, Limit};
use crate::failure::Failure;

/// The rules of one run.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What the gate asks, as msctl.yaml says it.
    pub gate: Gate,
    /// Which findings fail.
    pub policy: Policy,
}

impl Rules {
    /// Reads them for the service in `directory`, whose msctl.yaml says `own`.
    pub fn read(directory: &Path, own: Option<&Service>, today: Date) -> Result<Self, Failure> {
        let gate = own.map_or_else(Gate::default, |service| service.gate.clone());
        let limit = Limit {
            today,
            days: gate.waivers.max_days,
        };
        let mut policy = Policy::of(&gate, today);
        policy.waivers = waivers::parse(waivers::FILE, &waivers::load(directory)?, limit)?;
        Ok(Self { gate, policy })
    }
}
