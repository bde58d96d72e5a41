//! What a mode found, as text and as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::draw::table::{Align, Table};
use crate::figures::{Finding, Mode, Plots};

/// The modes with a phrase each.
pub(super) fn list(as_json: bool) -> String {
    if as_json {
        let mode =
            |mode: Mode| format!("{}\n", json!({"mode": mode.name(), "shows": mode.phrase()}));
        return Mode::ALL.into_iter().map(mode).collect();
    }
    let mut table = Table::new(&[("mode", Align::Left), ("shows", Align::Left)]);
    for mode in Mode::ALL {
        table.push([mode.name(), mode.phrase()]);
    }
    table.to_text()
}

pub(super) fn text(plots: &Plots, files: &[PathBuf]) -> String {
    let mut text = String::new();
    for Finding { what, text: said, warnings, .. } in &plots.findings {
        text += &format!("{what}: {said}\n");
        for warning in warnings {
            text += &format!("  warning: {warning}\n");
        }
    }
    text.push('\n');
    for file in files {
        text += &format!("{}\n", file.display());
    }
    text
}

pub(super) fn json(mode: Mode, plots: &Plots, files: &[PathBuf]) -> Value {
    let finding = |finding: &Finding| {
        let claim = finding.claim;
        json!({
            "what": finding.what,
            "value": claim.map(|claim| claim.value),
            "low": claim.and_then(|claim| claim.interval.low.value()),
            "high": claim.and_then(|claim| claim.interval.high.value()),
            "level": claim.map(|claim| claim.interval.level),
            "text": finding.text,
            "warnings": finding.warnings,
        })
    };
    let lacks: Vec<Value> = plots
        .lacks
        .iter()
        .map(|lack| json!({"figure": lack.figure, "needs": lack.needs}))
        .collect();
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    json!({
        "mode": mode.name(),
        "findings": plots.findings.iter().map(finding).collect::<Vec<_>>(),
        "files": files,
        "lacks": lacks,
    })
}
