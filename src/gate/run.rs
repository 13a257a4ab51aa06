//! The driver of one run: adapters say what they want run, two workers run it, adapters say what it means. The report does
//! not depend on who was first.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::adapter::{Adapter, Reading};
use super::bench::Bench;
use super::judge::{Answer, judge, sum};
use super::scene::Scene;
use super::step::{Done, Ran, Step};
use super::{Control, GateReport, Reason, Request, Row, Verdict, fingerprint, tools};
use crate::config::glob::Glob;
use crate::config::service::Check;
use crate::failure::Failure;
use crate::process::{Clock, Interrupt};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tool began to work on a check.
    Started(Check, &'static str),
    /// It has its answer.
    Ended(Check, &'static str, Verdict),
}

/// Two tools at a time: most of them use more than one core.
const AT_ONCE: usize = 2;

/// A file with more bytes has no lines that somebody wrote.
const MOST_TEXT: u64 = 16 << 20;

/// Makes the checks that are asked for. `tell` is called on this thread as things happen.
pub fn run(request: &Request, interrupt: &Interrupt, tell: &mut dyn FnMut(Event)) -> Result<GateReport, Failure> {
    let clock = Clock::start();
    let scene = Scene::of(request, Clock::now())?;
    let bench = Bench::new(&scene, interrupt);
    let (give, given) = channel();
    let given = &Mutex::new(given);
    let rows = std::thread::scope(|scope| {
        let (say, said) = channel();
        for _ in 0..AT_ONCE {
            let (say, bench) = (say.clone(), &bench);
            scope.spawn(move || work(given, &say, bench));
        }
        Drive::new(&bench, give).finish(&said, tell)
    });
    if let Some(kind) = interrupt.asked() {
        return Err(Failure::new(kind, "the gate was interrupted").note("No verdict was given."));
    }
    let is_here = |glob: &Glob| scene.tree.files.keys().any(|file| glob.matches(file));
    let mut report = sum(rows, &request.policy, &is_here);
    fingerprint::mark(&mut report.rows, &|file| text(&scene, file));
    report.took = clock.elapsed();
    Ok(report)
}

/// The text of a file of the tree, for the lines that findings stand on.
fn text(scene: &Scene<'_>, file: &str) -> Option<String> {
    scene.tree.files.get(file).filter(|size| **size <= MOST_TEXT)?;
    let bytes = scene.tree.read(file).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a worker says of the step with this id.
enum News {
    Began(String),
    Ended(String, Ran),
}

/// Takes the steps that are given, until no more can come.
fn work(given: &Mutex<Receiver<Step>>, say: &Sender<News>, bench: &Bench<'_>) {
    let next = || given.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(step) = next() {
        _ = say.send(News::Began(step.id.clone())); // nobody listens once every row has its answer
        // A step without an answer would be waited for without end.
        let ran = catch_unwind(AssertUnwindSafe(|| bench.take(&step))).unwrap_or_else(|_| Ran {
            raw: Err(Reason::new(format!("msctl itself failed in the step `{}`", step.id))),
            time: Duration::ZERO,
        });
        _ = say.send(News::Ended(step.id, ran));
    }
}

/// The rows of a run, on their way.
struct Drive<'a> {
    bench: &'a Bench<'a>,
    give: Sender<Step>,
    /// What was given out, by its id.
    known: BTreeSet<String>,
    done: Done,
    open: Vec<Open>,
    rows: Vec<Row>,
}

/// An adapter without an answer yet.
struct Open {
    adapter: &'static dyn Adapter,
    /// The steps that it wanted.
    wanted: BTreeSet<String>,
    /// Whether one of them has.
    has_begun: bool,
}

/// What an adapter comes to, with what is done.
#[derive(Debug)]
enum Turn {
    /// These have to be run first.
    Wants(Vec<Step>),
    /// It has its answer.
    Ends(Answer),
}

impl<'a> Drive<'a> {
    fn new(bench: &'a Bench<'a>, give: Sender<Step>) -> Self {
        let asked = tools::ALL
            .iter()
            .filter(|adapter| bench.scene.request.checks.contains(&adapter.check()));
        let open = asked.map(|adapter| Open {
            adapter: *adapter,
            wanted: BTreeSet::new(),
            has_begun: false,
        });
        Self {
            bench,
            give,
            known: BTreeSet::new(),
            done: Done::default(),
            open: open.collect(),
            rows: Vec::new(),
        }
    }

    fn finish(mut self, said: &Receiver<News>, tell: &mut dyn FnMut(Event)) -> Vec<Row> {
        self.ask(tell);
        while !self.open.is_empty()
            && let Ok(news) = said.recv()
        {
            match news {
                News::Began(id) => self.tell_of(&id, tell),
                News::Ended(id, ran) => {
                    self.done.add(id, ran);
                    self.ask(tell);
                }
            }
        }
        self.rows
    }

    fn tell_of(&mut self, step: &str, tell: &mut dyn FnMut(Event)) {
        let new = self
            .open
            .iter_mut()
            .filter(|open| !open.has_begun && open.wanted.contains(step));
        for open in new {
            open.has_begun = true;
            tell(Event::Started(open.adapter.check(), open.adapter.tool().name));
        }
    }

    /// Asks those whose steps are all done.
    fn ask(&mut self, tell: &mut dyn FnMut(Event)) {
        for mut open in std::mem::take(&mut self.open) {
            if !open.wanted.iter().all(|id| self.done.has(id)) {
                self.open.push(open);
                continue;
            }
            let answer = match self.turn(&open) {
                Ok(Turn::Wants(steps)) => {
                    open.wanted.extend(steps.iter().map(|step| step.id.clone()));
                    for step in steps.into_iter().filter(|step| self.known.insert(step.id.clone())) {
                        _ = self.give.send(step); // the workers stay as long as this end does
                    }
                    self.open.push(open);
                    continue;
                }
                Ok(Turn::Ends(answer)) => answer,
                Err(reason) => without_answer(reason),
            };
            let row = self.row(&open, answer);
            tell(Event::Ended(row.check, open.adapter.tool().name, row.verdict));
            self.rows.push(row);
        }
    }

    fn turn(&self, open: &Open) -> Result<Turn, Reason> {
        let (adapter, scene) = (open.adapter, self.bench.scene);
        if open.wanted.is_empty()
            && let Some(why) = adapter.nothing(scene)?
        {
            return Ok(Turn::Ends(Answer::Nothing(why)));
        }
        let steps = adapter.steps(scene, &self.done);
        if !steps.as_ref().is_ok_and(Vec::is_empty) {
            self.bench.search.find(adapter.tool())?; // said first: without it anything else is in vain
        }
        turn(adapter, scene, &self.done, steps?)
    }

    fn row(&self, open: &Open, mut answer: Answer) -> Row {
        let gaps = self.bench.scene.tree.gaps();
        for gap in gaps.filter(|gap| open.adapter.concerns(gap)) {
            let mut reading = match answer {
                Answer::Saw(reading) => reading,
                Answer::Nothing(_) => Reading::new(),
            };
            reading.doubt(Reason::new(gap.to_string()));
            answer = Answer::Saw(reading);
        }
        let (check, tool) = (open.adapter.check(), open.adapter.tool().name);
        let mut row = judge(check, tool, answer, &self.bench.scene.request.policy);
        row.took = self.done.time(&open.wanted);
        row
    }
}

/// What a row is whose adapter could not go on.
fn without_answer(reason: Reason) -> Answer {
    let mut reading = Reading::new();
    reading.doubt(reason);
    Answer::Saw(reading)
}

/// First all steps, then what they mean; then, where nothing else stands against a pass, the control.
fn turn(adapter: &dyn Adapter, scene: &Scene<'_>, done: &Done, steps: Vec<Step>) -> Result<Turn, Reason> {
    let open = |steps: Vec<Step>| -> Vec<Step> { steps.into_iter().filter(|step| !done.has(&step.id)).collect() };
    let has_run = !steps.is_empty();
    let wanted = open(steps);
    if !wanted.is_empty() {
        return Ok(Turn::Wants(wanted));
    }
    let mut reading = adapter.read(scene, done)?;
    let mut besides = Vec::new();
    if reading.control == Control::NotRun && reading.needs_control(&scene.request.policy) {
        besides = adapter.control(scene, done)?;
    }
    let version = Step::version(adapter.tool());
    if has_run && reading.version.is_none() {
        // A report without it is poorer, not wrong.
        let said = done.find(&version.id).ok().flatten();
        reading.version = said.and_then(|raw| adapter.tool().version_in(&raw.stdout));
        besides.push(version);
    }
    let wanted = open(besides);
    if wanted.is_empty() {
        return Ok(Turn::Ends(Answer::Saw(reading)));
    }
    Ok(Turn::Wants(wanted))
}

#[cfg(test)]
mod tests {
    use super::super::step::Raw;
    use super::super::tree::{Gap, Tree};
    use super::super::{Class, Finding, Level, Policy};
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::gate::Databases;
    use crate::process::{GO, Tool};

    /// Reads what its steps say: `bad` is a finding, `?` a doubt.
    struct Plain;

    impl Adapter for Plain {
        fn tool(&self) -> &'static Tool {
            &GO
        }

        fn check(&self) -> Check {
            Check::Lint
        }

        fn concerns(&self, _: &Gap<'_>) -> bool {
            false
        }

        fn nothing(&self, _: &Scene<'_>) -> Result<Option<String>, Reason> {
            Ok(None)
        }

        fn steps(&self, _: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
            let second = done.find("first")?.map(|_| Step::new("second", &GO));
            Ok([Step::new("first", &GO)].into_iter().chain(second).collect())
        }

        fn control(&self, _: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
            Ok(vec![Step::new("control", &GO)])
        }

        fn read(&self, _: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
            let mut reading = Reading::new();
            match &done.raw("second")?.stdout[..] {
                b"bad" => reading.findings.push(Finding::new(Class::Lint, "X1", Level::High, "x")),
                b"?" => reading.doubt(Reason::new("?")),
                _ => {}
            }
            if done.find("control")?.is_some() {
                reading.control = Control::Found;
            }
            Ok(reading)
        }
    }

    /// What `Plain` comes to where these steps have said this: the steps it wants, or its verdict.
    fn comes_to(said: &[(&str, Result<&str, &str>)]) -> String {
        let request = Request {
            directory: "/".into(),
            checks: vec![Check::Lint],
            policy: Policy::default(),
            ages: Databases::default(),
            image: None,
            trivy_db: None,
            vuln_db: None,
            timeout: Duration::ZERO,
            environment: Environment::default(),
        };
        let scene = Scene {
            request: &request,
            tree: Tree::default(),
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut done = Done::default();
        for (id, said) in said {
            let raw = said.map(|text| Raw {
                code: 0,
                stdout: text.into(),
                stderr: Vec::new(),
            });
            let raw = raw.map_err(Reason::new);
            let time = Duration::ZERO;
            done.add((*id).to_owned(), Ran { raw, time });
        }
        let turn = Plain
            .steps(&scene, &done)
            .and_then(|steps| turn(&Plain, &scene, &done, steps));
        match turn {
            Ok(Turn::Wants(steps)) => steps.into_iter().map(|step| step.id).collect::<Vec<_>>().join(" "),
            Ok(Turn::Ends(answer)) => format!("{:?}", judge(Check::Lint, "go", answer, &Policy::default()).verdict),
            Err(reason) => reason.text,
        }
    }

    #[test]
    fn a_control_is_run_only_where_a_pass_would_be_asked_of_it() {
        let (first, version) = (("first", Ok("")), ("version:go", Ok("go1.26.8")));
        let (clean, control) = (("second", Ok("")), ("control", Ok("")));
        for (said, expected) in [
            (&[][..], "first"),
            (&[first], "second"),
            (&[first, clean], "control version:go"),
            (&[first, clean, control, version], "Pass"),
            (&[first, ("second", Ok("bad"))], "version:go"),
            (&[first, ("second", Ok("bad")), version], "Fail"),
            (&[first, ("second", Ok("?")), version], "CouldNotTell"),
            (&[first, clean, control, ("version:go", Err("no"))], "Pass"),
            (&[("first", Err("it hangs"))], "it hangs"),
            (&[first, ("second", Err("it hangs"))], "it hangs"),
            (&[first, clean, ("control", Err("it hangs")), version], "it hangs"),
        ] {
            assert_eq!(comes_to(said), expected, "{said:?}");
        }
    }
}
