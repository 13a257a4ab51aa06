//! `msctl canary watch`: a release as it goes, whoever drives it and wherever; with keys for what a person may ask of it.

use std::time::Duration;

use super::drive::person;
use super::place::{Place, Placed};
use super::status::Standing;
use crate::canary::machine::Ask;
use crate::canary::mesh::Asked;
use crate::commands::Context;
use crate::config::units::Weight;
use crate::failure::{Exit, Failure, Kind};
use crate::ui::{Keys, Output};

/// How long it is between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `msctl canary watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  msctl canary watch                     until the release ends; on a terminal with keys to pause, promote and abort
  msctl canary watch --output json       one line whenever something changed

Exit codes: 0 it ended with all traffic at the canary, 1 with all traffic at stable, 2 none is under way,
3 with another weight")]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// Something that changes traffic is done after a second key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    Promote,
    Abort,
}

/// Watches, to its end.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut screen = Screen {
        placed: args.place.find(context)?,
        context,
        last: String::new(),
        pending: None,
        note: String::new(),
    };
    let keys = context.ui.keys();
    let mut live = context.ui.live();
    let mut seen = Standing::see(&mut screen.placed)?;
    if seen.release.is_none() {
        context.ui.report(&seen);
        let message = format!("no release of {} is under way", screen.placed.target.service);
        return Err(Failure::new(Kind::NoEvidence, message).hint("msctl canary run    begins one"));
    }
    while seen.release.is_some() {
        screen.show(&seen, keys.is_some(), &mut live);
        match &keys {
            None => std::thread::sleep(LOOK),
            Some(keys) => {
                if !screen.wait(keys, &seen) {
                    drop(live);
                    context.ui.report(&seen);
                    return Ok(Exit::Done);
                }
            }
        }
        if context.ui.is_closed() {
            return Ok(Exit::Done);
        }
        // One look that fails is no reason to stop: the release goes on too.
        match Standing::see(&mut screen.placed) {
            Ok(now) => seen = now,
            Err(failure) if failure.kind() == Kind::Unreachable => screen.note = failure.with_causes(),
            Err(failure) => return Err(failure),
        }
    }
    drop(live);
    context.ui.report(&seen);
    Ok(match seen.weight {
        Some(Weight::ALL) => Exit::Done,
        Some(Weight::NONE) => Exit::No,
        _ => Exit::Conflict,
    })
}

struct Screen<'a> {
    placed: Placed,
    context: &'a Context,
    /// What was shown last, where that is not redrawn.
    last: String,
    pending: Option<Pending>,
    note: String,
}

impl Screen<'_> {
    fn show(&mut self, seen: &Standing, keys: bool, live: &mut crate::ui::Live) {
        let ui = &self.context.ui;
        if ui.output() != Output::Human {
            let text = serde_json::to_string(seen).unwrap_or_default();
            if text != self.last {
                ui.report(seen);
                self.last = text;
            }
            return;
        }
        let mut page = ui.page();
        seen.body(&mut page);
        if !self.note.is_empty() {
            page.line(format!("  {}", self.note));
        }
        if keys {
            let what = match self.pending {
                None => "p pause · r resume · n next step · a abort · q leave",
                Some(Pending::Promote) => "Take this step as done, without proof? y/n",
                Some(Pending::Abort) => "Give stable all the traffic? y/n",
            };
            page.line(page.paint.faint(what));
        }
        if ui.watching() {
            live.show(page);
        } else {
            let text = page.into_text();
            if text != self.last {
                ui.data(&text);
                self.last = text;
            }
        }
    }

    /// Waits for a key or the next look; whether to go on.
    fn wait(&mut self, keys: &Keys, seen: &Standing) -> bool {
        let Some(key) = keys.next(LOOK) else { return true };
        let ask = match (self.pending.take(), key) {
            (Some(Pending::Promote), 'y' | 'Y') => Ask::Promote {
                from: seen.weight.unwrap_or(Weight::NONE),
            },
            (Some(Pending::Abort), 'y' | 'Y') => Ask::Abort,
            (None, 'p') => Ask::Pause,
            (None, 'r') => Ask::Go,
            (None, 'n') => {
                self.pending = Some(Pending::Promote);
                return true;
            }
            (None, 'a') => {
                self.pending = Some(Pending::Abort);
                return true;
            }
            (None, 'q') => return false,
            _ => return true,
        };
        self.note = self
            .ask(ask, seen)
            .err()
            .map_or_else(String::new, |failure| failure.with_causes());
        true
    }

    fn ask(&self, ask: Ask, seen: &Standing) -> Result<(), Failure> {
        let (cluster, target) = (&self.placed.cluster, &self.placed.target);
        let Some(release) = &seen.release else { return Ok(()) };
        let by = person(self.context);
        let asked = Asked { ask, by };
        match ask {
            Ask::Abort => target.set(cluster, Weight::NONE, Some(&asked)).map(drop),
            _ => target.remark(cluster, &release.id, |mark| mark.asked = Some(asked.clone())),
        }
    }
}
