//! One file per tool: what it runs, its parser, its positive control. All pure.

mod go;
mod golangci;
mod govulncheck;
mod hadolint;
mod trivy;

use super::adapter::Adapter;

/// All of them; a new one is a file and a line here.
pub(super) const ALL: [&dyn Adapter; 6] = [
    &golangci::Golangci,
    &govulncheck::Govulncheck,
    &hadolint::Hadolint,
    &trivy::image::Image,
    &trivy::manifests::Manifests,
    &trivy::secrets::Secrets,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::GO;

    #[test]
    fn the_install_commands_are_those_of_the_pinned_tools() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools.lock")).expect("the lock");
        for tool in ALL.map(Adapter::tool).into_iter().chain([&GO]) {
            let line = lock
                .lines()
                .find(|l| !l.starts_with('#') && l.split_whitespace().nth(1) == Some(tool.name))
                .expect(tool.name);
            let cells: Vec<&str> = line.split_whitespace().collect();
            let wanted = match cells[0] {
                "wheel" => format!("pipx install {}", cells[3]),
                _ => format!("go install {}@v{}", cells[3], cells[2]),
            };
            assert_eq!(tool.install, wanted);
        }
    }
}
