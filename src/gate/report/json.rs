//! `msctl.gate.report/v2`, for people's eyes too.

use serde::Serialize;

use super::super::GateReport;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    report: &'a GateReport,
}

pub(super) fn render(report: &GateReport) -> String {
    pretty(&Document {
        schema: GateReport::DOCUMENT,
        report,
    })
}

/// With an end to its last line. Values of this room have nothing that JSON cannot say.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}
