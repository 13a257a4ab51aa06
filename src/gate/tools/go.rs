//! What the two Go tools share: the modules of the tree, their build tags, the user's Go settings, the list of packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::Reason;
use super::super::adapter::Reading;
use super::super::scene::Scene;
use super::super::step::{Done, Step, Word};
use super::super::tree::{Gap, is_foreign};
use crate::process::GO;

/// What the user's Go is set to, as far as a tool needs it to find modules. GOFLAGS is not among it: it can hide files.
const SETTINGS: [&str; 9] = [
    "GOMODCACHE",
    "GOCACHE",
    "GOPROXY",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOTOOLCHAIN",
    "GOROOT",
];

/// Go as the user has it.
pub(super) struct Go {
    settings: BTreeMap<String, String>,
}

const ENV: &str = "go:env";

/// Asks `go env`, with the user's own HOME.
pub(super) fn env(scene: &Scene<'_>) -> Step {
    let own = ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "GOENV", "GOPATH"];
    let step = Step::new(ENV, &GO).args(["env", "-json"]).args(SETTINGS);
    with_taken(step, scene, own.into_iter().chain(SETTINGS))
}

/// With those of these variables that the user has set.
fn with_taken<'a>(step: Step, scene: &Scene<'_>, names: impl IntoIterator<Item = &'a str>) -> Step {
    let environment = &scene.request.environment;
    let own = names
        .into_iter()
        .filter_map(|name| Some((name, environment.raw(name)?)));
    own.fold(step, |step, (name, value)| step.env(name, value))
}

impl Go {
    /// What `go env` said; `None` before it was asked.
    pub(super) fn of(done: &Done) -> Result<Option<Self>, Reason> {
        let Some(raw) = done.find(ENV)? else {
            return Ok(None);
        };
        let settings = serde_json::from_slice(&raw.stdout)
            .map_err(|error| raw.unusable(GO.name, &format!("`go env` cannot be read: {error}")))?;
        Ok(Some(Self { settings }))
    }

    /// Gives a step the settings, and no flags.
    pub(super) fn equip(&self, scene: &Scene<'_>, step: Step) -> Step {
        let set = self.settings.iter().filter(|(_, value)| !value.is_empty());
        let step = set.fold(step, |step, (name, value)| step.env(name, value));
        let ways = ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
        with_taken(step, scene, ways)
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
    pub(super) fn path(&self) -> Word {
        Word::Root(self.directory.clone())
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
    /// Why a tool for Go has nothing to look at.
    pub(super) fn nothing(&self) -> Option<String> {
        let is_none = self.modules.is_empty() && self.outside.is_empty();
        is_none.then(|| "there is no Go module".to_owned())
    }

    /// What a reading of them begins with.
    pub(super) fn reading(&self) -> Reading {
        let mut reading = Reading::new();
        for file in &self.outside {
            let text = format!("`{file}` is in no Go module, so nothing looks at it");
            reading.doubt(Reason::new(text).hint("go mod init MODULE, in its directory"));
        }
        if !self.hidden.is_empty() {
            let names = self.hidden.join(", ");
            reading.notes.push(format!("`go` passes over these: {names}"));
        }
        reading
    }
}

/// A link without an ending may be a directory of packages. Go follows none within the tree.
pub(super) fn concerns(gap: &Gap<'_>) -> bool {
    let is_named = |link: &str| link.rsplit('/').next().is_some_and(|name| name.contains('.'));
    match gap {
        Gap::LinkOut(link) => {
            !is_foreign(link) && (!is_named(link) || [".go", "go.mod"].iter().any(|end| link.ends_with(end)))
        }
        Gap::LinkWithin(_) => false,
        Gap::Unread(_) => true,
    }
}

/// Lists them.
pub(super) fn sources(scene: &Scene<'_>) -> Result<Sources, Reason> {
    let is_go = |file: &&String| file.rsplit_once('.').is_some_and(|(_, ending)| ending == "go");
    let files = scene.tree.files.keys().filter(|file| !is_foreign(file));
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
                .extend(tags(&String::from_utf8_lossy(&scene.tree.read(file)?)));
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

/// Names `STEP:DIRECTORY:TAGS`.
pub(super) fn id(step: &str, module: &Module, tags: &str) -> String {
    format!("{step}:{}:{tags}", module.directory)
}

/// Asks `go list` about a module, without its dependencies.
pub(super) fn list(scene: &Scene<'_>, go: &Go, module: &Module, tags: &str) -> Step {
    let step = go.equip(scene, Step::new(id("go:list", module, tags), &GO));
    step.args(["-C"])
        .args([module.path()])
        .args(["list", "-e", "-find"])
        .args(["-json=Dir,ImportPath,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Error"])
        .args(["-tags", tags, "./..."])
}

/// What it said.
pub(super) fn packages(scene: &Scene<'_>, done: &Done, module: &Module, tags: &str) -> Result<Packages, Reason> {
    let raw = done.raw(&id("go:list", module, tags))?;
    let mut packages = Packages::default();
    for listed in serde_json::Deserializer::from_slice(&raw.stdout).into_iter::<Listed>() {
        let listed = listed.map_err(|error| raw.unusable(GO.name, &format!("`go list` cannot be read: {error}")))?;
        packages.add(listed, &scene.tree.root);
    }
    Ok(packages)
}

impl Packages {
    fn add(&mut self, listed: Listed, root: &Path) {
        let below = listed.dir.strip_prefix(root).unwrap_or(&listed.dir);
        let sources = [
            &listed.go_files,
            &listed.cgo_files,
            &listed.test_go_files,
            &listed.x_test_go_files,
        ];
        let files = sources.into_iter().flatten();
        self.files
            .extend(files.map(|file| below.join(file).to_string_lossy().into_owned()));
        if !listed.test_go_files.is_empty() {
            self.inner_tests.insert(listed.import_path.clone());
        }
        if listed.error.is_none() && !(listed.go_files.is_empty() && listed.cgo_files.is_empty()) {
            self.paths.insert(listed.import_path);
        }
    }
}

/// Says which files no set of tags reaches.
pub(super) fn reconcile(
    scene: &Scene<'_>,
    module: &Module,
    seen: &BTreeSet<String>,
    reading: &mut Reading,
) -> Result<(), Reason> {
    let unseen: Vec<&str> = module
        .files
        .iter()
        .map(String::as_str)
        .filter(|file| !seen.contains(*file))
        .collect();
    if seen.is_empty() {
        reading.doubt(Reason::new(format!(
            "no Go file below `./{}` is built on this system",
            module.directory
        )));
    } else if !unseen.is_empty() {
        reading.notes.push(format!(
            "not built on this system, so not looked at: {}",
            unseen.join(", ")
        ));
    }
    for file in unseen {
        if !is_elsewhere(file, &String::from_utf8_lossy(&scene.tree.read(file)?)) {
            reading.doubt(Reason::new(format!(
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
