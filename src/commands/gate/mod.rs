//! `msctl gate`: what is asked, how the answer is shown, where it is kept.

pub mod waive;
mod write;

use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::write::{Wanted, wanted};
use super::Context;
use crate::config::service::{Check, Service, Severity};
use crate::config::units::Span;
use crate::failure::{Exit, Failure, Kind};
use crate::gate::report::{Format, counted, seen_from, why};
use crate::gate::{
    self, Asked, Control, Event, Finding, GateReport, Request, Row, Rules, Standing, Verdict, Waived, WaiverReport,
};
use crate::process::{Clock, Interrupt};
use crate::ui::{Output, Page, Report, clean, duration};

/// The arguments of `msctl gate`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 PASS, 1 FAIL, 2 could not tell.

Examples:
  msctl gate                                     the checks that msctl.yaml asks for
  msctl gate --only dockerfile,manifests
  msctl gate --image payment.tar --trivy-db DIR  an image from `docker save`, too
  msctl gate --write sarif=gate.sarif --write junit=gate.xml")]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// Make these checks alone
    #[arg(long, value_enum, value_name = "CHECK,…", value_delimiter = ',')]
    only: Vec<Check>,

    /// The image: a docker-save archive, an OCI layout
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// The least severity that fails (msctl.yaml: gate.fail-on)
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Severity>,

    /// The revision whose policy and waivers hold
    ///
    /// What the change wants to join. In CI it is known: as the system says, else HEAD.
    #[arg(long, value_name = "REV")]
    base: Option<String>,

    /// trivy's database, for the image
    #[arg(long, value_name = "DIR", env = "MSCTL_TRIVY_DB", hide_short_help = true)]
    trivy_db: Option<PathBuf>,

    /// The Go vulnerability database, for the audit
    #[arg(long, value_name = "DIR", env = "MSCTL_VULN_DB", hide_short_help = true)]
    vuln_db: Option<PathBuf>,

    /// What one run of a tool may take
    #[arg(long, value_name = "TIME", default_value = "5m", hide_short_help = true)]
    timeout: Span,

    /// Write sarif, junit, markdown, github, gitlab, html
    ///
    /// The answer in a file, too, as often as it is said; json is as --output has it.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = wanted)]
    write: Vec<Wanted>,
}

/// The verbs of `msctl gate`; without one, the checks are made.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Answer for a finding until a day: adds a waiver to .msctl/waivers.yaml
    Waive(waive::Args),
}

/// Where the last answer is kept, below the service's directory.
const KEPT: &str = ".msctl/gate";

/// Runs what was typed.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.verb {
        Some(Verb::Waive(args)) => waive::run(args, context),
        None => judge(args, context),
    }
}

/// Makes the checks, shows the answer.
fn judge(args: &Args, context: &Context) -> Result<Exit, Failure> {
    write::refuse_doubles(&args.write)?;
    let service = Service::find(context.directory())?;
    let interrupt = Interrupt::watch()?;
    let asked = Asked {
        directory: context.directory(),
        own: service.as_ref(),
        base: args.base.as_deref(),
        environment: &context.environment,
        today: today(),
    };
    let request = request(args, context, asked.read(&interrupt)?)?;
    let progress = context.ui.progress("asking the tools");
    let mut report = gate::run(&request, &interrupt, &mut |event| match event {
        Event::Started(check, tool) => progress.says(&format!("{}: {tool} …", check.word())),
        Event::Ended(check, tool, verdict) => {
            progress.says(&format!("{}: {tool}: {}", check.word(), label(verdict)));
        }
    })?;
    drop(progress);
    if service.is_some() {
        match keep(context, &report) {
            Ok(()) => report.kept = Some(context.path(&Path::new(KEPT).join("latest.json")).display().to_string()),
            Err(failure) => context.ui.note(&format!("warning: the report was not kept: {failure}")),
        }
    }
    if context.ui.output() == Output::Ci && context.environment.text("GITHUB_ACTIONS").is_some() {
        context
            .ui
            .data(&Format::Github.render(&seen_from(&report, context.directory())));
    }
    context.ui.report(&report);
    let unwritten = write::write(&args.write, context, &report);
    for failure in &unwritten {
        context.ui.note(&format!("error: {}", clean(&failure.with_causes())));
    }
    Ok(match report.verdict {
        _ if !unwritten.is_empty() => Exit::CouldNotTell,
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::No,
        Verdict::CouldNotTell | Verdict::NotApplicable => Exit::CouldNotTell,
    })
}

/// The day that waivers are held against, in UTC.
fn today() -> Date {
    TimeZone::UTC.to_datetime(Clock::now()).date()
}

