//! What comes along with what the sample server's search finds. HL7 FHIR 4.0.1, search.html#include.

use std::collections::BTreeSet;

use serde_json::Value;

use super::search;
use super::stored::{Records, Version, text};

/// The parameters of a search that bring records along.
#[derive(Default)]
pub(super) struct Includes(Vec<Include>);

struct Include {
    direction: Direction,
    repeats: bool,
    /// The type of those that refer; `None` for any.
    source: Option<String>,
    /// The search parameter that leads on; `None` for any.
    parameter: Option<String>,
    /// The type of those that are referred to; `None` for any.
    target: Option<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Direction {
    Forward,
    Reverse,
}

/// How often what came along brings others along.
const ROUNDS: usize = 5;

impl Includes {
    /// Reads a field, if it is one of these.
    pub(super) fn read(&mut self, field: &str, value: &str) -> bool {
        let (name, modifier) = field.split_once(':').unwrap_or((field, ""));
        let direction = match name {
            "_include" => Direction::Forward,
            "_revinclude" => Direction::Reverse,
            _ => return false,
        };
        let mut parts = value.split(':').map(|part| (part != "*").then(|| part.to_owned()));
        self.0.push(Include {
            direction,
            repeats: modifier == "iterate",
            source: parts.next().flatten(),
            parameter: parts.next().flatten(),
            target: parts.next().flatten(),
        });
        true
    }

    /// What comes along with these.
    pub(super) fn run(&self, records: &Records, found: &[Value]) -> Vec<Value> {
        let mut known: BTreeSet<String> = found.iter().filter_map(name).collect();
        let mut along: Vec<Value> = Vec::new();
        let mut last: Vec<Value> = found.to_vec();
        for round in 0..ROUNDS {
            let mut new: Vec<Value> = Vec::new();
            for include in self.0.iter().filter(|include| round == 0 || include.repeats) {
                let reached = match include.direction {
                    Direction::Forward => include.forward(records, &last),
                    Direction::Reverse => include.reverse(records, &last),
                };
                new.extend(
                    reached.into_iter().filter(|record| name(record).is_some_and(|n| known.insert(n))),
                );
            }
            if new.is_empty() {
                break;
            }
            along.extend(new.iter().cloned());
            last = new;
        }
        along
    }
}

impl Include {
    fn forward(&self, records: &Records, from: &[Value]) -> Vec<Value> {
        let sources = from.iter().filter(|record| is_of(record, self.source.as_deref()));
        let references = sources.flat_map(|record| self.references(record));
        let current = references.filter_map(|reference| {
            let (kind, id) = reference.split_once('/')?;
            records.versions(kind, id).pop()?.resource
        });
        current.filter(|record| is_of(record, self.target.as_deref())).collect()
    }

    fn reverse(&self, records: &Records, to: &[Value]) -> Vec<Value> {
        let targets = to.iter().filter(|record| is_of(record, self.target.as_deref()));
        let targets: BTreeSet<String> = targets.filter_map(name).collect();
        let sources = match &self.source {
            Some(source) => vec![source.clone()],
            None => records.types(),
        };
        let all = sources
            .iter()
            .flat_map(|source| records.all(source))
            .filter_map(|Version { resource, .. }| resource);
        all.filter(|record| self.references(record).iter().any(|reference| targets.contains(reference)))
            .collect()
    }

    fn references(&self, record: &Value) -> Vec<String> {
        let mut found = Vec::new();
        match &self.parameter {
            Some(parameter) => found.extend(search::references(record, parameter)),
            None => all_references(record, &mut found),
        }
        found
    }
}

fn is_of(record: &Value, kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| text(record, "resourceType").as_deref() == Some(kind))
}

/// `Patient/a` of a record.
pub(super) fn name(record: &Value) -> Option<String> {
    Some(format!("{}/{}", text(record, "resourceType")?, text(record, "id")?))
}

/// Where all references of a record lead.
pub(super) fn all_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| all_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
