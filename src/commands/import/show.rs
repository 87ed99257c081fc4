//! What an import says: the findings and the files, as lines or as one JSON object. Values only.

use super::model::{Imported, Level};
use super::render::Rendered;
use crate::report::counted;
use serde_json::{Value, json};
use std::path::PathBuf;

/// One line each: what was found, and what there is to do.
pub(super) fn text(imported: &Imported, rendered: &Rendered<'_>, written: &[PathBuf]) -> Vec<String> {
    let word = |level| match level {
        Level::Lost => "not carried over",
        Level::Differs => "acts differently",
        Level::Note => "note",
    };
    let findings = imported.findings.all().iter();
    let mut lines: Vec<String> =
        findings.map(|finding| format!("{}: {}: {}", finding.place, word(finding.level), finding.what)).collect();
    if let Some(toml) = written.last() {
        lines.push(format!(
            "wrote {} and {}; look at it, then: postrider --config {} check",
            toml.display(),
            counted(rendered.secrets.len(), "password"),
            toml.display()
        ));
    } else if !rendered.secrets.is_empty() {
        lines.push(format!(
            "{} left out; --write DIR puts each into a file of mode 0600",
            counted(rendered.secrets.len(), "password")
        ));
    }
    if !rendered.by_hand.is_empty() {
        lines.push(format!("to be made by hand, mode 0600: {}", rendered.by_hand.join(", ")));
    }
    lines
}

/// `{"findings": [...], "written": [...], "secrets": [...], "by_hand": [...]}` and a line end.
pub(super) fn json(imported: &Imported, rendered: &Rendered<'_>, written: &[PathBuf]) -> String {
    let findings: Vec<Value> = imported
        .findings
        .all()
        .iter()
        .map(|finding| {
            let (file, line) = (finding.place.file.display().to_string(), finding.place.line);
            json!({ "level": finding.level, "file": file, "line": line, "what": finding.what })
        })
        .collect();
    let secrets: Vec<&str> = rendered.secrets.iter().map(|(name, _)| name.as_str()).collect();
    let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let all = json!({ "findings": findings, "written": written, "secrets": secrets, "by_hand": rendered.by_hand });
    format!("{all}\n")
}
