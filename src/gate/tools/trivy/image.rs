//! trivy over an image, with a private copy of the database; the control is an image made here, of the same distribution
//! and with the same kinds of programs, full of old packages.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::adapter::{Adapter, Reading, counted};
use super::super::super::given::Given;
use super::super::super::scene::Scene;
use super::super::super::step::{Content, Done, Step, Word};
use super::super::super::tree::Gap;
use super::super::super::{Control, Reason};
use super::control::{self, GO_CVE};
use super::report::{Os, Report};
use super::{TOOL, report, step};
use crate::config::gate::Age;
use crate::config::service::Check;
use crate::failure::{Failure, Kind};
use crate::process::Tool;

const STEP: &str = "trivy:image";
const CONTROL: &str = "trivy:image:control";
const DATABASE: Given = Given::TrivyDatabase;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    version: u32,
    updated_at: Timestamp,
}

/// trivy for an image.
pub(in super::super) struct Image;

impl Adapter for Image {
    fn tool(&self) -> &'static Tool {
        &TOOL
    }

    fn check(&self) -> Check {
        Check::Image
    }

    fn concerns(&self, _: &Gap<'_>) -> bool {
        false
    }

    fn nothing(&self, scene: &Scene<'_>) -> Result<Option<String>, Reason> {
        let is_none = scene.request.image.is_none();
        Ok(is_none.then(|| format!("no image was given: `{}`", Given::Image.flag())))
    }

    fn steps(&self, scene: &Scene<'_>, _: &Done) -> Result<Vec<Step>, Reason> {
        scene.given(Given::Image)?;
        scene.given(DATABASE)?;
        Ok(vec![scan(STEP).args([Word::Given("", Given::Image)])])
    }

    fn control(&self, _: &Scene<'_>, done: &Done) -> Result<Vec<Step>, Reason> {
        let report = report(done.raw(STEP)?, &mut Reading::new())?;
        let layer = match &report.metadata.os {
            Some(os) => control::distribution(&os.family, &os.name).unwrap_or_default(),
            None => Vec::new(),
        };
        let image = Content::Bytes(control::image(layer));
        Ok(vec![scan(CONTROL).args(["control.tar"]).plant("control.tar", image)])
    }

    fn read(&self, scene: &Scene<'_>, done: &Done) -> Result<Reading, Reason> {
        let mut reading = Reading::new();
        if let Some(doubt) = doubt_about(&scene.read_given(DATABASE, "metadata.json")?, scene)? {
            reading.doubt(doubt);
        }
        let report = report(done.raw(STEP)?, &mut reading)?;
        let kinds = weigh(&report, &mut reading);
        if reading.needs_control(&scene.request.policy) {
            prove(done, report.metadata.os.as_ref(), &kinds, &mut reading)?;
        }
        Ok(reading)
    }
}

/// All of a scan but the image. trivy writes into a database that it does not like: each run gets a copy, and each the same.
fn scan(id: &str) -> Step {
    step(id, "image")
        .args(["--scanners", "vuln", "--pkg-types", "os,library", "--list-all-pkgs"])
        .args(["--detection-priority", "comprehensive", "--cache-backend", "memory"])
        .args(["--skip-db-update", "--skip-java-db-update", "--skip-vex-repo-update"])
        .args(["--offline-scan", "--input"])
        .plant("cache/db/trivy.db", Content::Given(DATABASE, "trivy.db"))
        .plant("cache/db/metadata.json", Content::Given(DATABASE, "metadata.json"))
}

/// Its age, by what it says itself: the date of a copy says nothing.
fn doubt_about(metadata: &[u8], scene: &Scene<'_>) -> Result<Option<Reason>, Failure> {
    let metadata: Metadata = serde_json::from_slice(metadata).map_err(|error| {
        let message = "`metadata.json` is no metadata of a trivy database";
        Failure::new(Kind::NoEvidence, message)
            .caused_by(error)
            .hint(DATABASE.hint())
    })?;
    Ok(judge_age(&metadata, scene.request.ages.trivy, scene.now))
}

fn judge_age(metadata: &Metadata, limit: Age, now: Timestamp) -> Option<Reason> {
    let text = match metadata.version {
        2 if now.duration_since(metadata.updated_at).as_hours() < 0 => {
            format!("the database says it is of {}, which is to come", metadata.updated_at)
        }
        2 => format!("the database is {}", limit.passed(metadata.updated_at, now)?),
        version => format!("the database has schema version {version}, known is 2"),
    };
    Some(Reason::new(text).hint(DATABASE.hint()))
}

