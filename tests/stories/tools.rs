//! The tools that the other tests run are the pinned ones.

use std::path::Path;

use crate::support::Sandbox;

#[test]
fn the_pinned_tools_answer() {
    let sandbox = Sandbox::new().with_tools(&["trivy", "hadolint", "golangci-lint", "govulncheck", "gosec"]);
    for (tool, version) in [("trivy", "0.59.1"), ("hadolint", "2.15.1"), ("golangci-lint", "2.15.0")] {
        let run = sandbox.run_in("", Path::new("/usr/bin/env"), [tool, "--version"]);
        assert!(run.code == 0 && run.stdout.contains(version), "{}", run.transcript());
    }
}

#[test]
fn go_is_there_and_its_home_is_sealed() {
    let sandbox = Sandbox::new().with_go();
    sandbox.write("x/go.mod", "module example.com/x\n\ngo 1.26\n");
    assert!(sandbox.read("x/go.mod").contains("example.com/x"));
    let run = sandbox.run_in("x", Path::new("/usr/bin/env"), ["go", "list", "-m", "-f", "{{.Dir}}"]);
    assert_eq!(
        (run.code, sandbox.tidy(&run.stdout).as_str()),
        (0, "[WORK]/x\n"),
        "{}",
        run.transcript()
    );
}
