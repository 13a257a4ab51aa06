//! `msctl canary report`: a release as one page of HTML, beside its journal.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::explain::decided;
use super::show::{cells, head, metrics, why, word};
use crate::canary::journal;
use crate::canary::machine::Outcome;
use crate::canary::page::{self, Words};
use crate::canary::replay::{Replay, replay};
use crate::canary::summary::Summary;
use crate::commands::{Context, file};
use crate::config::units::Weight;
use crate::failure::{Exit, Failure, Kind};
use crate::ui::{Page, Report, clean, count, duration};

/// The arguments of `msctl canary report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary report                          the newest release, beside its journal
  msctl canary report 7f3a --out release.html  the release with this id
  msctl canary report --out - | less           on stdout

Exit codes: 0 every decision recomputes, 1 one does not (the page says which), 2 could not tell, 3 not msctl's file")]
pub struct Args {
    /// The release: its id, the beginning of it, or its journal (default: the newest)
    #[arg(value_name = "ID|FILE")]
    release: Option<String>,

    /// Write the page here, `-` for stdout (default: beside the journal, with .html)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace a file that is no page of msctl's
    #[arg(long, visible_alias = "force")]
    overwrite: bool,
}

/// Reads, recomputes, writes.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = journal::find(context.directory(), args.release.as_deref())?;
    let bytes = std::fs::read(&path).map_err(|e| Failure::io("read", &path, e))?;
    let replay = replay(&path.display().to_string(), &bytes)?;
    let ours = path.starts_with(context.directory().join(journal::DIRECTORY));
    let named = if ours {
        path.file_stem().unwrap_or_default()
    } else {
        path.as_os_str()
    };
    let explain = format!("canary explain {}", shell_words::quote(&named.to_string_lossy()));
    let summary = Summary::of(&replay.entries);
    let text = text(&replay, &summary, &path, &context.typed(&explain));
    let exit = if replay.mismatch.is_some() {
        Exit::No
    } else {
        Exit::Done
    };
    if args.out.as_deref() == Some(Path::new("-")) {
        context.ui.data(&text);
        return Ok(exit);
    }
    let out = args
        .out
        .as_ref()
        .map_or_else(|| path.with_extension("html"), |out| context.path(out));
    write(&out, &text, args.overwrite)?;
    context.ui.report(&Written {
        why: sentence(&replay, &summary),
        id: replay.header.id,
        service: replay.header.service,
        outcome: replay.outcome,
        page: out.display().to_string(),
        bytes: text.len(),
        journal: path.display().to_string(),
        recomputed: replay.entries.len(),
        different: replay.mismatch.map(|wrong| wrong.line),
    });
    Ok(exit)
}

/// The page, in the words of the terminal.
fn text(replay: &Replay, summary: &Summary, journal: &Path, explain: &str) -> String {
    let mut steps = vec![head()];
    steps.extend(summary.rows.iter().map(cells));
    let journal = journal.display().to_string();
    page::render(
        replay,
        &Words {
            verdict: &verdict(replay.outcome, replay.mismatch.is_some(), &Page::plain()),
            why: &sentence(replay, summary),
            traffic: &traffic(summary),
            steps: &steps,
            metrics: &metrics(&summary.rows),
            decided: &decided,
            journal: &journal,
            explain,
        },
    )
}

/// How it ended, as far as the journal can be followed.
fn verdict(outcome: Option<Outcome>, differs: bool, page: &Page) -> String {
    match outcome {
        Some(outcome) => word(outcome, page),
        None if differs => page.paint.bad("DIFFERENT"),
        None => page.paint.doubt("UNFINISHED"),
    }
}

/// What follows the verdict: where, after how long, why.
fn sentence(replay: &Replay, summary: &Summary) -> String {
    let took = duration(Duration::from_millis(replay.entries.last().map_or(0, |e| e.input.at())));
    match replay.outcome {
        None if replay.mismatch.is_some() => format!(" after {took}: a decision in the journal does not recompute."),
        None => format!(" after {took}: the journal ends before the release did."),
        Some(outcome) => {
            let at = summary.rows.last().filter(|_| outcome != Outcome::Promoted);
            let at = at.map_or(String::new(), |row| format!(" at {}", row.asked));
            format!("{at} after {took}: {}.", why(outcome, summary))
        }
    }
}

fn traffic(summary: &Summary) -> String {
    let read_back = match summary.weight {
        Some(Weight::NONE) => "Traffic is 100 % stable, read back.".to_owned(),
        Some(weight) => format!("Traffic is {weight} canary, read back."),
        None => format!("Where traffic goes is not known; {} was asked for last.", summary.asked),
    };
    let harmed = match summary.harmed() {
        1 => "1 request".to_owned(),
        many => format!("{} requests", count(many)),
    };
    format!("{harmed} harmed. {read_back}")
}

/// Not over a file of somebody else's.
fn write(out: &Path, text: &str, overwrite: bool) -> Result<(), Failure> {
    if !overwrite && is_foreign(out)? {
        let message = format!("`{}` is there and is no page of msctl's", out.display());
        return Err(Failure::new(Kind::Conflict, message)
            .note("Nothing was written.")
            .hint("--out FILE     writes another file")
            .hint("--overwrite    replaces it"));
    }
    file::write(out, text)
}

/// Whether something stands there that is no page of msctl's.
fn is_foreign(out: &Path) -> Result<bool, Failure> {
    let failed = |e| Failure::io("read", out, e);
    match std::fs::symlink_metadata(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => return Ok(true),
        Ok(_) => {}
    }
    let mut beginning = Vec::new();
    let file = std::fs::File::open(out).map_err(failed)?;
    file.take(4_096).read_to_end(&mut beginning).map_err(failed)?;
    Ok(!page::is_page(&beginning))
}

/// `msctl.canary.page/v1`: the page that was written.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Written {
    /// What the release is called by.
    id: String,
    /// The service.
    service: String,
    /// How it ended; none when its journal ends before it did.
    outcome: Option<Outcome>,
    /// The page.
    page: String,
    /// How large it is.
    bytes: usize,
    /// The journal.
    journal: String,
    /// Decisions that came out the same when they were computed again.
    recomputed: usize,
    /// The first line that did not.
    different: Option<usize>,
    #[serde(skip)]
    why: String,
}

impl Report for Written {
    const SCHEMA: &'static str = "msctl.canary.page/v1";

    fn human(&self, page: &mut Page) {
        let verdict = verdict(self.outcome, self.different.is_some(), page);
        let (service, id) = (clean(&self.service), clean(&self.id));
        page.line(format!("{service} {id}: {verdict}{}", clean(&self.why)));
        if let Some(line) = self.different {
            page.line(format!("  line {line} of the journal does not recompute"));
        }
        let size = count(self.bytes.div_ceil(1024) as u64);
        page.line(format!("  page: {} ({size} KiB)", clean(&self.page)));
    }
}
