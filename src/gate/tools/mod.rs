//! One file per tool: its invocation, its parser (pure), its positive control.

mod go;
pub(super) mod golangci;
pub(super) mod govulncheck;
pub(super) mod hadolint;
pub(super) mod trivy;
