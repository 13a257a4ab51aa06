//! The `msctl` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(msctl::run(std::env::args_os()))
}
