//! `msctl gate waive`: somebody answers for a finding until a day.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, put, today};
use crate::config::gate::Gate;
use crate::config::glob::Glob;
use crate::config::service::Service;
use crate::config::waivers::{self, FILE, Id, Limit, Scope, Text, Waiver, day};
use crate::failure::{Exit, Failure, Kind};
use crate::gate::{Standing, WaiverReport};
use crate::ui::{Page, Report, clean};

/// The arguments of `msctl gate waive`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
#[command(
    after_help = "A waiver needs an owner, a reason and a last day; how far away that may be, msctl.yaml says
(gate.waivers.max-days). In CI it is in force once the base of the change has it.

Examples:
  msctl gate waive DL3004 --path Dockerfile --owner @payments --reason 'needs sudo' --expires 2027-01-31
  msctl gate waive CVE-2021-38561 --package golang.org/x/text --owner @payments --reason 'not called' --expires 2027-01-31"
)]
pub struct Args {
    /// The rule, as the finding has it, or another name of the same vulnerability
    #[arg(value_name = "RULE")]
    rule: Text,

    /// In these files: deploy/pod.yaml, deploy/**/*.yaml
    #[arg(long, value_name = "GLOB", group = "scope")]
    path: Option<Glob>,

    /// Of this package, in every version
    #[arg(long, value_name = "NAME", group = "scope")]
    package: Option<Text>,

    /// Who answers for it
    #[arg(long, value_name = "WHO", env = "MSCTL_OWNER")]
    owner: Text,

    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Text,

    /// The last day on which it holds, in UTC
    #[arg(long, value_name = "DAY", value_parser = day)]
    expires: Date,

    /// Its own name (default: that of the rule)
    #[arg(long, value_name = "NAME")]
    id: Option<Id>,

    /// Print what would be added, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Adds the waiver.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let gate = Service::find(context.directory())?.map_or_else(Gate::default, |service| service.gate);
    let limit = Limit {
        today: today(),
        days: gate.waivers.max_days,
    };
    let bytes = waivers::load(context.directory())?;
    let known = waivers::parse(FILE, &bytes, limit)?;
    let before = String::from_utf8(bytes).map_err(|_| Failure::new(Kind::Config, format!("`{FILE}` is no text")))?;
    let scope = match (&args.path, &args.package) {
        (Some(path), _) => Scope::Path(path.clone()),
        (None, Some(package)) => Scope::Package(package.clone()),
        (None, None) => return Err(Failure::new(Kind::Usage, "a waiver needs `--path` or `--package`")),
    };
    let waiver = Waiver {
        id: args.id.clone().unwrap_or_else(|| Id::after(&args.rule, &known)),
        rule: args.rule.clone(),
        scope,
        owner: args.owner.clone(),
        reason: args.reason.clone(),
        expires: args.expires,
    };
    if waiver.expires < limit.today {
        let message = format!("{} is over: today is {}", waiver.expires, limit.today);
        return Err(Failure::new(Kind::Usage, message).hint(format!("--expires {}, at the latest", limit.last())));
    }
    let after = waivers::append(&before, &waiver, limit)?;
    if !args.dry_run {
        put(context, FILE, after.as_bytes())?;
    }
    context.ui.report(&Waiving {
        file: FILE,
        written: !args.dry_run,
        text: waiver.text()?,
        waiver: WaiverReport::new(&waiver, Standing::NotSeen, 0),
    });
    Ok(Exit::Done)
}

/// `msctl.gate.waiver/v1`: what was added.
#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct Waiving {
    /// The file that it was added to.
    file: &'static str,
    /// Not with `--dry-run`.
    written: bool,
    /// The waiver.
    waiver: WaiverReport,
    /// As it stands in the file.
    #[serde(skip)]
    text: String,
}

impl Report for Waiving {
    const SCHEMA: &'static str = "msctl.gate.waiver/v1";

    fn human(&self, page: &mut Page) {
        let done = if self.written { "Added to" } else { "Would be added to" };
        page.line(format!("{done} {}:", self.file));
        for line in self.text.lines() {
            page.line(format!("  {}", clean(line)));
        }
    }
}
