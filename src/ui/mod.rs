//! The only room that knows a terminal: streams, labels, progress, prompts; how a report is written.
//!
//! stdout is data, stderr is everything else. It must not know what a command does.

mod keys;
mod live;
mod paint;
mod progress;
mod prompt;
mod stream;
mod text;

pub use keys::Keys;
pub use live::Live;
pub use paint::{Page, Paint};
pub use progress::Progress;
pub use text::{clean, count, duration};

use std::cell::RefCell;
use std::io::IsTerminal;

use serde::Serialize;

use crate::config::environment::Environment;
use crate::failure::{Exit, Failure, Kind};
use stream::Stream;

/// The form of what goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For eyes: colour and live views where there is a terminal.
    Human,
    /// One JSON document; streams are JSON Lines.
    Json,
    /// Plain lines, one an event, and annotations where the CI system has them.
    Ci,
}

/// A finished answer: serialised for machines, shown for people.
pub trait Report: Serialize {
    /// Its `schema` field, such as `msctl.gate.report/v2`.
    const SCHEMA: &'static str;
    /// How a person reads it. The page knows width and colour.
    fn human(&self, page: &mut Page);
    /// How a CI log shows it: as a person reads it, unless the report says otherwise.
    fn ci(&self, page: &mut Page) {
        self.human(page);
    }
}

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// The terminal of one run.
#[derive(Debug)]
pub struct Ui {
    output: Output,
    stdout: RefCell<Stream>,
    stderr: RefCell<Stream>,
    out_paint: Paint,
    err_paint: Paint,
    prompts: bool,
    watching: bool,
}

impl Ui {
    /// `asked` is `--output`; without it: ci when `CI` is set, otherwise human.
    #[expect(clippy::disallowed_methods, reason = "this room owns the terminal")]
    pub fn new(asked: Option<Output>, environment: &Environment) -> Self {
        let ci = environment.text("CI").is_some_and(|v| v != "false" && v != "0");
        let output = asked.unwrap_or(if ci { Output::Ci } else { Output::Human });
        let (out_tty, err_tty) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let colour = environment.text("NO_COLOR").is_none() && environment.text("TERM") != Some("dumb");
        let width = environment
            .text("COLUMNS")
            .and_then(|v| v.parse().ok())
            .filter(|w| *w >= 20);
        Self {
            output,
            stdout: RefCell::new(Stream::stdout()),
            stderr: RefCell::new(Stream::stderr()),
            out_paint: Paint::new(colour && out_tty && output == Output::Human, width, out_tty),
            err_paint: Paint::new(colour && err_tty, width, err_tty),
            prompts: output == Output::Human && err_tty && std::io::stdin().is_terminal(),
            watching: output == Output::Human && out_tty && err_tty,
        }
    }

    /// The form of stdout.
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Whether a question can be asked: stdin and stderr are a terminal, and the output is for a person.
    pub const fn prompts(&self) -> bool {
        self.prompts
    }

    /// Whether a screen can be redrawn for a person who watches it.
    pub const fn watching(&self) -> bool {
        self.watching
    }

    /// Width and colour of stdout.
    pub const fn paint(&self) -> &Paint {
        &self.out_paint
    }

    /// Shows a finished answer on stdout.
    pub fn report<R: Report>(&self, report: &R) {
        let mut page = Page::new(self.out_paint.clone());
        match self.output {
            Output::Json => return self.document(R::SCHEMA, report),
            Output::Human => report.human(&mut page),
            Output::Ci => report.ci(&mut page),
        }
        self.data(&page.into_text());
    }

    /// One JSON line on stdout with its `schema` field: a report, or an event of a stream.
    pub fn document<T: Serialize>(&self, schema: &'static str, body: &T) {
        match serde_json::to_string(&WithSchema { schema, body }) {
            Ok(line) => self.data(&format!("{line}\n")),
            Err(error) => self.note(&format!("cannot write {schema}: {error}")),
        }
    }

    /// Raw bytes of data on stdout.
    pub fn data(&self, text: &str) {
        self.stdout.borrow_mut().write(text);
    }

    /// Whether nobody reads stdout any more, so that a stream need not go on.
    pub fn is_closed(&self) -> bool {
        self.stdout.borrow().is_closed()
    }

    /// A line for people on stderr, silent in JSON mode's stdout.
    pub fn note(&self, line: &str) {
        self.stderr.borrow_mut().write(&format!("{line}\n"));
    }

    /// A line that says what is going on until it is dropped: on a terminal only.
    pub fn progress(&self, what: &str) -> Progress {
        Progress::new(self.watching, what)
    }

    /// A block of lines that is shown anew as its numbers move: on a terminal only.
    pub fn live(&self) -> Live {
        Live::new(self.watching)
    }

    /// The keys that are pressed: on a terminal only.
    pub fn keys(&self) -> Option<Keys> {
        (self.watching && self.prompts).then(Keys::listen)
    }

    /// A page for [`Self::live`].
    pub fn page(&self) -> Page {
        Page::new(self.err_paint.clone())
    }

    /// Shows an error on stderr (and as `msctl.failure/v1` on stdout in JSON mode); gives its exit code.
    pub fn failure(&self, failure: &Failure) -> Exit {
        if self.output == Output::Json
            && let Ok(line) = serde_json::to_string(&failure.document())
        {
            self.data(&format!("{line}\n"));
        }
        let mut page = Page::new(self.err_paint.clone());
        page.failure(failure);
        self.stderr.borrow_mut().write(&page.into_text());
        failure.exit()
    }

    /// Flushes stdout. A reader that closed the pipe is fine; any other lost byte is a failure.
    pub fn finish(&self) -> Result<(), Failure> {
        match self.stdout.borrow_mut().finish() {
            None => Ok(()),
            Some(error) => Err(Failure::new(Kind::Io, "cannot write the answer to stdout").caused_by(error)),
        }
    }
}
