//! `msctl logs`: the lines of files and of standard input, read, merged by time, chosen, shown.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::observe::log::source::{Origin, Source};
use crate::observe::log::{Choice, Counts, Level, Line, Reader, Record, Selection, Summary, Tally, merge};
use crate::ui::{Output, Page, Paint, Report, clean, count};

/// The arguments of `msctl logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl logs payment.log                     time, level, service, message
  ./payment | msctl logs --stdin --level warn
  msctl logs a.log b.log --grep 'order 17'   merged by time
  msctl logs *.log --summary                 counts by level, error rate")]
pub struct Args {
    /// The files to read, merged by time; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Read standard input
    #[arg(long)]
    stdin: bool,

    /// Show this level and graver ones; lines without a level are shown
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    level: Option<Level>,

    /// Show lines that match, as they came
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,

    /// The fields to show behind the message
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "error.message")]
    fields: Vec<String>,

    /// Count instead: lines by level and service, error rate
    #[arg(long)]
    summary: bool,
}

fn level() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(Level::ALL.map(Level::word)).try_map(|word| Level::parse(&word).ok_or("no level"))
}

/// Shows the lines, or their summary.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let sources = open(args, context)?;
    let names: Vec<String> = sources.iter().map(|s| s.name().to_owned()).collect();
    let selection = Selection {
        level: args.level,
        grep: args.grep.clone(),
    };
    let mut show = Show::new(args, context, &names);
    let mut tally = Tally::default();
    for line in merge(sources) {
        let line = match line {
            Ok(line) => line,
            Err(failure) => {
                show.flush();
                return Err(failure.note(tally_text(&tally)));
            }
        };
        let choice = selection.choose(&line);
        tally.count(&line, choice);
        if choice == Choice::Shown {
            show.line(&line);
        }
        if show.is_due(&line) && !show.flush() {
            return Ok(Exit::Done);
        }
    }
    show.end(&tally);
    Ok(Exit::Done)
}

fn open(args: &Args, context: &Context) -> Result<Vec<Source>, Failure> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    let mut origins: Vec<Origin> = Vec::new();
    if args.stdin || args.files.iter().any(is_stdin) {
        origins.push(Origin::Stdin);
    }
    let files = args.files.iter().filter(|path| !is_stdin(path));
    origins.extend(files.map(|path| Origin::File(context.path(path))));
    if origins.is_empty() {
        return Err(
            Failure::new(Kind::Usage, "no logs to read: neither FILE nor `--stdin` is given")
                .hint("msctl logs payment.log")
                .hint("./payment | msctl logs --stdin"),
        );
    }
    let reader = Reader::new(&args.fields);
    let numbered = origins.iter().enumerate();
    numbered
        .map(|(place, origin)| Source::open(origin, place, reader.clone()))
        .collect()
}

/// So much is kept back before it is written.
const DUE: usize = 1 << 15;

/// Where the chosen lines go.
struct Show<'a> {
    context: &'a Context,
    fields: &'a [String],
    names: &'a [String],
    summary: Option<Summary>,
    columns: Columns,
    text: String,
}

/// Widths that grow as wider cells come.
#[derive(Default)]
struct Columns {
    name: usize,
    service: usize,
}

impl<'a> Show<'a> {
    fn new(args: &'a Args, context: &'a Context, names: &'a [String]) -> Self {
        Self {
            context,
            fields: &args.fields,
            names,
            summary: args.summary.then(Summary::default),
            columns: Columns {
                name: names.iter().map(String::len).max().unwrap_or(0),
                service: 0,
            },
            text: String::new(),
        }
    }

    fn line(&mut self, line: &Line) {
        if let Some(summary) = &mut self.summary {
            summary.add(line);
        } else if self.context.ui.output() == Output::Json {
            self.text.push_str(&json(line, &self.names[line.source]));
        } else {
            self.human(line);
        }
    }

    /// Whether what was kept back is to be written now: it is much, or the next line may take its time.
    fn is_due(&self, line: &Line) -> bool {
        self.text.len() >= DUE || !line.more
    }

    /// Writes what was kept back; false when nobody reads any more.
    fn flush(&mut self) -> bool {
        if !self.text.is_empty() {
            self.context.ui.data(&self.text);
            self.text.clear();
        }
        !self.context.ui.is_closed()
    }

    fn human(&mut self, line: &Line) {
        let paint = self.context.ui.paint();
        if self.names.len() > 1 {
            let name = format!("{:width$}  ", self.names[line.source], width = self.columns.name);
            self.text.push_str(&paint.faint(&clean(&name)));
        }
        match &line.record {
            Some(record) if record.message.is_some() || record.level.is_some() => {
                let service = record.service.as_deref().unwrap_or_default();
                self.columns.service = self.columns.service.max(service.chars().count()).min(24);
                self.text
                    .push_str(&cells(record, self.columns.service, self.fields, paint));
            }
            _ => self.text.push_str(&clean(&line.text())),
        }
        self.text.push('\n');
    }

    fn end(mut self, tally: &Tally) {
        let open = self.flush();
        let ui = &self.context.ui;
        if let Some(mut summary) = self.summary {
            summary.lines = tally.lines;
            ui.report(&summary);
        }
        if open {
            ui.note(&tally_text(tally));
        }
    }
}

