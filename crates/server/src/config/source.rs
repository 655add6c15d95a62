//! A TOML file with the environment laid over it, as a tree in which every value knows its line.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with the line that it stands on; line 0 is the environment.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What configuration values can be.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// A kind of TOML value that no key of ours takes.
    Other,
}

/// One thing wrong with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ConfigError {
    /// Line of the file; 0 where the environment set it or nothing did.
    pub(crate) line: usize,
    /// The key, dotted.
    pub(crate) key: String,
    /// What is wrong and what to do.
    pub(crate) problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// Reads the file's text.
///
/// # Errors
/// Every syntax error, with its line.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Node>, Vec<ConfigError>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(lines.table(table.get_ref()));
    }
    let problems = errors.iter().map(|e| ConfigError {
        line: e.span().map_or(0, |span| lines.line(span.start)),
        key: String::new(),
        problem: format!("not TOML: {}", e.message().trim()),
    });
    Err(problems.collect())
}

/// Lays `CHARTGATE_<TABLE>__<KEY>` over the tree. A value that reads as a TOML integer, boolean, array or inline table
/// is one; anything else is text.
///
/// Gives an error for each that cannot be laid anywhere: what it is below is no table.
pub(crate) fn overlay(
    tree: &mut BTreeMap<String, Node>,
    environment: impl Iterator<Item = (String, String)>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (name, value) in environment {
        let Some(path) = key_of(&name).filter(|path| !is_of_kubernetes(path, &value)) else { continue };
        let path = path.to_ascii_lowercase();
        let keys: Vec<&str> = path.split("__").collect();
        if let Err(above) = set(tree, &keys, environment_value(&value)) {
            let problem = format!("the variable {name} sets nothing: `{above}` is no table");
            errors.push(ConfigError { line: 0, key: keys.join("."), problem });
        }
    }
    errors
}

/// Whether a variable sets a key.
pub(crate) fn is_key(name: &str) -> bool {
    key_of(name).is_some()
}

fn key_of(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX).filter(|path| !NOT_KEYS.contains(path))
}

/// Whether Kubernetes sets it, in each container beside a Service that is called `chartgate`.
fn is_of_kubernetes(path: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_numbered =
        path.strip_prefix("PORT_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    path == "SERVICE_HOST"
        || path.starts_with("SERVICE_PORT")
        || is_numbered
        || (path == "PORT" && is_address)
}

/// The variable that sets a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

const PREFIX: &str = "CHARTGATE_";
/// Variables of ours that are no configuration keys.
const NOT_KEYS: [&str; 2] = ["CONFIG", "SHARED"];

/// # Errors
/// The key that something was to be set below, and that is no table.
fn set(tree: &mut BTreeMap<String, Node>, keys: &[&str], value: Value) -> Result<(), String> {
    match keys {
        [] => {}
        [key] => drop(tree.insert((*key).to_owned(), Node { line: 0, value })),
        [key, rest @ ..] => {
            let node = tree
                .entry((*key).to_owned())
                .or_insert_with(|| Node { line: 0, value: Value::Table(BTreeMap::new()) });
            let Value::Table(table) = &mut node.value else { return Err((*key).to_owned()) };
            set(table, rest, value).map_err(|below| format!("{key}.{below}"))?;
        }
    }
    Ok(())
}

fn environment_value(text: &str) -> Value {
    let line = format!("v = {text}");
    match DeTable::parse(&line) {
        Ok(table) => match Lines::of(&line).table(table.get_ref()).remove("v").map(|node| node.value) {
            Some(Value::Text(_) | Value::Other) | None => Value::Text(text.to_owned()),
            Some(value) => value,
        },
        Err(_) => Value::Text(text.to_owned()),
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset).saturating_add(1)
    }

    fn table(&self, table: &DeTable<'_>) -> BTreeMap<String, Node> {
        table
            .iter()
            .map(|(key, value)| {
                let line = self.line(key.span().start);
                (key.get_ref().to_string(), Node { line, value: self.value(value) })
            })
            .collect()
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix());
                number.map_or(Value::Other, Value::Integer)
            }
            DeValue::Array(array) => Value::List(
                array
                    .iter()
                    .map(|item| Node { line: self.line(item.span().start), value: self.value(item) })
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
        }
    }
}
