//! Printing answers: for people as lines, for scripts as JSON.

use std::io::Write as _;

use serde_json::Value;

/// How data is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Prints a line. A reader that has gone away is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints an answer.
pub(super) fn answer(value: &Value, output: Output) {
    match output {
        Output::Json => line(&value.to_string()),
        Output::Text => match value {
            Value::Array(items) if items.is_empty() => line("(none)"),
            Value::Array(items) => items.iter().for_each(row),
            Value::Object(members) => {
                let width = members.keys().map(String::len).max().unwrap_or(0);
                for (name, member) in members {
                    line(&format!("{name:width$}  {}", plain(member)));
                }
            }
            other => line(&plain(other)),
        },
    }
}

fn row(item: &Value) {
    match item {
        Value::Object(members) => {
            let cells: Vec<String> = members
                .iter()
                .filter(|(_, member)| !matches!(member, Value::Null | Value::Object(_)))
                .map(|(name, member)| format!("{name}={}", plain(member)))
                .collect();
            line(&cells.join("  "));
        }
        other => line(&plain(other)),
    }
}

/// A value without JSON's quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
