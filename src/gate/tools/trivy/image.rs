//! trivy over an image, with a private copy of the database; the control is an image made here, of the same distribution
//! and with the same kinds of programs, full of old packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::super::super::bench::{Bench, Place};
use super::super::super::judge::{Control, Evidence, Reason};
use super::control::{self, GO_CVE};
use super::report::{Os, Report};
use super::{counted, invoke, scan};
use crate::failure::{Failure, Kind};
use crate::process::TRIVY;

/// The database is published every six hours; one that is older than this has missed several.
const OLDEST_HOURS: i64 = 24;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    version: u32,
    updated_at: Timestamp,
}

pub(in crate::gate) fn check(bench: &Bench<'_>) -> Result<Evidence, Failure> {
    let Some(image) = &bench.request.image else {
        return Ok(Evidence::not_applicable(
            TRIVY.name,
            "no image was given: `--image FILE`",
        ));
    };
    let image = image
        .canonicalize()
        .map_err(|error| Failure::io("read", image, error))?;
    let mut evidence = Evidence::of(TRIVY.name);
    bench.search.find(&TRIVY)?;
    let database = database(bench)?;
    if let Some(doubt) = doubt_about(&database, bench.now)? {
        evidence.doubt(doubt);
    }
    let report = look(bench, &database, &image, &mut evidence)?;
    evidence.version = bench.version(&TRIVY, &bench.place()?);
    let kinds = weigh(&report, &mut evidence);
    if evidence.needs_control(bench.request.fail_on) {
        prove(bench, &database, report.metadata.os.as_ref(), &kinds, &mut evidence)?;
    }
    Ok(evidence)
}

fn hint() -> &'static str {
    "trivy image --download-db-only --cache-dir DIR && msctl gate --trivy-db DIR"
}

/// The directory with `trivy.db`.
fn database(bench: &Bench<'_>) -> Result<PathBuf, Failure> {
    let Some(given) = &bench.request.trivy_db else {
        return Err(Failure::new(
            Kind::NoEvidence,
            "no vulnerability database was given: `--trivy-db DIR`",
        )
        .hint(hint()));
    };
    let places = [given.clone(), given.join("db")];
    let found = places.into_iter().find(|place| place.join("trivy.db").is_file());
    found.ok_or_else(|| {
        let message = format!("there is no trivy.db in `{}`", given.display());
        Failure::new(Kind::NoEvidence, message).hint(hint())
    })
}

/// Its age, by what it says itself: the date of a copy says nothing.
fn doubt_about(database: &Path, now: Timestamp) -> Result<Option<Reason>, Failure> {
    let path = database.join("metadata.json");
    let bytes = std::fs::read(&path).map_err(|error| Failure::io("read", &path, error))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("`{}` is no metadata of a trivy database", path.display());
        Failure::new(Kind::NoEvidence, message).caused_by(error).hint(hint())
    })?;
    Ok(judge_age(&metadata, now))
}

fn judge_age(metadata: &Metadata, now: Timestamp) -> Option<Reason> {
    let hours = now.duration_since(metadata.updated_at).as_hours();
    let text = match (metadata.version, hours) {
        (2, 0..OLDEST_HOURS) => return None,
        (2, _) if hours < 0 => format!("the database says it is of {}, which is to come", metadata.updated_at),
        (2, 48..) => format!("the database is {} days old, limit {OLDEST_HOURS} h", hours / 24),
        (2, _) => format!("the database is {hours} h old, limit {OLDEST_HOURS} h"),
        (version, _) => format!("the database has schema version {version}, known is 2"),
    };
    Some(Reason::new(text).hint(hint()))
}

/// trivy writes into a database that it does not like: each run gets a copy, and each the same.
fn look(bench: &Bench<'_>, database: &Path, image: &Path, evidence: &mut Evidence) -> Result<Report, Failure> {
    let place = bench.place()?;
    copy_database(database, &place)?;
    let invocation = invoke(bench, &place, "image")?
        .args(["--scanners", "vuln", "--pkg-types", "os,library", "--list-all-pkgs"])
        .args(["--detection-priority", "comprehensive", "--cache-backend", "memory"])
        .args([
            "--skip-db-update",
            "--skip-java-db-update",
            "--skip-vex-repo-update",
            "--offline-scan",
        ])
        .arg("--input")
        .arg(image);
    Ok(scan(bench, &invocation, evidence)?.0)
}

