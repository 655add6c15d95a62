//! A report as a page, a table or JSON.

use askama::Template;
use chartgate_audit::checkpoint::SignedCheckpoint;
use serde_json::{Value, json};

use super::table::{Report, Section, Shape};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    checkpoint: &'a str,
}

/// A page that needs nothing else, to be read and printed.
pub(super) fn html(report: &Report, checkpoint: &SignedCheckpoint) -> anyhow::Result<String> {
    Ok(Page { report, checkpoint: checkpoint.note() }.render()?)
}

/// The tables, one below the other. RFC 4180. What a spreadsheet would take for a formula is a text.
pub(super) fn csv(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, ["Fact", "Report", report.title.as_str()].into_iter());
    for (name, value) in &report.facts {
        line(&mut out, ["Fact", name.as_str(), value.as_str()].into_iter());
    }
    for (at, section) in report.sections.iter().enumerate() {
        if at > 0 {
            out.push_str("\r\n");
        }
        for (name, value) in &section.facts {
            line(&mut out, [section.heading.as_str(), name.as_str(), value.as_str()].into_iter());
        }
        let heads = section.columns.iter().map(String::as_str);
        line(&mut out, ["Section", "Record"].into_iter().chain(heads));
        for row in &section.rows {
            let index = row.index.map(|index| index.to_string()).unwrap_or_default();
            let cells = row.cells.iter().map(String::as_str);
            line(&mut out, [section.heading.as_str(), &index].into_iter().chain(cells));
        }
    }
    out
}

/// A line of a table. RFC 4180.
pub(in crate::cli) fn csv_line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    line(&mut out, cells);
    out
}

fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
            "'"
        } else {
            ""
        };
        out.push_str(&format!("\"{guard}{}\"", cell.replace('"', "\"\"")));
    }
    out.push_str("\r\n");
}

/// Everything, with entry and proof for each record.
pub(super) fn json(report: &Report, checkpoint: &SignedCheckpoint) -> String {
    let facts = |facts: &[(String, String)]| -> Vec<Value> {
        facts.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
    };
    let section = |section: &Section| {
        let rows: Vec<Value> = section
            .rows
            .iter()
            .map(|row| {
                json!({ "record": row.index, "cells": row.cells, "entry": row.entry, "proof": row.proof })
            })
            .collect();
        json!({ "heading": section.heading, "facts": facts(&section.facts), "columns": section.columns,
            "rows": rows })
    };
    let sections: Vec<Value> = report.sections.iter().map(section).collect();
    json!({ "title": report.title, "about": report.about, "facts": facts(&report.facts),
        "sections": sections, "checkpoint": checkpoint.note() })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_keeps_its_quotes() {
        let mut out = String::new();
        line(&mut out, ["a \"b\", c", "=1+1", "@x", "-2", "plain"].into_iter());
        assert_eq!(out, "\"a \"\"b\"\", c\",\"'=1+1\",\"'@x\",\"'-2\",\"plain\"\r\n");
    }
}
