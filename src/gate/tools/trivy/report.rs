//! trivy's JSON report. Pure. A key that is absent is no evidence, and never "clean".

use serde::Deserialize;

use super::super::super::{Class, Finding, Fix, Level};

/// The parts of a report that the gate reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report {
    schema_version: u32,
    #[serde(default)]
    pub(super) metadata: Metadata,
    /// Absent where nothing was scanned.
    results: Option<Vec<Scanned>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metadata {
    #[serde(rename = "OS")]
    pub(super) os: Option<Os>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Os {
    pub(super) family: String,
    pub(super) name: String,
    #[serde(rename = "EOSL")]
    pub(super) is_over: bool,
}

/// What it says about one target.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Scanned {
    pub(super) target: String,
    pub(super) class: String,
    #[serde(default)]
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) misconf_summary: Option<Summary>,
    #[serde(default)]
    pub(super) misconfigurations: Option<Vec<Misconfiguration>>,
    #[serde(default)]
    pub(super) secrets: Option<Vec<Secret>>,
    #[serde(default)]
    pub(super) packages: Option<Vec<Package>>,
    #[serde(default)]
    pub(super) vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Summary {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Misconfiguration {
    #[serde(rename = "ID")]
    pub(super) id: String,
    severity: String,
    title: String,
    message: String,
    resolution: String,
    cause_metadata: Cause,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Cause {
    start_line: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Secret {
    #[serde(rename = "RuleID")]
    pub(super) id: String,
    severity: String,
    title: String,
    start_line: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Package {
    #[serde(rename = "Name")]
    _name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    pub(super) id: String,
    pub(super) pkg_name: String,
    installed_version: String,
    fixed_version: String,
    severity: String,
    title: String,
}

impl Report {
    pub(super) fn parse(stdout: &[u8]) -> Result<Self, String> {
        let report: Self =
            serde_json::from_slice(stdout).map_err(|error| format!("its report cannot be read: {error}"))?;
        match report.schema_version {
            2 => Ok(report),
            other => Err(format!("its report has schema version {other}, known is 2")),
        }
    }

    /// What was scanned; empty where trivy says nothing about it.
    pub(super) fn scanned(&self) -> &[Scanned] {
        self.results.as_deref().unwrap_or_default()
    }

    pub(super) fn findings(&self) -> usize {
        let of = |s: &Scanned| {
            s.misconfigurations.as_ref().map_or(0, Vec::len)
                + s.secrets.as_ref().map_or(0, Vec::len)
                + s.vulnerabilities.as_ref().map_or(0, Vec::len)
        };
        self.scanned().iter().map(of).sum()
    }

    pub(super) fn has_findings(&self) -> bool {
        self.findings() > 0
    }
}

impl Misconfiguration {
    pub(super) fn finding(&self, file: &str) -> Finding {
        let text = if self.message.is_empty() {
            &self.title
        } else {
            &self.message
        };
        let level = Level::of(&self.severity);
        let mut finding = Finding::new(Class::Misconfiguration, &self.id, level, text.as_str());
        finding.hint = (!self.resolution.is_empty()).then(|| self.resolution.clone());
        finding.at(file, Some(self.cause_metadata.start_line))
    }
}

impl Secret {
    pub(super) fn finding(&self, file: &str, has_lines: bool) -> Finding {
        let level = Level::of(&self.severity);
        let mut finding = Finding::new(Class::Secret, &self.id, level, self.title.as_str());
        finding.hint = Some("take it out, and revoke it: it is in the history".into());
        finding.at(file, has_lines.then_some(self.start_line))
    }
}

impl Vulnerability {
    pub(super) fn finding(&self, target: &str) -> Finding {
        let fix = Fix::of(&self.fixed_version);
        let text = format!("{} {} ({fix}) {}", self.pkg_name, self.installed_version, self.title);
        let level = Level::of(&self.severity);
        let mut finding = Finding::new(Class::Vulnerability, &self.id, level, text.trim_end());
        finding.fix = Some(fix);
        finding.about(self.pkg_name.as_str()).at(target, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_list_is_nothing_scanned_and_another_schema_is_refused() {
        let report = Report::parse(br#"{"SchemaVersion":2,"ArtifactName":"x"}"#).expect("a report");
        assert!(report.scanned().is_empty() && !report.has_findings());
        for bad in [
            r#"{"SchemaVersion":3}"#,
            "{}",
            "",
            "[]",
            r#"{"SchemaVersion":2,"Results":[{"#,
        ] {
            assert!(Report::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_vulnerability_without_severity_is_unknown() {
        // trivy 0.59.1 with a database that has no detail record, 2026-11-25, trimmed.
        let text = r#"{"SchemaVersion":2,"Metadata":{"OS":{"Family":"alpine","Name":"3.20.3","EOSL":true}},"Results":[{"Target":"app","Class":"lang-pkgs",
            "Type":"gobinary","Packages":[{"Name":"stdlib"}],"Vulnerabilities":[{"VulnerabilityID":"CVE-2021-38561","PkgName":"golang.org/x/text",
            "InstalledVersion":"v0.3.6","FixedVersion":"0.3.7","Severity":"UNKNOWN"}]}]}"#;
        let report = Report::parse(text.as_bytes()).expect("a report");
        let os = report.metadata.os.as_ref().expect("an OS");
        assert!(os.is_over && os.family == "alpine");
        let finding = report.scanned()[0].vulnerabilities.as_ref().expect("some")[0].finding("app");
        assert_eq!(finding.severity, Level::Unknown);
        assert_eq!(finding.message, "golang.org/x/text v0.3.6 (fixed in 0.3.7)");
    }
}