/// What is in the report: findings, doubts, and the kinds of programs that were read.
fn weigh(report: &Report, reading: &mut Reading) -> BTreeSet<String> {
    let (mut kinds, mut packages, mut os_packages) = (BTreeSet::new(), 0, 0);
    for scanned in report.scanned() {
        let count = scanned.packages.as_ref().map_or(0, Vec::len);
        packages += count;
        if scanned.class == "os-pkgs" {
            os_packages += count;
        } else if scanned.class == "lang-pkgs" && count > 0 {
            kinds.insert(scanned.r#type.clone());
        }
        let found = scanned.vulnerabilities.as_deref().unwrap_or_default();
        reading
            .findings
            .extend(found.iter().map(|v| v.finding(&scanned.target)));
    }
    reading.seen = counted(packages, "package");
    if packages == 0 {
        reading.doubt(Reason::new(
            "trivy can read nothing in this image: no packages, no program whose modules it knows",
        ));
    }
    match &report.metadata.os {
        Some(os) if os.is_over => {
            let text = format!(
                "{} {} is past its end of life: nobody publishes its vulnerabilities",
                os.family, os.name
            );
            reading.doubt(Reason::new(text));
        }
        Some(os) if os_packages == 0 => {
            let text = format!(
                "the image is {} {}, and its package database is missing",
                os.family, os.name
            );
            reading.doubt(Reason::new(text));
        }
        Some(_) => {}
        None => reading
            .notes
            .push("the image has no operating system: only its programs were read".into()),
    }
    kinds
}

/// Whether the database knows such an image: by the control, if it was run, or why there is none.
fn prove(done: &Done, os: Option<&Os>, kinds: &BTreeSet<String>, reading: &mut Reading) -> Result<(), Reason> {
    for kind in kinds.iter().filter(|kind| *kind != "gobinary") {
        reading.doubt(Reason::new(format!("msctl has no control for {kind} packages yet")));
    }
    if let Some(os) = os.filter(|os| control::distribution(&os.family, &os.name).is_none()) {
        let family = &os.family;
        reading.doubt(Reason::new(format!("msctl has no control for {family} packages yet")));
    }
    let Some(raw) = done.find(CONTROL)? else {
        return Ok(());
    };
    let report = report(raw, &mut Reading::new())?;
    let found = |class: &str, id: Option<&str>| {
        let of = report.scanned().iter().filter(|scanned| scanned.class == class);
        of.flat_map(|scanned| scanned.vulnerabilities.iter().flatten())
            .any(|found| id.is_none_or(|id| found.id == id))
    };
    let same_os = report.metadata.os.as_ref().map(|os| &os.family) == os.map(|os| &os.family);
    let distribution = os.is_none() || (same_os && found("os-pkgs", None));
    let programs = found("lang-pkgs", Some(GO_CVE));
    reading.control = if distribution && programs {
        Control::Found
    } else {
        Control::Missed
    };
    if let (Some(os), false) = (os, distribution) {
        let text = format!(
            "the database knows nothing about {} {}: it found no vulnerability in very old packages",
            os.family, os.name
        );
        reading.doubt(Reason::new(text).hint(DATABASE.hint()));
    }
    if !programs {
        let text = format!("the database does not know {GO_CVE}: it is empty or broken");
        reading.doubt(Reason::new(text).hint(DATABASE.hint()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gate::Databases;

    fn age(hours: i64) -> Option<String> {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let updated_at = now - jiff::SignedDuration::from_hours(hours);
        judge_age(&Metadata { version: 2, updated_at }, Databases::default().trivy, now).map(|reason| reason.text)
    }

    #[test]
    fn the_database_must_be_of_today() {
        assert_eq!((age(0), age(23)), (None, None));
        assert_eq!(age(24).as_deref(), Some("the database is 24 h old, limit 24 h"));
        assert_eq!(age(9 * 24).as_deref(), Some("the database is 9 days old, limit 24 h"));
        assert!(age(-2).is_some_and(|text| text.contains("to come")));
    }

    fn doubts(report: &str) -> Vec<String> {
        let mut reading = Reading::new();
        weigh(&Report::parse(report.as_bytes()).expect("a report"), &mut reading);
        reading.doubts.into_iter().map(|doubt| doubt.text).collect()
    }

    #[test]
    fn an_image_that_cannot_be_read_is_not_clean() {
        // Shapes of trivy 0.59.1, 2026-11-25: random bytes; no package database; end of life.
        for (report, says) in [
            (r#"{"SchemaVersion":2}"#, "can read nothing"),
            (
                r#"{"SchemaVersion":2,"Metadata":{"OS":{"Family":"alpine","Name":"3.22.1"}},"Results":[{"Target":"x","Class":"os-pkgs","Type":"alpine"},{"Target":"app","Class":"lang-pkgs","Type":"gobinary","Packages":[{"Name":"stdlib"}]}]}"#,
                "package database is missing",
            ),
            (
                r#"{"SchemaVersion":2,"Metadata":{"OS":{"Family":"alpine","Name":"3.9.0","EOSL":true}},"Results":[{"Target":"x","Class":"os-pkgs","Type":"alpine","Packages":[{"Name":"musl"}]}]}"#,
                "end of life",
            ),
        ] {
            let doubts = doubts(report);
            assert!(doubts.len() == 1 && doubts[0].contains(says), "{doubts:?}");
        }
    }
}
