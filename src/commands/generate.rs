//! `msctl generate`: files out of msctl.yaml, written where they belong, or held against what stands there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use similar::TextDiff;

use super::Context;
use crate::config::service::Service;
use crate::failure::{Exit, Failure, Kind};
use crate::manifest::{Artefact, Target, seal};
use crate::scaffold::write::{self, Found};
use crate::scaffold::{File, TreePath};
use crate::ui::{Output, Page, Report, clean};

/// The arguments of `msctl generate`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl generate                   writes all of them
  msctl generate istio             deploy/istio alone
  msctl generate --check           exit 1 and a diff when a file is not as msctl.yaml says
  msctl generate --dry-run         what would be written")]
pub struct Args {
    /// What to make (default: all)
    #[arg(value_name = "WHAT", value_enum)]
    what: Vec<What>,

    /// Write nothing; exit 1 and show the difference where a file is not as msctl.yaml says
    #[arg(long)]
    check: bool,

    /// Write nothing; say what would be written
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,

    /// Write nothing; print the files
    #[arg(long, conflicts_with_all = ["check", "dry_run", "overwrite"])]
    stdout: bool,

    /// Replace files that somebody else wrote, or edited
    #[arg(long, conflicts_with = "check")]
    overwrite: bool,
}

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Dockerfile
    Dockerfile,
    /// deploy/kubernetes
    Kubernetes,
    /// deploy/istio
    Istio,
}

impl What {
    const fn target(self) -> Target {
        match self {
            Self::Dockerfile => Target::Dockerfile,
            Self::Kubernetes => Target::Kubernetes,
            Self::Istio => Target::Istio,
        }
    }
}

/// Makes the files, and writes, compares or prints them.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let service = Service::load(context.directory())?;
    let artefacts = render(args, &service)?;
    if args.stdout {
        return Ok(print(&artefacts, context));
    }
    let files = artefacts.iter().map(file).collect::<Result<Vec<_>, _>>()?;
    let found = write::compare(context.directory(), &files)?;
    if args.check {
        let report = report(context, &service, Mode::Check, &artefacts, &found);
        context.ui.report(&report);
        return Ok(if report.differ == 0 { Exit::Done } else { Exit::No });
    }
    if !args.overwrite {
        refuse(&artefacts, &found)?;
    }
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Write };
    if mode == Mode::Write {
        write::files(context.directory(), &files)?;
    }
    context.ui.report(&report(context, &service, mode, &artefacts, &found));
    Ok(Exit::Done)
}

fn render(args: &Args, service: &Service) -> Result<Vec<Artefact>, Failure> {
    let is_asked = |target: &Target| args.what.is_empty() || args.what.iter().any(|w| w.target() == *target);
    let mut artefacts = Vec::new();
    for target in Target::ALL.iter().filter(|t| is_asked(t)) {
        artefacts.extend(target.render(service)?);
    }
    Ok(artefacts)
}

fn file(artefact: &Artefact) -> Result<File, Failure> {
    Ok(File::plain(TreePath::parse(&artefact.path)?, artefact.text.as_str()))
}

/// The files themselves, each as one document in JSON. One alone comes as it is; several have their paths above them.
fn print(artefacts: &[Artefact], context: &Context) -> Exit {
    for artefact in artefacts {
        let Artefact { path, text } = artefact;
        if context.ui.output() == Output::Json {
            context
                .ui
                .document("msctl.generate.file/v1", &GeneratedFile { path, text });
        } else if artefacts.len() == 1 {
            context.ui.data(text);
        } else {
            let start = if artefact.is_yaml() { "---\n" } else { "" };
            context.ui.data(&format!("{start}# {path}\n{text}"));
        }
    }
    Exit::Done
}

/// `msctl.generate.file/v1`: one file that was made, whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GeneratedFile<'a> {
    /// Where it belongs, below the service's directory.
    path: &'a str,
    /// Its content.
    text: &'a str,
}

/// Nothing is written while one file is not msctl's to replace.
fn refuse(artefacts: &[Artefact], found: &[Found]) -> Result<(), Failure> {
    let pairs = artefacts.iter().zip(found);
    let kept: Vec<(&str, &str)> = pairs.filter_map(|(a, f)| Some((a.path.as_str(), whose(f)?))).collect();
    let message = match kept.as_slice() {
        [] => return Ok(()),
        [(path, whose)] => format!("`{path}` {whose}"),
        many => format!("{} files are not msctl's to replace", many.len()),
    };
    let mut failure = Failure::new(Kind::Conflict, message);
    if kept.len() > 1 {
        for (path, whose) in &kept {
            failure = failure.note(format!("`{path}` {whose}"));
        }
    }
    Err(failure
        .note("Nothing was written.")
        .hint("msctl generate --check        shows the difference")
        .hint("msctl generate --overwrite    replaces it"))
}