fn copy_database(database: &Path, place: &Place) -> Result<(), Failure> {
    let into = place.directory("cache/db")?;
    for name in ["trivy.db", "metadata.json"] {
        let from = database.join(name);
        std::fs::copy(&from, into.join(name)).map_err(|error| Failure::io("copy", &from, error))?;
    }
    Ok(())
}

/// What is in the report: findings, doubts, and the kinds of programs that were read.
fn weigh(report: &Report, evidence: &mut Evidence) -> BTreeSet<String> {
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
        evidence
            .findings
            .extend(found.iter().map(|v| v.finding(&scanned.target)));
    }
    evidence.seen = counted(packages, "package");
    if packages == 0 {
        evidence.doubt(Reason::new(
            "trivy can read nothing in this image: no packages, no program whose modules it knows",
        ));
    }
    match &report.metadata.os {
        Some(os) if os.is_over => {
            let text = format!(
                "{} {} is past its end of life: nobody publishes its vulnerabilities",
                os.family, os.name
            );
            evidence.doubt(Reason::new(text));
        }
        Some(os) if os_packages == 0 => {
            let text = format!(
                "the image is {} {}, and its package database is missing",
                os.family, os.name
            );
            evidence.doubt(Reason::new(text));
        }
        Some(_) => {}
        None => evidence
            .notes
            .push("the image has no operating system: only its programs were read".into()),
    }
    kinds
}

fn prove(
    bench: &Bench<'_>,
    database: &Path,
    os: Option<&Os>,
    kinds: &BTreeSet<String>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    for kind in kinds.iter().filter(|kind| *kind != "gobinary") {
        evidence.doubt(Reason::new(format!("msctl has no control for {kind} packages yet")));
    }
    let layer = match os.map(|os| control::distribution(&os.family, &os.name)) {
        Some(None) => {
            let family = os.map_or("", |os| &os.family);
            evidence.doubt(Reason::new(format!("msctl has no control for {family} packages yet")));
            return Ok(());
        }
        Some(Some(files)) => files,
        None => Vec::new(),
    };
    let place = bench.place()?;
    let image = place.write("control.tar", control::image(layer))?;
    let mut said = Evidence::of(TRIVY.name);
    let report = look(bench, database, &image, &mut said)?;
    let found = |class: &str, id: Option<&str>| {
        let of = report.scanned().iter().filter(|scanned| scanned.class == class);
        of.flat_map(|scanned| scanned.vulnerabilities.iter().flatten())
            .any(|found| id.is_none_or(|id| found.id == id))
    };
    let same_os = report.metadata.os.as_ref().map(|os| &os.family) == os.map(|os| &os.family);
    let distribution = os.is_none() || (same_os && found("os-pkgs", None));
    let programs = found("lang-pkgs", Some(GO_CVE));
    evidence.control = if distribution && programs {
        Control::Found
    } else {
        Control::Missed
    };
    if let (Some(os), false) = (os, distribution) {
        let text = format!(
            "the database knows nothing about {} {}: it found no vulnerability in very old packages",
            os.family, os.name
        );
        evidence.doubt(Reason::new(text).hint(hint()));
    }
    if !programs {
        let text = format!("the database does not know {GO_CVE}: it is empty or broken");
        evidence.doubt(Reason::new(text).hint(hint()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(hours: i64) -> Option<String> {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let updated_at = now - jiff::SignedDuration::from_hours(hours);
        judge_age(&Metadata { version: 2, updated_at }, now).map(|reason| reason.text)
    }

    #[test]
    fn the_database_must_be_of_today() {
        assert_eq!((age(0), age(23)), (None, None));
        assert_eq!(age(24).as_deref(), Some("the database is 24 h old, limit 24 h"));
        assert_eq!(age(9 * 24).as_deref(), Some("the database is 9 days old, limit 24 h"));
        assert!(age(-2).is_some_and(|text| text.contains("to come")));
    }

    fn doubts(report: &str) -> Vec<String> {
        let mut evidence = Evidence::of("trivy");
        weigh(&Report::parse(report.as_bytes()).expect("a report"), &mut evidence);
        evidence.doubts.into_iter().map(|doubt| doubt.text).collect()
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