/// Time, level, service, message, fields.
fn cells(record: &Record, service_width: usize, fields: &[String], paint: &Paint) -> String {
    let time = record.time.map_or_else(|| format!("{:24}", "-"), |t| format!("{t:.3}"));
    let level = record.level.map_or("-", Level::word).to_uppercase();
    let level = match record.level {
        Some(Level::Error | Level::Fatal) => paint.bad(&format!("{level:5}")),
        Some(Level::Warn) => paint.doubt(&format!("{level:5}")),
        _ => paint.faint(&format!("{level:5}")),
    };
    let mut text = format!("{}  {level}  ", paint.faint(&time));
    if service_width > 0 {
        let service = record.service.as_deref().unwrap_or("-");
        _ = write!(text, "{:service_width$}  ", one_line(service));
    }
    text.push_str(&one_line(record.message.as_deref().unwrap_or_default()));
    for (name, value) in fields.iter().zip(&record.fields) {
        if let Some(value) = value {
            let value = one_line(value);
            _ = write!(text, "  {}{value}", paint.faint(&format!("{}=", clean(name))));
        }
    }
    text.trim_end().to_owned()
}

/// Cleaned, and so that what follows a line break inside a value does not look like a line of the log.
fn one_line(text: &str) -> String {
    let text = clean(text);
    if text.contains('\n') {
        text.trim_end().replace('\n', "\n    ")
    } else {
        text
    }
}

fn json(line: &Line, source: &str) -> String {
    let text = line.text();
    let record: Option<&RawValue> = line.record.as_ref().and_then(|_| serde_json::from_str(&text).ok());
    let document = LogLine {
        schema: "msctl.logs.line/v1",
        source,
        number: line.number,
        time: line.time(),
        level: line.level(),
        record,
        text: if record.is_none() { Some(text.clone()) } else { None },
        cut: line.cut,
    };
    serde_json::to_string(&document).map_or_else(|_| String::new(), |text| text + "\n")
}

/// `msctl.logs.line/v1`: one line of a log.
#[derive(Serialize, JsonSchema)]
pub struct LogLine<'a> {
    /// `msctl.logs.line/v1`
    schema: &'static str,
    /// The file, or `stdin`.
    source: &'a str,
    /// 1-based, in its source.
    number: u64,
    /// When it was written, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    time: Option<Timestamp>,
    /// Its level, if it has one that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    /// The line itself, where it is a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    record: Option<&'a RawValue>,
    /// The line itself otherwise; what is not UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    /// Whether the next line is a piece of this one, which is too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// What became of all lines, for stderr.
fn tally_text(tally: &Tally) -> String {
    let plural = if tally.lines == 1 { "line" } else { "lines" };
    let mut text = format!("{} {plural}: {} shown", count(tally.lines), count(tally.shown));
    for (number, what) in [
        (tally.by_level, "filtered out by level"),
        (tally.by_grep, "filtered out by pattern"),
        (tally.not_json, "not JSON"),
        (tally.cut, "too long and cut into pieces"),
    ] {
        if number > 0 {
            _ = write!(text, ", {} {what}", count(number));
        }
    }
    text
}

impl Report for Summary {
    const SCHEMA: &'static str = "msctl.logs.summary/v1";

    fn human(&self, page: &mut Page) {
        let rate = |counts: &Counts| {
            counts
                .error_rate
                .map_or("-".to_owned(), |r| format!("{:.1} %", r * 100.0))
        };
        let word = match self.total.error_rate {
            Some(_) => format!("{} of the lines with a level are errors", rate(&self.total)),
            None => "no line has a level".to_owned(),
        };
        page.line(format!("{} lines: {word}", count(self.counted)));
        if let (Some(first), Some(last)) = (self.first, self.last) {
            page.line(format!("  from {first:.3} to {last:.3}"));
        }
        let levels: Vec<Level> = self.total.levels.keys().copied().collect();
        let mut rows = vec![header(&levels)];
        rows.extend(self.services.iter().map(|(service, counts)| {
            let name = if service.is_empty() {
                "(none)".to_owned()
            } else {
                clean(service)
            };
            row(name, counts, &levels, &rate(counts))
        }));
        if self.services.len() > 1 {
            rows.push(row("all".into(), &self.total, &levels, &rate(&self.total)));
        }
        page.table(2, &rows);
    }
}

fn header(levels: &[Level]) -> Vec<String> {
    let words = levels.iter().map(|l| format!("{:>7}", l.word()));
    let (first, last) = (["service".to_owned()], ["no level".to_owned(), "error rate".to_owned()]);
    first.into_iter().chain(words).chain(last).collect()
}

fn row(name: String, counts: &Counts, levels: &[Level], rate: &str) -> Vec<String> {
    let numbers = levels
        .iter()
        .map(|l| format!("{:>7}", count(counts.levels.get(l).copied().unwrap_or(0))));
    let last = [format!("{:>8}", count(counts.no_level)), format!("{rate:>10}")];
    [name].into_iter().chain(numbers).chain(last).collect()
}
