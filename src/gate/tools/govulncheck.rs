//! govulncheck over each Go module against a local database; the control is a module made here that calls what any Go
//! vulnerability database knows to be vulnerable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::adapter::{Adapter, Reading, counted};
use super::super::given::Given;
use super::super::scene::Scene;
use super::super::step::{Content, Done, Raw, Step, Word};
use super::super::tree::Gap;
use super::super::{Class, Control, Finding, Fix, Level, Reason};
use super::go::{self, Go, Module, id, packages, reconcile, sources};
use crate::config::gate::Age;
use crate::config::service::Check;
use crate::failure::{Failure, Kind};
use crate::process::{GO, Tool};

/// The auditor of Go dependencies.
const TOOL: Tool = Tool {
    name: "govulncheck",
    version: &["-version"],
    install: "go install golang.org/x/vuln/cmd/govulncheck@v1.9.0",
};

const DATABASE: Given = Given::GoDatabase;

const CONTROL_ID: &str = "GO-2021-0113";
const CONTROL_STEP: &str = "govulncheck:control";
const CONTROL: [(&str, &str); 4] = [
    (
        "go.mod",
        "module msctl.invalid/control\n\ngo 1.20\n\nrequire golang.org/x/text v0.3.6\n",
    ),
    (
        "main.go",
        "package main\n\nimport \"golang.org/x/text/language\"\n\nfunc main() { _, _ = language.Parse(\"en\") }\n",
    ),
    (
        "vendor/modules.txt",
        "# golang.org/x/text v0.3.6\n## explicit\ngolang.org/x/text/language\n",
    ),
    (
        "vendor/golang.org/x/text/language/language.go",
        "package language\n\nfunc Parse(s string) (string, error) { return s, nil }\n",
    ),
];

/// One object of its stream.
#[derive(Deserialize)]
struct Message {
    config: Option<Config>,
    #[serde(rename = "SBOM")]
    sbom: Option<Sbom>,
    osv: Option<Osv>,
    finding: Option<Found>,
}

#[derive(Clone, Default, Deserialize)]
struct Config {
    #[serde(default)]
    scanner_version: String,
    #[serde(default)]
    go_version: String,
    scan_level: String,
    db_last_modified: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Sbom {
    #[serde(default)]
    roots: Vec<String>,
}

#[derive(Deserialize)]
struct Osv {
    id: String,
    #[serde(flatten)]
    about: About,
}

/// What the database has to say of one vulnerability.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    summary: String,
    aliases: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Found {
    osv: String,
    #[serde(default)]
    fixed_version: String,
    trace: Vec<Frame>,
}

#[derive(Clone, Deserialize)]
struct Frame {
    module: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    function: String,
    position: Option<Position>,
}

#[derive(Clone, Deserialize)]
struct Position {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    line: u64,
}

/// All of a stream.
#[derive(Default)]
struct Said {
    config: Config,
    roots: BTreeSet<String>,
    known: BTreeMap<String, About>,
    found: Vec<Found>,
}

/// govulncheck for Go modules.
pub(super) struct Govulncheck;

impl Adapter for Govulncheck {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Audit
    }

    fn concerns(&self, gap: &Gap<'_>) -> bool {
        go::concerns(gap)
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        Ok(sources(scene)?.nothing())
    }

    fn steps(&self, scene: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
        let modules = sources(scene)?.modules;
        if modules.is_empty() {
            return Ok(Vec::new());
        }
        scene.given(DATABASE)?;
        let mut steps = vec![go::env(scene)];
        if let Some(go) = Go::of(done)? {
            for module in &modules {
                for tags in module.tag_sets() {
                    steps.push(go::list(scene, &go, module, &tags));
                    steps.push(audit(scene, &go, id(TOOL.name, module, &tags), module.path(), &tags));
                }
                steps.push(go_mod(scene, &go, module));
            }
        }
        Ok(steps)
    }

