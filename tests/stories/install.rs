//! `install.sh` outside a checkout: release archives from a file server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, Sandbox, program, root};

/// A file server on loopback; its thread ends with the test process.
fn serve(directory: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.take_while(|l| !l.is_empty()).for_each(drop);
            let file = request
                .split(' ')
                .nth(1)
                .unwrap_or("/")
                .trim_start_matches('/')
                .to_owned();
            let (status, body) = match std::fs::read(directory.join(file)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // The client may leave early; the test looks at what the client says.
            let _ = (&stream)
                .write_all(head.as_bytes())
                .and_then(|()| (&stream).write_all(&body));
        }
    });
    format!("http://{address}")
}

const ARCHIVE: &str = "msctl-0.1.0-x86_64-unknown-linux-gnu.tar.gz";

/// A sandbox with `install.sh` outside any checkout and a release made of the program under test.
fn release() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    std::fs::copy(root().join("install.sh"), sandbox.path("install.sh")).expect("a copy");
    sandbox.write("release/README", "");
    let mut pack = Command::new("tar");
    pack.arg("-czf").arg(sandbox.path("release").join(ARCHIVE)).arg("-C");
    let status = pack
        .arg(program().parent().expect("a directory"))
        .arg("msctl")
        .status()
        .expect("tar runs");
    assert!(status.success());
    let sum = sandbox.run_in("release", Path::new("/usr/bin/sha256sum"), [ARCHIVE]);
    sandbox.write(&format!("release/{ARCHIVE}.sha256"), &sum.stdout);
    let base = serve(sandbox.path("release"));
    (sandbox, base)
}

fn install(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run_in("", Path::new("/bin/sh"), ["./install.sh"].iter().chain(arguments))
}

#[test]
fn a_release_is_checked_and_installed() {
    let (sandbox, base) = release();
    let run = install(&sandbox, &["--from", &base, "--version", "0.1.0", "--to", "bin"]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert_eq!(
        sandbox.tidy(&run.stderr),
        "Installed msctl 0.1.0: [WORK]/bin/msctl\n  [WORK]/bin is not on your PATH yet: export PATH=\"[WORK]/bin:$PATH\"\n"
    );
    let version = sandbox.run_in("", &sandbox.path("bin/msctl"), ["--version"]);
    assert_eq!((version.code, &*version.stdout), (0, "msctl 0.1.0\n"));
}

#[test]
fn the_base_may_come_from_the_environment_and_the_place_is_the_users() {
    let (sandbox, base) = release();
    let sandbox = sandbox
        .with_env("MSCTL_INSTALL_FROM", &base)
        .with_env("MSCTL_INSTALL_VERSION", "0.1.0");
    let run = install(&sandbox, &[]);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(sandbox.path("../home/.local/bin/msctl").is_file());
}

#[test]
fn an_archive_with_another_hash_is_not_installed() {
    let (sandbox, base) = release();
    sandbox.write(&format!("release/{ARCHIVE}.sha256"), "0000");
    let run = install(&sandbox, &["--from", &base, "--version", "0.1.0", "--to", "bin"]);
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stderr.contains("its .sha256 file says 0000; not installed"),
        "{}",
        run.transcript()
    );
    assert!(!sandbox.path("bin").exists());
}

#[test]
fn what_cannot_be_had_is_one_clear_line() {
    let (sandbox, base) = release();
    for (arguments, error) in [
        (vec!["--from", &*base, "--version", "9.9.9"], "cannot fetch"),
        (vec!["--from", "http://127.0.0.1:1"], "cannot fetch http://127.0.0.1:1/"),
        (vec![], "this is no checkout, and no release was named"),
        (vec!["--form", "x"], "`--form` is not an option"),
        (vec!["--from"], "`--from` needs a value"),
        (
            vec!["--from", &*base, "--version", "0.1.0", "--to", "/dev/null/x"],
            "cannot make `/dev/null/x`",
        ),
    ] {
        let run = install(&sandbox, &arguments);
        assert_eq!(run.code, 2, "{}", run.transcript());
        assert!(run.stderr.contains(&format!("error: {error}")), "{}", run.transcript());
        assert!(run.stderr.contains("hint: "), "{}", run.transcript());
    }
}

#[test]
fn a_checkout_without_cargo_names_what_is_missing() {
    let sandbox = Sandbox::new();
    let script = root().join("install.sh");
    let run = sandbox.run_in(
        "",
        Path::new("/bin/sh"),
        [script.to_str().expect("UTF-8"), "--to", "bin"],
    );
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stderr
            .starts_with("error: `cargo` is missing\n  hint: install Rust"),
        "{}",
        run.transcript()
    );
}
