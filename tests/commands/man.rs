use crate::support::Sandbox;

#[test]
fn every_verb_has_a_man_page() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["man", "pages"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    for page in ["msctl.1", "msctl-new.1", "msctl-canary-rehearse.1"] {
        let text = std::fs::read_to_string(sandbox.path(format!("pages/{page}"))).unwrap_or_default();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text:?}");
    }
}
