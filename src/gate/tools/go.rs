//! What the two Go tools share: the modules of the tree, their build tags, the user's Go settings, the list of packages.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::bench::{Bench, Place, taken, unusable};
use super::super::judge::{Evidence, Reason};
use super::super::tree::is_foreign;
use crate::failure::Failure;
use crate::process::{GO, Invocation};

/// What the user's Go is set to, as far as a tool needs it to find modules. GOFLAGS is not among it: it can hide files.
const SETTINGS: [&str; 10] = [
    "GOMODCACHE",
    "GOCACHE",
    "GOPROXY",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOTOOLCHAIN",
    "GOROOT",
    "GOVERSION",
];

/// Go as the user has it.
pub(super) struct Go {
    settings: BTreeMap<String, String>,
}

impl Go {
    /// Asks `go env`, with the user's own HOME.
    pub(super) fn ask(bench: &Bench<'_>, place: &Place) -> Result<Self, Failure> {
        let own = ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "GOENV", "GOPATH"];
        let names: Vec<&str> = own
            .iter()
            .chain(SETTINGS.iter().filter(|n| **n != "GOVERSION"))
            .copied()
            .collect();
        let invocation = bench
            .invoke(&GO, &place.path)?
            .envs(taken(&bench.request.environment, &names))
            .args(["env", "-json"])
            .args(SETTINGS);
        let (output, code) = bench.run(&invocation)?;
        if code != 0 {
            return Err(unusable(GO.name, &output.ending(), &output));
        }
        let settings = serde_json::from_slice(&output.stdout)
            .map_err(|error| unusable(GO.name, &format!("`go env` cannot be read: {error}"), &output))?;
        Ok(Self { settings })
    }

    /// Such as `1.26.8`.
    pub(super) fn version(&self) -> &str {
        self.settings
            .get("GOVERSION")
            .map_or("", |version| version.trim_start_matches("go"))
    }

    /// Gives a run the settings, and no flags.
    pub(super) fn equip(&self, bench: &Bench<'_>, invocation: Invocation) -> Invocation {
        let set = self
            .settings
            .iter()
            .filter(|(name, value)| *name != "GOVERSION" && !value.is_empty());
        let certificates: Vec<(OsString, OsString)> = taken(
            &bench.request.environment,
            &["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"],
        );
        invocation
            .envs(set)
            .envs(certificates)
            .env("GOFLAGS", "")
            .env("GOENV", "off")
            .env("GOWORK", "off") // each module is judged as it is built alone
            .env("GOTELEMETRY", "off")
    }
}

/// One `go.mod` and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// From the root; empty for the root itself.
    pub(super) directory: String,
    /// The Go files that the `go` command would look at.
    pub(super) files: Vec<String>,
    /// Build tags that the files ask for, but for those of systems.
    pub(super) tags: BTreeSet<String>,
}

impl Module {
    pub(super) fn path(&self, bench: &Bench<'_>) -> PathBuf {
        bench.tree.root.join(&self.directory)
    }

    /// Without tags, and with all of them where there are any.
    pub(super) fn tag_sets(&self) -> Vec<String> {
        let all = self.tags.iter().cloned().collect::<Vec<_>>().join(",");
        if all.is_empty() {
            vec![all]
        } else {
            vec![String::new(), all]
        }
    }
}

/// The Go files of the tree.
pub(super) struct Sources {
    /// The modules that have some.
    pub(super) modules: Vec<Module>,
    /// Those that are in no module: no Go tool looks at them.
    outside: Vec<String>,
    /// Those that `go` passes over for their names.
    hidden: Vec<String>,
}

