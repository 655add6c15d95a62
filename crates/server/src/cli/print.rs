//! Printing answers: for people as lines, for scripts as JSON.

use std::io::Write as _;
use std::sync::OnceLock;

use serde_json::Value;

/// How data is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Why something could not be printed, the first time.
static UNPRINTED: OnceLock<std::io::Error> = OnceLock::new();

/// Prints a line. Whoever ends the program asks [`unprinted`] whether all of them came to where they go.
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let _ = UNPRINTED.set(error);
    }
}

/// Whether somebody reads what is printed still, as far as is known.
pub(super) fn is_read() -> bool {
    UNPRINTED.get().is_none()
}

/// Why what was printed is not where it was to go, if so: a disk is full. A reader that has gone away is no error.
pub(super) fn unprinted() -> Option<&'static std::io::Error> {
    if let Err(error) = std::io::stdout().flush() {
        let _ = UNPRINTED.set(error);
    }
    UNPRINTED.get().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
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

/// A text of somebody else's, on one line: what would move the cursor or colour the screen is shown, not done.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// A value without JSON's quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => visible(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_wrote_does_nothing_to_the_terminal() {
        let text = json!("Zoë\u{1b}[2J\nada\tadmin\u{9b}1m");
        assert_eq!(plain(&text), "Zoë\\u{1b}[2J\\nada\\tadmin\\u{9b}1m");
        assert_eq!(plain(&json!(["a", 1, null])), "a,1,-");
    }
}
