//! The cache of `tests/run`: what is found broken is installed again, what was cut off is no install, a filled one needs no
//! network.

use std::path::{Path, PathBuf};

use crate::lab::{Lab, small_disk};
use crate::support::{Run, Sandbox, finish, root};

/// The real script beside a lock of one row: a Go program that needs no module.
struct Checkout {
    sandbox: Sandbox,
    lab: Lab,
}

impl Checkout {
    fn new() -> Self {
        let (sandbox, lab) = (Sandbox::new(), Lab::new().expect("a lab"));
        sandbox.write("hello/go.mod", "module lab/hello\n\ngo 1.26.0\n");
        sandbox.write("hello/main.go", "package main\n\nfunc main() { println(\"hello\") }\n");
        sandbox.write(
            "tests/run",
            std::fs::read(root().join("tests/run")).expect("the script"),
        );
        let checkout = Self { sandbox, lab };
        checkout.lock(&checkout.sum());
        checkout
    }

    /// The SHA-256 of the program's files, as the lock wants it.
    fn sum(&self) -> String {
        let line = ["-c", "cat hello/go.mod hello/main.go | sha256sum | cut -d ' ' -f 1"];
        let run = self.sandbox.run_in("", Path::new("sh"), line);
        run.stdout.trim().to_owned()
    }

    fn lock(&self, sum: &str) {
        let row = format!("source hello 1.0.0 hello {sum} -\n");
        self.sandbox.write("tests/tools.lock", row);
    }

    /// `tests/run tools`, where there is no network.
    fn install(&self, cache: &Path) -> Run {
        let mut command = self.lab.ground().door().command("bash");
        command.arg(self.sandbox.path("tests/run")).arg("tools");
        finish(command.env("MSCTL_TEST_CACHE", cache))
    }

    fn cache(&self) -> PathBuf {
        self.sandbox.path("cache")
    }

    /// Installs, and says whether something was installed; what stands then works.
    fn installs(&self, said: &str) -> bool {
        let run = self.install(&self.cache());
        assert_eq!(run.code, 0, "{}", run.transcript());
        assert!(run.stderr.contains(said), "{}", run.transcript());
        let hello = finish(&mut std::process::Command::new(
            Path::new(run.stdout.trim()).join("hello"),
        ));
        assert_eq!((hello.code, hello.stderr.as_str()), (0, "hello\n"));
        run.stderr.contains("installing hello 1.0.0")
    }

    /// The one place in the cache where the program is.
    fn place(&self) -> PathBuf {
        self.places().pop().expect("an install")
    }

    /// What counts as installed; a leading dot marks what does not.
    fn places(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.cache()).into_iter().flatten().flatten();
        let named = all.filter(|entry| entry.file_name().to_string_lossy().starts_with("hello-"));
        named.map(|entry| entry.path()).collect()
    }
}

#[test]
fn what_is_broken_in_the_cache_is_installed_again_and_said() {
    let checkout = Checkout::new();
    assert!(checkout.installs(""));
    assert!(!checkout.installs(""), "a filled cache is left as it is");
    let again = "hello 1.0.0 in the cache is not what was installed there: it is installed again";

    let program = checkout.place().join("bin/hello");
    let mut bytes = std::fs::read(&program).expect("the program");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&program, bytes).expect("one bit is another");
    assert!(checkout.installs(again));

    std::fs::remove_file(checkout.place().join("bin/hello")).expect("half of it is gone");
    assert!(checkout.installs(again));

    std::fs::write(checkout.place().join("sums"), "").expect("its sums are gone");
    assert!(checkout.installs(again));

    // What a killed install left is beside its place, and is not taken for one.
    let half = checkout.cache().join(".new-killed/bin");
    std::fs::create_dir_all(&half).expect("a directory");
    std::fs::write(half.join("hello"), "").expect("a file");
    assert!(!checkout.installs(""));
    assert_eq!(checkout.places().len(), 1, "{:?}", checkout.places());
}

#[test]
fn another_program_than_the_locks_is_not_installed() {
    let checkout = Checkout::new();
    checkout.lock(&"0".repeat(64));
    let run = checkout.install(&checkout.cache());
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(
        run.stderr.contains("error: hello: SHA-256 of its files"),
        "{}",
        run.transcript()
    );
    assert!(checkout.places().is_empty());
}

#[test]
fn a_full_disk_leaves_no_half_install() {
    let checkout = Checkout::new();
    let (disk, _guard) = small_disk(checkout.lab.ground(), "cache", 256 * 1024).expect("a disk");
    let run = checkout.install(&disk);
    assert!(
        run.code != 0 && run.stderr.contains("no space left on device"),
        "{}",
        run.transcript()
    );
    let mut look = checkout.lab.ground().door().command("ls");
    let left = finish(look.arg("-A").arg(&disk));
    let left: Vec<&str> = left.stdout.lines().collect();
    assert!(
        left.len() == 1 && left[0].starts_with("bin-"),
        "only the directory of links is there: {left:?}"
    );
}

#[test]
fn two_installs_at_once_both_end_well() {
    let checkout = Checkout::new();
    std::thread::scope(|scope| {
        let two = [0, 1].map(|_| scope.spawn(|| checkout.installs("")));
        for one in two {
            assert!(one.join().is_ok());
        }
    });
    assert_eq!(checkout.places().len(), 1, "{:?}", checkout.places());
}
