//! What is asked of the gate.

use std::path::PathBuf;
use std::time::Duration;

use super::Policy;
use crate::config::environment::Environment;
use crate::config::gate::Databases;
use crate::config::service::Check;

/// What is asked of the gate.
#[derive(Clone, Debug)]
pub struct Request {
    /// The service's directory.
    pub directory: PathBuf,
    /// The checks to make.
    pub checks: Vec<Check>,
    /// Which findings fail.
    pub policy: Policy,
    /// How old the databases may be.
    pub ages: Databases,
    /// An image: a docker-save archive, an OCI layout as archive or directory.
    pub image: Option<PathBuf>,
    /// The directory with `trivy.db` and `metadata.json`, or the one above its `db`.
    pub trivy_db: Option<PathBuf>,
    /// A copy of the Go vulnerability database.
    pub vuln_db: Option<PathBuf>,
    /// What each run of a tool may take.
    pub timeout: Duration,
    /// The user's environment; tools get a little of it.
    pub environment: Environment,
}