impl Sources {
    /// What a check of them begins with.
    pub(super) fn evidence(&self, tool: &'static str) -> Evidence {
        let mut evidence = if self.modules.is_empty() && self.outside.is_empty() {
            Evidence::not_applicable(tool, "there is no Go module")
        } else {
            Evidence::of(tool)
        };
        for file in &self.outside {
            let text = format!("`{file}` is in no Go module, so nothing looks at it");
            evidence.doubt(Reason::new(text).hint("go mod init MODULE, in its directory"));
        }
        if !self.hidden.is_empty() {
            let names = self.hidden.join(", ");
            evidence.notes.push(format!("`go` passes over these: {names}"));
        }
        evidence
    }
}

/// Lists them.
pub(super) fn sources(bench: &Bench<'_>) -> Result<Sources, Failure> {
    let is_go = |file: &&String| file.rsplit_once('.').is_some_and(|(_, ending)| ending == "go");
    let files = bench.tree.files.keys().filter(|file| !is_foreign(file));
    let (hidden, own): (Vec<&String>, Vec<&String>) = files.partition(|file| is_hidden(file));
    let (own, mut outside) = (own.into_iter(), Vec::new());
    let mut modules: Vec<Module> = own
        .clone()
        .filter_map(|file| file.strip_suffix("go.mod"))
        .filter(|before| before.is_empty() || before.ends_with('/'))
        .map(|before| Module {
            directory: before.trim_end_matches('/').to_owned(),
            files: Vec::new(),
            tags: BTreeSet::new(),
        })
        .collect();
    // The deepest module that holds a file owns it.
    modules.sort_by_key(|module| std::cmp::Reverse(module.directory.len()));
    for file in own.filter(is_go) {
        let holds = |module: &&mut Module| {
            module.directory.is_empty()
                || file
                    .strip_prefix(&module.directory)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(module) = modules.iter_mut().find(holds) {
            module.files.push(file.clone());
            module
                .tags
                .extend(tags(&String::from_utf8_lossy(&bench.tree.read(file)?)));
        } else {
            outside.push(file.clone());
        }
    }
    modules.retain(|module| !module.files.is_empty());
    modules.sort_by(|a, b| a.directory.cmp(&b.directory));
    let hidden = hidden.into_iter().filter(is_go).cloned().collect();
    Ok(Sources {
        modules,
        outside,
        hidden,
    })
}

/// What `go` passes over.
fn is_hidden(file: &str) -> bool {
    file.split('/')
        .any(|part| part.starts_with('_') || part.starts_with('.'))
}

/// Tags that are no choice of the user: systems, architectures, compilers, versions, and `ignore`.
fn is_system(tag: &str) -> bool {
    is_platform(tag) || ["unix", "cgo", "gc", "gccgo", "ignore", "race", "msan", "asan"].contains(&tag) || {
        let is_version = |rest: &str| rest.is_empty() || rest.starts_with('.');
        tag.strip_prefix("go1").is_some_and(is_version) || tag.starts_with("goexperiment.")
    }
}

/// A system or an architecture: why a file that is not built here is not expected to be.
fn is_platform(tag: &str) -> bool {
    const KNOWN: &str = "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos \
        386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv riscv64 s390x sparc64 wasm";
    KNOWN.split_whitespace().any(|known| known == tag)
}

/// The tags in the `//go:build` lines of a file, and in the older `// +build` ones; also where a line would not count:
/// one tag too many costs a run, one too few hides a file.
fn constraints(text: &str) -> BTreeSet<String> {
    let constraint = |line: &'_ str| -> Option<String> {
        let line = line.trim().trim_start_matches('\u{feff}').strip_prefix("//")?;
        let rest = line
            .strip_prefix("go:build")
            .or_else(|| line.trim().strip_prefix("+build"))?;
        rest.starts_with(char::is_whitespace).then(|| rest.to_owned())
    };
    let words = |line: String| -> Vec<String> {
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    text.lines().filter_map(constraint).flat_map(words).collect()
}

/// Those that are a choice of the user.
fn tags(text: &str) -> BTreeSet<String> {
    constraints(text).into_iter().filter(|tag| !is_system(tag)).collect()
}

/// Whether the name or the constraints of a file say that it belongs to another system, or to no build at all.
fn is_elsewhere(file: &str, text: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".go");
    name.split('_').skip(1).any(is_platform) || constraints(text).iter().any(|tag| is_platform(tag) || tag == "ignore")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Listed {
    dir: PathBuf,
    import_path: String,
    go_files: Vec<String>,
    cgo_files: Vec<String>,
    test_go_files: Vec<String>,
    #[serde(rename = "XTestGoFiles")]
    x_test_go_files: Vec<String>,
    error: Option<serde_json::Value>,
}

/// What `go list` sees of a module with these tags.
#[derive(Default)]
pub(super) struct Packages {
    /// Import paths that have Go files besides tests.
    pub(super) paths: BTreeSet<String>,
    /// From the root.
    pub(super) files: BTreeSet<String>,
    /// Packages with tests that belong to the package itself (`package x`, not `package x_test`).
    pub(super) inner_tests: BTreeSet<String>,
}

/// Asks `go list` about a module, without its dependencies.
pub(super) fn packages(
    bench: &Bench<'_>,
    go: &Go,
    place: &Place,
    module: &Module,
    tags: &str,
) -> Result<Packages, Failure> {
    let invocation = go
        .equip(bench, bench.invoke(&GO, &place.path)?)
        .arg("-C")
        .arg(module.path(bench))
        .args([
            "list",
            "-e",
            "-find",
            "-json=Dir,ImportPath,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Error",
            "-tags",
            tags,
            "./...",
        ]);
    let (output, code) = bench.run(&invocation)?;
    if code != 0 {
        return Err(unusable(GO.name, &format!("`go list`: {}", output.ending()), &output));
    }
    let mut packages = Packages::default();
    for listed in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Listed>() {
        let listed =
            listed.map_err(|error| unusable(GO.name, &format!("`go list` cannot be read: {error}"), &output))?;
        let below = listed
            .dir
            .strip_prefix(&bench.tree.root)
            .unwrap_or(&listed.dir)
            .to_owned();
        let sources = [
            &listed.go_files,
            &listed.cgo_files,
            &listed.test_go_files,
            &listed.x_test_go_files,
        ];
        let files = sources
            .into_iter()
            .flatten()
            .map(|file| below.join(file).to_string_lossy().into_owned());
        packages.files.extend(files);
        if !listed.test_go_files.is_empty() {
            packages.inner_tests.insert(listed.import_path.clone());
        }
        if listed.error.is_none() && !(listed.go_files.is_empty() && listed.cgo_files.is_empty()) {
            packages.paths.insert(listed.import_path);
        }
    }
    Ok(packages)
}

/// Says which files no set of tags reaches.
pub(super) fn reconcile(
    bench: &Bench<'_>,
    module: &Module,
    seen: &BTreeSet<String>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let unseen: Vec<&str> = module
        .files
        .iter()
        .map(String::as_str)
        .filter(|file| !seen.contains(*file))
        .collect();
    if seen.is_empty() {
        evidence.doubt(Reason::new(format!(
            "no Go file below `./{}` is built on this system",
            module.directory
        )));
    } else if !unseen.is_empty() {
        evidence.notes.push(format!(
            "not built on this system, so not looked at: {}",
            unseen.join(", ")
        ));
    }
    for file in unseen {
        if !is_elsewhere(file, &String::from_utf8_lossy(&bench.tree.read(file)?)) {
            evidence.doubt(Reason::new(format!(
                "`{file}` is built neither without build tags nor with all of them"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_user_are_told_from_those_of_systems() {
        let text = "// x\n//go:build (integration || !lab_2) && linux && go1.21 && !ignore\n\npackage x\n";
        assert_eq!(
            tags(text),
            BTreeSet::from(["integration".to_owned(), "lab_2".to_owned()])
        );
        assert!(tags("//go:build windows || amd64\npackage x\n").is_empty());
    }
}
