use crate::support::Sandbox;

#[test]
fn the_scripts_in_the_tree_are_those_the_program_prints() {
    let sandbox = Sandbox::new();
    for (shell, file) in [("bash", "msctl.bash"), ("zsh", "_msctl"), ("fish", "msctl.fish")] {
        let run = sandbox.msctl(["completions", shell]);
        assert_eq!(run.code, 0, "{}", run.transcript());
        let kept = std::fs::read_to_string(crate::support::root().join("completions").join(file)).unwrap_or_default();
        assert!(
            kept == run.stdout,
            "completions/{file} is stale: `msctl completions {shell} > completions/{file}`"
        );
    }
}

#[test]
fn every_verb_has_a_man_page() {
    let sandbox = Sandbox::new();
    let run = sandbox.msctl(["man", "pages"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    for page in ["msctl.1", "msctl-new.1", "msctl-canary-rehearse.1"] {
        let text = std::fs::read_to_string(sandbox.path(page_path(page))).unwrap_or_default();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text:?}");
    }
}

fn page_path(page: &str) -> String {
    format!("pages/{page}")
}
