//! Flagger and Argo Rollouts, the controllers that msctl is measured against, as their own projects make them: `tests/run bench`
//! builds them, and nothing else needs them.

use std::path::Path;

use super::control_plane::{ControlPlane, User};
use super::ground::Ground;
use super::mesh::define;
use super::part::Part;
use super::wire::Wire;
use crate::support::tool;

/// They listen on every address, and so on ports that no pod has.
const FLAGGER: u16 = 18_080;
const ARGO: u16 = 18_081;
const ARGO_METRICS: u16 = 18_082;

/// Flagger for Istio, which asks this Prometheus unless it is told another.
pub(crate) fn flagger(ground: &Ground, wire: &Wire, plane: &ControlPlane, prometheus: &str) -> Result<Part, String> {
    define(ground, plane, &[tool("flagger-crds").join("crd.yaml")])?;
    let arguments = [
        "-mesh-provider=istio".to_owned(),
        format!("-metrics-server={prometheus}"),
        "-log-level=info".into(),
        format!("-port={FLAGGER}"),
        format!("-kubeconfig={}", shown(&plane.kubeconfig(User::Admin))),
    ];
    start(ground, wire, "flagger", arguments.into(), FLAGGER)
}

/// The controller of Argo Rollouts.
pub(crate) fn argo_rollouts(ground: &Ground, wire: &Wire, plane: &ControlPlane) -> Result<Part, String> {
    // kustomize's own file there is none of the definitions.
    let definitions = [
        "rollout",
        "analysis-run",
        "analysis-template",
        "cluster-analysis-template",
        "experiment",
    ];
    let crds = tool("argo-rollouts-crds").join("crds");
    define(
        ground,
        plane,
        &definitions.map(|name| crds.join(format!("{name}-crd.yaml"))),
    )?;
    let arguments = [
        "--leader-elect=false".to_owned(),
        "--istio-api-version=v1".into(),
        format!("--healthzPort={ARGO}"),
        format!("--metricsPort={ARGO_METRICS}"),
        format!("--kubeconfig={}", shown(&plane.kubeconfig(User::Admin))),
    ];
    start(ground, wire, "argo-rollouts", arguments.into(), ARGO)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn start(ground: &Ground, wire: &Wire, name: &str, arguments: Vec<String>, port: u16) -> Result<Part, String> {
    let recipe = ground.door().recipe(tool(name), arguments);
    let (wire, health) = (wire.clone(), format!("http://127.0.0.1:{port}/healthz"));
    Part::start(ground, name, recipe, move || wire.is_ready(&health))
}