fn request(args: &Args, context: &Context, rules: Rules) -> Result<Request, Failure> {
    let Rules { gate, mut policy } = rules;
    if args.timeout.as_millis() == 0 {
        return Err(Failure::new(Kind::Usage, "`--timeout 0s` leaves no time for any tool"));
    }
    policy.fail_on = args.fail_on.unwrap_or(policy.fail_on);
    Ok(Request {
        directory: context.directory().to_owned(),
        checks: if args.only.is_empty() {
            gate.checks
        } else {
            args.only.clone()
        },
        policy,
        ages: gate.databases,
        image: args.image.as_deref().map(|path| context.path(path)),
        trivy_db: args.trivy_db.as_deref().map(|path| context.path(path)),
        vuln_db: args.vuln_db.as_deref().map(|path| context.path(path)),
        timeout: args.timeout.duration(),
        environment: context.environment.clone(),
    })
}

/// Written whole, and only below the service's directory, whatever links lie there.
fn keep(context: &Context, report: &GateReport) -> Result<(), Failure> {
    for (name, text) in [(".gitignore", "*\n"), ("latest.json", &Format::Json.render(report))] {
        put(context, &format!("{KEPT}/{name}"), text.as_bytes())?;
    }
    Ok(())
}

/// Writes a file whole, below the service's directory, whatever links lie there.
fn put(context: &Context, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    let io = |doing: &'static str| move |error| Failure::io(doing, file, error);
    let (below, name) = file.rsplit_once('/').unwrap_or((".", file));
    let root = Dir::open_ambient_dir(context.directory(), ambient_authority()).map_err(io("open"))?;
    root.create_dir_all(below).map_err(io("create"))?;
    let directory = root.open_dir(below).map_err(io("open"))?;
    let mut new = cap_tempfile::TempFile::new(&directory).map_err(io("write"))?;
    std::io::Write::write_all(&mut new, bytes).map_err(io("write"))?;
    new.replace(name).map_err(io("write"))
}

const fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::CouldNotTell => "????",
        Verdict::NotApplicable => "N/A",
    }
}

/// So many findings of a row are shown to a person; the report has all.
const SHOWN: usize = 10;

impl Report for GateReport {
    const SCHEMA: &'static str = Self::DOCUMENT;

    fn human(&self, page: &mut Page) {
        let tool = |row: &Row| match &row.version {
            Some(version) => format!("{} {version}", row.tool),
            None => row.tool.clone(),
        };
        let rows = shown(self);
        let width = rows.iter().map(|row| tool(row).chars().count()).max().unwrap_or(0);
        let indent = 6 + 2 + 10 + 2 + width + 2;
        for row in rows {
            let painted = match row.verdict {
                Verdict::Pass if row.findings.iter().any(|finding| finding.waived.is_some()) => {
                    page.paint.doubt("WAIV")
                }
                Verdict::Pass => page.paint.good("PASS"),
                Verdict::Fail => page.paint.bad("FAIL"),
                Verdict::CouldNotTell => page.paint.doubt("????"),
                Verdict::NotApplicable => page.paint.faint("N/A "),
            };
            let mut lines = lines(row).into_iter();
            let first = lines.next().unwrap_or_default();
            let time = duration(row.took);
            let name = format!("{:10}  {:width$}", row.check.word(), clean(&tool(row)));
            page.line(format!(
                "  {painted}  {name}  {}   {}",
                said(&first),
                page.paint.faint(&time)
            ));
            for line in lines {
                page.line(format!("{}{}", " ".repeat(indent), said(&line)));
            }
        }
        for line in self.waivers.iter().filter_map(|waiver| about(waiver, self)) {
            page.line(format!("  {}", clean(&line)));
        }
        for line in policy_lines(self) {
            page.line(format!("  {}", clean(&line)));
        }
        page.line(last(self, page));
        if let Some(kept) = &self.kept {
            page.line(format!("  report: {kept}"));
        }
    }
}

/// The rows that say something: that a tool has nothing to look at is worth a line where that is so for the whole check.
fn shown(report: &GateReport) -> Vec<&Row> {
    let applies = |row: &Row| row.verdict != Verdict::NotApplicable;
    let made = report.checks(applies);
    let rows = report.rows.iter();
    rows.filter(|row| applies(row) || !made.contains(&row.check)).collect()
}

/// One line that begins no command of GitHub's: it takes those with spaces before them, too, and a file may be called so.
fn said(line: &str) -> String {
    let line = clean(line).replace('\n', " ");
    let text = line.trim_start();
    if text.starts_with("::") || text.starts_with("##[") {
        return format!("{}./{text}", &line[..line.len() - text.len()]);
    }
    line
}