/// Why a file that stands there is not replaced, if it is not.
fn whose(found: &Found) -> Option<&'static str> {
    let Found::Other(bytes) = found else { return None };
    match seal::mark(&String::from_utf8_lossy(bytes)) {
        seal::Mark::Whole => None,
        seal::Mark::Edited => Some("was edited after msctl made it"),
        seal::Mark::Foreign => Some("is there and was not made by msctl"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Files were written.
    Write,
    /// Files would be written.
    DryRun,
    /// Files were compared.
    Check,
}

/// What is true of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is as msctl.yaml says.
    Unchanged,
    /// It was not there.
    Missing,
    /// It was another.
    Different,
}

/// `msctl.generate.report/v1`: the files of a service, and how they stood.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GenerateReport {
    /// The service's name.
    service: String,
    /// What was done.
    mode: Mode,
    /// How many files were not as msctl.yaml says when they were looked at; `write` has made them so.
    differ: usize,
    /// Every file that was asked for.
    files: Vec<FileReport>,
    /// What replaces them: more is needed where a file is not msctl's.
    #[serde(skip)]
    next: String,
}

/// One file.
#[derive(Debug, Serialize, JsonSchema)]
struct FileReport {
    /// Below the service's directory.
    path: PathBuf,
    /// How it stood.
    state: State,
    /// From what stands there to what msctl.yaml says: only under `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

fn report(context: &Context, service: &Service, mode: Mode, artefacts: &[Artefact], found: &[Found]) -> GenerateReport {
    let files: Vec<FileReport> = artefacts
        .iter()
        .zip(found)
        .map(|(artefact, found)| FileReport {
            path: artefact.path.clone().into(),
            state: match found {
                Found::Same => State::Unchanged,
                Found::Absent => State::Missing,
                Found::Other(_) => State::Different,
            },
            diff: if mode == Mode::Check {
                diff(artefact, found)
            } else {
                None
            },
        })
        .collect();
    let differ = files.iter().filter(|f| f.state != State::Unchanged).count();
    let next = if found.iter().any(|f| whose(f).is_some()) {
        "generate --overwrite"
    } else {
        "generate"
    };
    GenerateReport {
        service: service.name.to_string(),
        mode,
        differ,
        files,
        next: context.typed(next),
    }
}

/// As `diff -u` and `git apply` have it.
fn diff(artefact: &Artefact, found: &Found) -> Option<String> {
    let (before, header) = match found {
        Found::Same => return None,
        Found::Absent => (String::new(), "/dev/null".to_owned()),
        Found::Other(bytes) => (
            String::from_utf8_lossy(bytes).into_owned(),
            format!("a/{}", artefact.path),
        ),
    };
    let diff = TextDiff::from_lines(&before, &artefact.text);
    let mut unified = diff.unified_diff();
    Some(unified.header(&header, &format!("b/{}", artefact.path)).to_string())
}

impl Report for GenerateReport {
    const SCHEMA: &'static str = "msctl.generate.report/v1";

    fn human(&self, page: &mut Page) {
        let unchanged = self.files.len() - self.differ;
        if self.mode == Mode::Check {
            for text in self.files.iter().filter_map(|f| f.diff.as_ref()) {
                paint_diff(page, text);
            }
            return page.line(self.verdict(unchanged));
        }
        let word = if self.mode == Mode::Write {
            "written"
        } else {
            "to write"
        };
        let head = format!("{}: {} {word}, {unchanged} unchanged", self.service, self.differ);
        page.line(page.paint.strong(&head));
        for file in self.files.iter().filter(|f| f.state != State::Unchanged) {
            page.line(format!("  {}", file.path.display()));
        }
    }
}

impl GenerateReport {
    fn verdict(&self, unchanged: usize) -> String {
        let files = |number: usize| if number == 1 { "file" } else { "files" };
        match self.differ {
            0 => format!("{}: {unchanged} {} as msctl.yaml says", self.service, files(unchanged)),
            differ => format!(
                "{}: {differ} {} not as msctl.yaml says, {unchanged} unchanged\n  next: {}",
                self.service,
                files(differ),
                self.next
            ),
        }
    }
}

fn paint_diff(page: &mut Page, text: &str) {
    for line in text.lines() {
        let line = clean(line);
        let painted = match line.chars().next() {
            Some('+') => page.paint.good(&line),
            Some('-') => page.paint.bad(&line),
            Some('@') => page.paint.typed(&line),
            _ => line,
        };
        page.line(painted);
    }
}
