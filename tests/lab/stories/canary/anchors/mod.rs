//! msctl beside the real Flagger and the real Argo Rollouts, on one mesh and the same traffic: a namespace and a gateway for each
//! app, 20 requests a second, Prometheus with 5 s scrapes. `tests/run bench` alone has the controllers, and prints the table of
//! docs/benchmarks-mesh.md.

mod argo;
mod contender;
mod flagger;
mod hands;
mod ours;
mod outcome;
mod race;
mod rows;
mod table;

use race::Race;

#[test]
#[ignore = "it needs the controllers: tests/run bench"]
fn msctl_flagger_and_argo_rollouts_on_the_same_traffic() {
    let mut race = Race::open();
    rows::all(&mut race);
}