/// What is said about one row; the first line stands beside its name.
fn lines(row: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    match row.verdict {
        Verdict::Pass => {
            let found = counted(row.findings.len(), "finding");
            let control = if row.control == Control::Found {
                " · control found"
            } else {
                ""
            };
            lines.push(format!("{found} in {}{control}", row.seen));
        }
        Verdict::NotApplicable => lines.extend(row.notes.first().cloned()),
        Verdict::Fail | Verdict::CouldNotTell => {}
    }
    let failing = row.findings.iter().filter(|finding| finding.fails);
    for finding in failing.clone().take(SHOWN) {
        lines.extend(finding_lines(finding));
    }
    if failing.clone().count() > SHOWN {
        lines.push(format!("… and {} more, all in --output json", failing.count() - SHOWN));
    }
    lines.extend(waived_lines(row));
    for reason in &row.reasons {
        lines.push(format!("could not tell: {}", reason.text));
        lines.extend(reason.hints.iter().map(|hint| format!("hint: {hint}")));
    }
    lines
}

/// Who answers for what was found, a line for each waiver.
fn waived_lines(row: &Row) -> Vec<String> {
    let mut by_waiver: Vec<(&Waived, usize)> = Vec::new();
    for waived in row.findings.iter().filter_map(|finding| finding.waived.as_ref()) {
        match by_waiver.iter_mut().find(|(known, _)| *known == waived) {
            Some((_, number)) => *number += 1,
            None => by_waiver.push((waived, 1)),
        }
    }
    let line = |(waived, number): (&Waived, usize)| {
        let Waived {
            id,
            owner,
            reason,
            expires,
        } = waived;
        format!(
            "{} waived by {owner} until {expires}: {reason} ({id})",
            counted(number, "finding")
        )
    };
    by_waiver.into_iter().map(line).collect()
}

/// Where the rules are from, if not from the files themselves.
fn policy_lines(report: &GateReport) -> Vec<String> {
    let from = report.policy.commit.as_ref().map(|commit| {
        let short: String = commit.chars().take(12).collect();
        format!("policy: {} ({short})", report.policy.from)
    });
    let notes = report.policy.notes.iter().map(|note| format!("  {note}"));
    from.into_iter().chain(notes).collect()
}

/// What there is to say about a waiver beside what it covers.
fn about(waiver: &WaiverReport, report: &GateReport) -> Option<String> {
    let says = match waiver.standing {
        Standing::InForce | Standing::NotSeen => return None,
        Standing::Expired => format!(
            "expired on {}: it covers {} no more",
            waiver.expires,
            counted(waiver.findings, "finding")
        ),
        Standing::Unused => "is of no use: nothing that it covers was found".to_owned(),
        Standing::NotInForce => format!("is not in force yet: {} does not have it", report.policy.from),
    };
    Some(format!("waiver {} of {} {says}", waiver.id, waiver.owner))
}

fn finding_lines(finding: &Finding) -> Vec<String> {
    let at = finding.place().map_or(String::new(), |place| format!("{place}  "));
    let (level, rule, message) = (finding.severity.word(), &finding.rule, &finding.message);
    let mut lines = vec![format!("{at}{level} {rule}: {message}")];
    lines.extend(finding.trail.iter().map(|step| format!("  {step}")));
    lines.extend(finding.hint.iter().map(|hint| format!("  hint: {hint}")));
    lines
}

/// The verdict, and what it rests on.
fn last(report: &GateReport, page: &Page) -> String {
    let word = report.verdict.word();
    let painted = match report.verdict {
        Verdict::Fail => page.paint.bad(word),
        Verdict::Pass => page.paint.good(word),
        Verdict::CouldNotTell | Verdict::NotApplicable => page.paint.doubt(word),
    };
    format!("{painted}: {}. {}", why(report), duration(report.took))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(check: Check, tool: &str, verdict: Verdict) -> Row {
        Row {
            check,
            tool: tool.to_owned(),
            version: None,
            verdict,
            seen: String::new(),
            control: Control::NotRun,
            findings: Vec::new(),
            reasons: Vec::new(),
            notes: Vec::new(),
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn a_tool_without_work_is_shown_where_the_whole_check_has_none() {
        let report = GateReport {
            verdict: Verdict::Pass,
            policy: crate::gate::Policy::default(),
            failing: 0,
            waived: 0,
            waivers: Vec::new(),
            could_not_tell: 0,
            rows: vec![
                row(Check::Lint, "a", Verdict::NotApplicable),
                row(Check::Lint, "b", Verdict::Pass),
                row(Check::Audit, "c", Verdict::NotApplicable),
                row(Check::Audit, "d", Verdict::NotApplicable),
            ],
            not_asked: Vec::new(),
            kept: None,
            took: std::time::Duration::ZERO,
        };
        let tools: Vec<&str> = shown(&report).iter().map(|row| row.tool.as_str()).collect();
        assert_eq!(tools, ["b", "c", "d"]);
    }

    #[test]
    fn no_line_is_a_command_of_githubs() {
        assert_eq!(said("  ::error ::a:2  high"), "  ./::error ::a:2  high");
        assert_eq!(said("##[error]a"), "./##[error]a");
        assert_eq!(said("a\n::error::b\u{1b}"), "a ::error::b\u{fffd}");
    }
}