    fn control(&self, scene: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
        let step = Go::of(done)?.map(|go| {
            let step = audit(scene, &go, CONTROL_STEP.to_owned(), "control".into(), "");
            CONTROL.iter().fold(step, |step, (file, text)| {
                step.plant(format!("control/{file}"), Content::text(*text))
            })
        });
        Ok(step.into_iter().collect())
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let sources = sources(scene)?;
        let mut reading = sources.reading();
        if sources.modules.is_empty() {
            return Ok(reading);
        }
        let mut judged = String::new();
        let mut inner_tests = BTreeSet::new();
        for module in &sources.modules {
            let mut seen = BTreeSet::new();
            for tags in module.tag_sets() {
                let packages = packages(scene, done, module, &tags)?;
                let said = parse(done.raw(&id(TOOL.name, module, &tags))?)?;
                for missing in packages.paths.difference(&said.roots) {
                    let text = format!("govulncheck does not say that it looked at {missing}");
                    reading.doubt(Reason::new(text));
                }
                // Seen with 1.9.0: `-test` keeps one of a package's two variants, the one without its tests.
                inner_tests.extend(packages.inner_tests);
                seen.extend(packages.files);
                // Within the module, where a `toolchain` line may have chosen another Go than the one on the PATH.
                said.config.go_version.trim_start_matches("go").clone_into(&mut judged);
                reading.version = Some(said.config.scanner_version.trim_start_matches('v').to_owned());
                if let Some(doubt) = judge_age(said.config.db_last_modified, scene.request.ages.go, scene.now) {
                    reading.doubt(doubt);
                }
                weigh(said, &module.directory, &mut reading);
            }
            reconcile(scene, module, &seen, &mut reading)?;
            doubt_replaced(scene, done, module, &mut reading)?;
        }
        if !inner_tests.is_empty() {
            let packages = inner_tests.into_iter().collect::<Vec<_>>().join(", ");
            let text = format!("govulncheck does not see what only the tests inside a package import: {packages}");
            reading.notes.push(text);
        }
        reading.seen = counted(sources.modules.len(), "module");
        compare_with_image(scene, &judged, &mut reading)?;
        if let Some(raw) = done.find(CONTROL_STEP)? {
            prove(raw, &mut reading)?;
        }
        Ok(reading)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoMod {
    replace: Option<Vec<Replaced>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replaced {
    old: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    path: String,
}

#[derive(Deserialize)]
struct Known {
    path: String,
}

fn go_mod(scene: &Scene<'_>, go: &Go, module: &Module) -> Step {
    let step = go.equip(scene, Step::new(id("go:mod", module, ""), &GO));
    step.args(["-C"]).args([module.path()]).args(["mod", "edit", "-json"])
}

/// govulncheck goes by name and version; a module in whose place another is put has neither.
fn doubt_replaced(scene: &Scene<'_>, done: &Done, module: &Module, reading: &mut Reading) -> Result<(), Reason> {
    let raw = done.raw(&id("go:mod", module, ""))?;
    let read: GoMod = serde_json::from_slice(&raw.stdout)
        .map_err(|error| raw.unusable(GO.name, &format!("`go mod edit` cannot be read: {error}")))?;
    let known: Vec<Known> =
        serde_json::from_slice(&scene.read_given(DATABASE, "index/modules.json")?).map_err(|error| {
            let message = "the database's `index/modules.json` cannot be read";
            Failure::new(Kind::NoEvidence, message)
                .caused_by(error)
                .hint(DATABASE.hint())
        })?;
    for replaced in read.replace.unwrap_or_default() {
        if known.iter().any(|known| known.path == replaced.old.path) {
            let text = format!(
                "`{}` replaces {}, which has had vulnerabilities: nobody knows which the other has",
                Path::new(&module.directory).join("go.mod").display(),
                replaced.old.path
            );
            reading.doubt(Reason::new(text));
        }
    }
    Ok(())
}

fn judge_age(modified: Option<Timestamp>, limit: Age, now: Timestamp) -> Option<Reason> {
    let Some(modified) = modified else {
        return Some(Reason::new("the database does not say how old it is").hint(DATABASE.hint()));
    };
    let text = if now.duration_since(modified).as_hours() < -1 {
        format!("the database says it is of {modified}, which is to come")
    } else {
        format!("the database is {}", limit.passed(modified, now)?)
    };
    Some(Reason::new(text).hint(DATABASE.hint()))
}

/// A run over one module, symbol by symbol.
fn audit(scene: &Scene<'_>, go: &Go, id: String, module: Word, tags: &str) -> Step {
    go.equip(scene, Step::new(id, &TOOL))
        .args(["-C"])
        .args([module])
        .args(["-db"])
        .args([Word::Given("file://", DATABASE)])
        .args(["-format", "json", "-test", "-tags", tags, "./..."])
}

fn parse(raw: &Raw) -> Result<Said, Reason> {
    stream(&raw.stdout).map_err(|how| raw.unusable(TOOL.name, &how))
}

fn stream(stdout: &[u8]) -> Result<Said, String> {
    let mut said = Said::default();
    let (mut configs, mut boms) = (0, 0);
    for message in serde_json::Deserializer::from_slice(stdout).into_iter::<Message>() {
        let message = message.map_err(|error| format!("its report cannot be read: {error}"))?;
        if let Some(config) = message.config {
            (said.config, configs) = (config, configs + 1);
        }
        if let Some(sbom) = message.sbom {
            said.roots.extend(sbom.roots);
            boms += 1;
        }
        if let Some(osv) = message.osv {
            said.known.insert(osv.id, osv.about);
        }
        if let Some(found) = message.finding.filter(|found| !found.trace.is_empty()) {
            said.found.push(found);
        }
    }
    match (configs, boms, said.config.scan_level.as_str()) {
        (1, 1, "symbol") => Ok(said),
        (1, 1, level) => Err(format!("it looked at the level `{level}`, not at symbols")),
        _ => Err("its report is not whole".to_owned()),
    }
}

/// One finding for each vulnerability and the deepest level at which it was seen; called before imported before required.
fn weigh(said: Said, directory: &str, reading: &mut Reading) {
    let mut deepest: BTreeMap<(String, String), Found> = BTreeMap::new();
    for found in said.found {
        let key = (found.osv.clone(), found.trace[0].module.clone());
        match deepest.get(&key) {
            Some(known) if depth(known) >= depth(&found) => {}
            _ => _ = deepest.insert(key, found),
        }
    }
    for found in deepest.into_values() {
        let nothing = About::default();
        let finding = finding(&found, said.known.get(&found.osv).unwrap_or(&nothing), directory);
        let same = |known: &&mut Finding| known.rule == finding.rule && known.message == finding.message;
        if reading.findings.iter_mut().find(same).is_none() {
            reading.findings.push(finding);
        }
    }
}

fn depth(found: &Found) -> u8 {
    let first = &found.trace[0];
    u8::from(!first.package.is_empty()) + u8::from(!first.function.is_empty())
}

fn finding(found: &Found, about: &About, directory: &str) -> Finding {
    let first = &found.trace[0];
    // The database gives no severities: what is called is unknown, and so counts; what is not called is low.
    let (level, how) = match depth(found) {
        2 => (Level::Unknown, "reachable"),
        1 => (Level::Low, "imported, not called"),
        _ => (Level::Low, "required, not imported"),
    };
    let fix = Fix::of(&found.fixed_version);
    let text = format!("{how}: {} {} ({fix}) {}", first.module, first.version, about.summary);
    let mut finding = Finding::new(Class::Vulnerability, &found.osv, level, text.trim_end());
    finding = finding.about(first.module.as_str());
    finding.aliases.clone_from(&about.aliases);
    finding.package = Some(first.module.clone());
    let own = found.trace.iter().rev().skip_while(|frame| frame.position.is_none());
    let path = |file: &str| match directory {
        "" => file.to_owned(),
        below => format!("{below}/{file}"),
    };
    for pair in own.collect::<Vec<_>>().windows(2) {
        if let Some(position) = &pair[0].position {
            let package = pair[1].package.rsplit('/').next().unwrap_or_default();
            let place = if pair[0].version.is_empty() {
                path(&position.filename)
            } else {
                position.filename.clone()
            };
            if finding.file.is_none() {
                finding = finding.at(place.clone(), Some(position.line));
            }
            finding.trail.push(format!(
                "{place}:{} calls {package}.{}",
                position.line, pair[1].function
            ));
        }
    }
    if finding.file.is_none() {
        finding = finding.at(path("go.mod"), None);
    }
    finding.hint = match (&fix, first.module.as_str()) {
        (Fix::None, _) => None,
        (Fix::Available(version), "stdlib" | "toolchain") => {
            Some(format!("build with Go {}", version.trim_start_matches('v')))
        }
        (Fix::Available(version), module) => Some(format!("go get {module}@{version}")),
    };
    finding.fix = Some(fix);
    finding
}

fn prove(raw: &Raw, reading: &mut Reading) -> Result<(), Reason> {
    let is_planted = |found: &Found| found.osv == CONTROL_ID && depth(found) == 2;
    if parse(raw)?.found.iter().any(is_planted) {
        reading.control = Control::Found;
    } else {
        reading.control = Control::Missed;
        let text = format!("the database does not know {CONTROL_ID}, or govulncheck did not see it called");
        reading.doubt(Reason::new(text).hint(DATABASE.hint()));
    }
    Ok(())
}

/// The standard library that was judged is that of the Go on the PATH; the image may be built with another.
fn compare_with_image(scene: &Scene<'_>, judged: &str, reading: &mut Reading) -> Result<(), Reason> {
    for file in scene.tree.dockerfiles() {
        let bytes = scene.tree.read(file)?;
        for built in go_images(&String::from_utf8_lossy(&bytes)) {
            let minor = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
            if minor(&built) != minor(judged) {
                let text = format!("Go {judged} was judged, and `{file}` builds with Go {built}");
                reading.doubt(Reason::new(text).hint(format!("GOTOOLCHAIN=go{built} msctl gate --only audit")));
            } else if built != judged {
                reading
                    .notes
                    .push(format!("Go {judged} was judged, and `{file}` builds with Go {built}"));
            }
        }
    }
    Ok(())
}

/// The versions in `FROM golang:1.26.8-alpine`.
fn go_images(text: &str) -> BTreeSet<String> {
    let froms = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| word.eq_ignore_ascii_case("FROM"))?;
        words.find(|word| !word.starts_with("--"))
    });
    let tags = froms.filter_map(|image| {
        let (name, tag) = image.split('@').next()?.rsplit_once(':')?;
        (name == "golang" || name.ends_with("/golang")).then(|| tag.split('-').next().unwrap_or(tag).to_owned())
    });
    tags.filter(|tag| tag.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gate::Databases;

    /// govulncheck 1.9.0, 2026-11-25, trimmed.
    const SAID: &str = r#"{"config":{"protocol_version":"v1.0.0","scanner_name":"govulncheck","scanner_version":"v1.9.0","db":"file:///d",
        "db_last_modified":"2026-11-01T00:00:00Z","go_version":"go1.26.8","scan_level":"symbol","scan_mode":"source"}}
        {"SBOM":{"go_version":"go1.26.8","modules":[{"path":"example.com/c"}],"roots":["example.com/c"]}}
        {"progress":{"message":"Checking"}}
        {"osv":{"id":"GO-2021-0113","aliases":["CVE-2021-38561","GHSA-ppp9-7jff-5vj2"],"summary":"Out-of-bounds read"}}
        {"finding":{"osv":"GO-2021-0113","fixed_version":"v0.3.7","trace":[{"module":"golang.org/x/text","version":"v0.3.6"}]}}
        {"finding":{"osv":"GO-2021-0113","fixed_version":"v0.3.7","trace":[{"module":"golang.org/x/text","version":"v0.3.6","package":"golang.org/x/text/language",
         "function":"Parse","position":{"filename":"language/language.go","line":3}},{"module":"example.com/c","package":"example.com/c","function":"main",
         "position":{"filename":"main.go","line":5}}]}}"#;

    #[test]
    fn the_deepest_level_is_kept_with_the_line_that_calls() {
        let mut reading = Reading::new();
        weigh(stream(SAID.as_bytes()).expect("a stream"), "sub", &mut reading);
        assert_eq!(reading.findings.len(), 1);
        let finding = &reading.findings[0];
        assert_eq!(finding.severity, Level::Unknown);
        assert_eq!(
            finding.message,
            "reachable: golang.org/x/text v0.3.6 (fixed in v0.3.7) Out-of-bounds read"
        );
        assert_eq!(finding.trail, ["sub/main.go:5 calls language.Parse"]);
        assert_eq!(finding.fix, Some(Fix::of("v0.3.7")));
        assert!(finding.aliases.contains("CVE-2021-38561") && finding.aliases.len() == 2);
        assert_eq!(finding.hint.as_deref(), Some("go get golang.org/x/text@v0.3.7"));
    }

    #[test]
    fn half_a_stream_is_no_answer() {
        for end in [0, 40, SAID.len() - 10] {
            assert!(stream(&SAID.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(stream(SAID.replace("\"symbol\"", "\"module\"").as_bytes()).is_err());
        assert!(stream(SAID.replace("\"SBOM\"", "\"other\"").as_bytes()).is_err());
    }

    #[test]
    fn the_go_of_a_dockerfile_is_read() {
        let text = "FROM --platform=x golang:1.26.8-alpine@sha256:00 AS a\nfrom docker.io/library/golang:1.27\nFROM golang:latest\nFROM a:1\n";
        assert_eq!(
            go_images(text),
            BTreeSet::from(["1.26.8".to_owned(), "1.27".to_owned()])
        );
    }

    #[test]
    fn an_old_database_is_doubt() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let limit = Databases::default().go;
        let of = |text: &str| judge_age(Some(text.parse().expect("a time")), limit, now).map(|reason| reason.text);
        assert_eq!(of("2026-11-20T00:00:00Z"), None);
        assert_eq!(
            of("2020-11-25T12:00:00Z").as_deref(),
            Some("the database is 2191 days old, limit 14 days")
        );
        assert!(of("2027-01-01T00:00:00Z").is_some() && judge_age(None, limit, now).is_some());
    }
}
